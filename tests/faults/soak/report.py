"""The table of the soak in docs/reliability.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.faults.soak.verdict import Held
from tests.server import REPOSITORY

if TYPE_CHECKING:
    from tests.faults.soak.__main__ import Outcome

DOCUMENT = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of what `make soak` writes -->", "<!-- end of what `make soak` writes -->"


def write(outcome: Outcome) -> None:
    """Put what the run showed between the two marks of the document."""
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(_lines(outcome)) + f"\n{END}{after}")


def _lines(outcome: Outcome) -> list[str]:
    counts, today = outcome.counts, datetime.now(UTC).strftime("%-d %B %Y")
    ended = ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("COMPLETED", "FAILED", "PENDING"))
    faults = "; ".join(f"{count} × {name}" for name, count in sorted(outcome.faults.items()))
    return [
        f"{outcome.minutes:g} minutes of {today} at {outcome.rate:g} payments a second, all processes together "
        f"{outcome.cores:.2f} cores: {counts['customers']:,} customers, {counts.get('paid', 0):,} paid; {ended}; "
        f"{counts.get('unknowable', 0)} unknowable, {len(outcome.violations)} violations. Faults: {faults}.",
        "",
        "| Held by | before | under load | highest | after | given back |",
        "|---|--:|--:|--:|--:|---|",
        *(_line(each) for each in outcome.held),
    ]


def _line(each: Held) -> str:
    return (
        f"| {each.what} | {each.base:g} | {each.busy:g} | {each.highest:g} | {each.after:g} "
        f"| {'yes' if each.is_given_back else 'NO'} |"
    )
