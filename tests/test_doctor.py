"""`manage.py doctor` beside a running shop: what it examines is really there, and its shilling really paid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client import Shop
from tests.server import RunningServer, running_server

PHONE = "0712999001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("doctor"), RATE_LIMITS="off") as found:
        yield found


@pytest.mark.parametrize(
    ("outcome", "status", "end"),
    [("paid", 0, "well   go-live    callback came"), ("cancelled", 1, "WRONG  go-live    callback came")],
)
def test_the_shilling_of_going_live_is_asked_for_and_its_callback_heard(
    server: RunningServer, outcome: str, status: int, end: str
) -> None:
    Shop(server.base_url).post(f"/simulator/api/phones/{PHONE}/", json={"outcome": outcome})
    ended, said = server.ask("doctor", "--go-live", PHONE, "--wait", "60")
    assert (ended, end in said) == (status, True), said
    assert said.count("WRONG") == status
    assert PHONE not in said


def test_a_shop_that_is_not_running_is_told_what_to_start(server: RunningServer) -> None:
    server.stop()
    try:
        ended, said = server.ask("doctor", "--go-live", PHONE)
        assert ended == 1
        assert "WRONG  callbacks  do not arrive" in said
        assert "Start the shop" in said
        assert "is asked of" not in said  # nobody is asked for money while something is wrong
    finally:
        server.start()
