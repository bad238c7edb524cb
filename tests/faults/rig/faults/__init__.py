"""The faults, by their numbers: each breaks something for some seconds, and heals it."""

from __future__ import annotations

import re

from tests.faults.rig.faults import (
    browsers,
    clocks,
    crashes,
    crowds,
    daraja,
    databases,
    layer,
    nemesis,
    networks,
    processes,
)
from tests.faults.rig.faults.fault import Fault


def _order(fault: Fault) -> tuple[int, str]:
    """Return what sorts F4 before F10."""
    number, letter = re.fullmatch(r"F(\d+)(.*)", fault.number).groups()  # type: ignore[union-attr]
    return int(number), letter


_BY_PART = (crashes, processes, databases, layer, networks, browsers, crowds, clocks, nemesis, daraja)
FAULTS = sorted((fault for part in _BY_PART for fault in part.FAULTS), key=_order)


def fault(number: str) -> Fault:
    """Return the fault of that number."""
    return next(each for each in FAULTS if each.number == number)
