"""Books that match: M-PESA's own record is read, compared with ours in both directions, and what differs is shown.

pull.py        the payments of the last two days, through Daraja
statement.py   the organisation statement, as M-PESA's portal exports it
movements.py   both become rows of one table, once each
compare.py     ours against theirs: what differs becomes a finding, never a correction
day.py         one day's two sums, for the page and the letter
takings.py     what was taken, by day, product and hour, and the accountant's export
"""

from __future__ import annotations
