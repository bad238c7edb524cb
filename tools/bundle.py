"""Write static/checkout.bundle.js and static/board.bundle.js: htmx, what it needs, and our script as one file each.

Two deferred script tags race in htmx 4.0.1: the core may start before the extension has registered, and then the
socket is never opened and nothing says so. One file has one order.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
VENDOR = STATIC / "vendor"
PARTS = (VENDOR / "htmx-4.0.1.min.js", VENDOR / "hx-ws-4.0.1.min.js", STATIC / "checkout.js")
BUNDLE = STATIC / "checkout.bundle.js"
BOARD_PARTS = (VENDOR / "htmx-4.0.1.min.js", STATIC / "board.js")
BUNDLES = {BUNDLE: PARTS, STATIC / "board.bundle.js": BOARD_PARTS}
_FOR_READERS = re.compile(r"^[ \t]*(?:/\*.*?\*/\n|//[^\n]*\n|\n)|^[ \t]+", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(?P<file>[^`]+)` \|.*\| `(?P<digest>[0-9a-f]{64})` \|", re.MULTILINE)


class VendorChanged(Exception):
    """A vendored file is not the one that VENDOR.md names, so nothing was written."""


def expected_digests() -> dict[str, str]:
    """Return the SHA-256 of each vendored file as VENDOR.md states it."""
    return {row["file"]: row["digest"] for row in _ROW.finditer((VENDOR / "VENDOR.md").read_text("utf-8"))}


def check_vendor() -> None:
    """Raise `VendorChanged` when a vendored script is missing from VENDOR.md or differs from it."""
    expected = expected_digests()
    for script in sorted(VENDOR.glob("*.js")):
        if hashlib.sha256(script.read_bytes()).hexdigest() != expected.get(script.name):
            raise VendorChanged(f"{script.name} is not the file that VENDOR.md names.")


def bundled(parts: tuple[Path, ...] = PARTS) -> bytes:
    """Return a bundle: the parts in order, each closed by `;` so that none runs into the next."""
    return b"".join(without_comments(part.read_text("utf-8")).encode() + b"\n;\n" for part in parts)


def without_comments(script: str) -> str:
    """Leave out what only readers of the source need: lines that are comments, and indentation.

    A fifth of our script's bytes on the wire. It knows no JavaScript, so a template literal must not span lines.
    """
    return _FOR_READERS.sub("", script).strip()


def main() -> int:
    try:
        check_vendor()
    except VendorChanged as error:
        print(error, file=sys.stderr)
        return 1
    for bundle, parts in BUNDLES.items():
        bundle.write_bytes(bundled(parts))
        print(f"{bundle.relative_to(STATIC.parent)}: {bundle.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
