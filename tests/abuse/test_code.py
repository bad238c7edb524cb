"""What bandit finds in the shop's own code: only what somebody has looked at."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.server import REPOSITORY

LOOKED_AT = {
    ("prepared.py", "B608"),  # SQL put together from the column names of a model
    ("payments/receipts.py", "B308"),  # the QR code's SVG, made of our own address
    ("payments/receipts.py", "B703"),
    ("payments/templatetags/words.py", "B308"),  # escaped the line above
    ("payments/templatetags/words.py", "B703"),
    ("realtime/management/commands/serve.py", "B104"),  # compared with, not listened on
}


def test_bandit_finds_nothing_that_nobody_has_looked_at() -> None:
    modules = [path.name for path in REPOSITORY.glob("*.py") if path.name != "conftest.py"]
    command = [sys.executable, "-m", "bandit", "-q", "-ll", "-f", "json", "-x", "*/tests/*", "-r"]
    command += ["shop", "payments", "realtime", *modules]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = {(result["filename"].removeprefix("./"), result["test_id"]) for result in json.loads(ran.stdout)["results"]}
    assert found == LOOKED_AT
