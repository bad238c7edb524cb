"""What the fault tests share: a Daraja of plain functions in place of the one over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from payments.daraja import client
from payments.tests.conftest import FakeDaraja


@pytest.fixture
def daraja(monkeypatch: pytest.MonkeyPatch) -> FakeDaraja:
    fake = FakeDaraja()
    monkeypatch.setattr(client, "stk_push", fake.stk_push)
    monkeypatch.setattr(client, "stk_query", fake.stk_query)
    return fake


@pytest.fixture(autouse=True)
def _no_rate_limits(settings: Any) -> None:
    """Let the tests ask as often as they must; the limits never lift what these tests are about."""
    settings.RATE_LIMITS = False
