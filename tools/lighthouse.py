"""Let Lighthouse judge the payment page as on a phone: `make lighthouse`. npm fetches it; it is no part of Papo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.server import REPOSITORY, running_server
from tools.buying import PAYS, any_number, pay

VERSION = "12.8.2"
CATEGORIES = ("performance", "accessibility", "best-practices")
METRICS = (
    "first-contentful-paint",
    "largest-contentful-paint",
    "total-blocking-time",
    "cumulative-layout-shift",
    "speed-index",
    "total-byte-weight",
)
AT_MOST = 300  # seconds for one judgement


def main() -> None:
    """Judge the page while it waits for the PIN, and once it is paid; print scores and what they are made of."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("`make lighthouse` needs Node 18 or newer with npm; nothing else of Papo does.")
    with tempfile.TemporaryDirectory(prefix="papo-lighthouse-") as directory:
        folder = Path(directory)
        fetch = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", directory, f"lighthouse@{VERSION}"]
        subprocess.run(fetch, check=True)  # noqa: S603 - a fixed command
        with running_server(folder, RATE_LIMITS="off") as server:
            for name, number in (("waiting", any_number()), ("paid", PAYS)):
                _print(name, _judged(pay(server.base_url, number, until_paid=name == "paid"), folder))


def _judged(url: str, folder: Path) -> dict[str, Any]:
    """Return Lighthouse's report of one page: a slow phone in a slow network, as it simulates them by default."""
    report = folder / "report.json"
    command = [
        str(folder / "node_modules" / ".bin" / "lighthouse"),
        url,
        "--quiet",
        f"--only-categories={','.join(CATEGORIES)}",
        "--output=json",
        f"--output-path={report}",
        "--chrome-flags=--headless=new --no-sandbox",
    ]
    environment = {**os.environ, "CHROME_PATH": shutil.which("chromium") or ""}
    subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, timeout=AT_MOST)  # noqa: S603
    return dict(json.loads(report.read_text()))


def _print(name: str, report: dict[str, Any]) -> None:
    scores = {key: report["categories"][key]["score"] for key in CATEGORIES}
    print(f"{name}: " + ", ".join(f"{key} {100 * (score or 0):.0f}" for key, score in scores.items()))
    print("  " + ", ".join(f"{key} {report['audits'][key]['displayValue']}" for key in METRICS))
    for category in report["categories"].values():
        for part in category["auditRefs"]:
            audit = report["audits"][part["id"]]
            if part["weight"] and audit["score"] is not None and audit["score"] < 1:
                print(f"  {category['id']}: {audit['title']} ({audit.get('displayValue') or audit['score']})")


if __name__ == "__main__":
    main()
