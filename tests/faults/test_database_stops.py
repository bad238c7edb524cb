"""PostgreSQL itself stops, as in a power cut, while callbacks come to a running server: none is lost, none expires."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.client import Shop, as_stored
from tests.fake_daraja import FakeDaraja, Push, running_daraja
from tests.server import running_server
from tests.services import Postgresql, new_postgresql

CALLBACKS = 1_000
AWAY = 20.0  # seconds
SENDERS = 40  # callbacks under way at once: far more than the threads that take them
APPLIED_WITHIN = 60.0  # seconds after the database is back, on a machine that does much else
SETTINGS = {"MPESA_QUERY_AFTER_SECONDS": "3600", "MPESA_EXPIRE_AFTER_SECONDS": "86400", "RATE_LIMITS": "off"}

RUN_OUT_SOON = (
    "UPDATE payments_transaction SET expires_at = now() + interval '5 s' "
    "WHERE status = 'PENDING' AND phone_number = ANY(%s)"
)
NOT_RIGHT = (
    "SELECT count(*) FROM payments_transaction payment JOIN shop_order ON shop_order.id = payment.order_id "
    "WHERE (payment.status, payment.version, late, surplus) <> ('COMPLETED', 2, false, false) "
    "OR mpesa_receipt_number IS NULL OR shop_order.status <> 'PAID' OR amount_paid <> shop_order.amount"
)
FAILURES = "SELECT count(*) FROM payments_transactionevent WHERE new_status = 'FAILED'"


@pytest.fixture
def postgresql() -> Iterator[Postgresql]:
    with new_postgresql(durable=True) as found:
        yield found


def _ask(postgresql: Postgresql, statement: str, *values: Any) -> int:
    with psycopg.connect(postgresql.url) as connection:
        found = connection.execute(statement, values)
        return int((found.fetchone() or [0])[0]) if found.description else found.rowcount


def _begin(shop: Shop, daraja: FakeDaraja, count: int) -> list[Push]:
    """Have so many payments begun, and return what Daraja was asked for."""

    def begin(phone_number: str) -> Push:
        answer = shop.push(shop.order()["order_id"], phone_number)
        assert answer.status_code == 201, answer.text
        return daraja.push_for(as_stored(phone_number))

    with ThreadPoolExecutor(4) as customers:
        return list(customers.map(begin, (f"0733{number:06d}" for number in range(count))))


def _send(senders: ThreadPoolExecutor, pushes: list[Push]) -> list[Future[int]]:
    return [senders.submit(lambda push=push: push.succeed().status_code) for push in pushes]


def _wait_until_all_is_right(postgresql: Postgresql) -> None:
    give_up = time.monotonic() + APPLIED_WITHIN
    while wrong := _ask(postgresql, NOT_RIGHT):
        assert time.monotonic() < give_up, f"{wrong} payments are not right"
        time.sleep(0.1)


@pytest.mark.long
def test_a_postgresql_that_stops_among_a_thousand_callbacks_costs_none_of_them(
    postgresql: Postgresql, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = CALLBACKS // 3
    with running_daraja() as (daraja, url), ExitStack() as databases, ThreadPoolExecutor(SENDERS) as senders:
        databases.enter_context(postgresql.running())
        with running_server(tmp_path, DATABASE_URL=postgresql.url, DARAJA_BASE_URL=url, **SETTINGS) as server:
            pushes = _begin(Shop(server.base_url), daraja, CALLBACKS)
            sent = _send(senders, pushes[: 2 * third])
            list(islice(as_completed(sent), third))
            assert _ask(postgresql, RUN_OUT_SOON, [push.phone_number for push in pushes[third : 2 * third]])
            away, seconds = _stop_for_a_while(postgresql, Shop(server.base_url), sent)
            databases.enter_context(postgresql.running())
            back = time.monotonic()
            sent += _send(senders, pushes[2 * third :])
            assert {answer.result() for answer in sent} == {200}
            _wait_until_all_is_right(postgresql)
            applied = time.monotonic() - back
            assert _ask(postgresql, FAILURES) == 0
            assert daraja.queries == []
    with capsys.disabled():
        print(
            f"\n{CALLBACKS} callbacks, {away} of them while PostgreSQL was away for {AWAY:.0f} s: all answered 200, "
            f"those within {seconds:.1f} s; all applied, with those that came later, {applied:.1f} s after it was back"
        )


def _stop_for_a_while(postgresql: Postgresql, shop: Shop, sent: list[Future[int]]) -> tuple[int, float]:
    """Stop it while callbacks are under way; return how many had no answer yet, and the seconds until the last had."""
    postgresql.stop_at_once()
    stopped = time.monotonic()
    away = sum(not answer.done() for answer in sent)
    assert not wait(sent, timeout=AWAY).not_done, "callbacks wait for the database"
    seconds = time.monotonic() - stopped
    assert shop.get("/readyz").status_code == 503
    time.sleep(max(0.0, stopped + AWAY - time.monotonic()))
    return away, seconds
