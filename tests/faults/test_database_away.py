"""The database goes away while callbacks come: each is answered 200 and applied when it is back, once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from payments import inbox, reconciler, spool
from payments.callback_token import make_callback_token
from payments.models import Transaction
from payments.tests.conftest import FakeDaraja, callback_body
from tests.factories import make_order, make_product, make_transaction
from tests.faults.clock import let_pass
from tests.faults.truth import violations

pytestmark = pytest.mark.django_db(transaction=True)

STATEMENTS = 40  # more than taking one callback needs


@pytest.fixture(autouse=True)
def _own_spool(settings: Any, tmp_path: Path) -> None:
    spool.replay(lambda _arrived: None)
    settings.CALLBACK_SPOOL_DIR = tmp_path / "spool"


@contextmanager
def database_leaves_after(statements: int) -> Iterator[None]:
    """Let so many statements through, and none after them."""
    executed = itertools.count(1)

    def execute(run: Callable[..., Any], *args: Any) -> Any:
        if next(executed) > statements:
            raise OperationalError("the database is away")
        return run(*args)

    with connection.execute_wrapper(execute):
        yield


def _post(client: Any, payment: Transaction) -> int:
    url = f"/payments/callback/{make_callback_token(payment.pk)}/"
    return int(client.post(url, callback_body(payment), content_type="application/json").status_code)


def _come_back() -> None:
    """Live on with the database: the spool first, then what the inbox holds still."""
    reconciler.run_pass()
    let_pass(6)
    reconciler.run_pass()
    assert spool.length() == 0


def _check(payments: list[Transaction], daraja: FakeDaraja) -> None:
    assert [found for payment in payments for found in violations(payment)] == []
    assert not Transaction.objects.filter(mpesa_receipt_number=None).exists()
    assert daraja.queries == []


@pytest.mark.parametrize("callbacks", [60, pytest.param(1_000, marks=pytest.mark.long)])
def test_callbacks_that_come_while_the_database_is_away_are_applied_when_it_is_back(
    daraja: FakeDaraja, client: Any, callbacks: int
) -> None:
    product = make_product()
    payments = [make_transaction(order=make_order(product=product)) for _ in range(callbacks)]
    away = payments[callbacks // 3 : 2 * callbacks // 3]
    answers = [_post(client, payment) for payment in payments[: callbacks // 3]]
    with database_leaves_after(0):
        answers += [_post(client, payment) for payment in away]
        assert spool.length() == len(away)
    answers += [_post(client, payment) for payment in payments[2 * callbacks // 3 :]]
    assert set(answers) == {200}
    _come_back()
    _check(payments, daraja)


def test_a_database_that_leaves_at_any_statement_loses_nothing(daraja: FakeDaraja, client: Any) -> None:
    payments = [make_transaction() for _ in range(STATEMENTS)]
    for statements, payment in enumerate(payments):
        with database_leaves_after(statements):
            assert _post(client, payment) == 200
    assert 0 < spool.length() < STATEMENTS  # it left before the end at first, and after it at last
    _come_back()
    _check(payments, daraja)


def _told_to_nobody(true: Callable[..., Any]) -> Callable[..., Any]:
    """Let the database commit and the process not hear of it, the first time."""
    calls = itertools.count(1)

    def committing(*args: Any, **kwargs: Any) -> Any:
        answer = true(*args, **kwargs)
        if next(calls) == 1:
            raise OperationalError("the answer was lost")
        return answer

    return committing


@pytest.mark.parametrize(("owner", "name"), [(inbox, "insert"), (BaseDatabaseWrapper, "_commit")])
def test_a_commit_whose_answer_is_lost_is_not_taken_twice(
    daraja: FakeDaraja, client: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    payment = make_transaction()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _told_to_nobody(getattr(owner, name)))
        assert _post(client, payment) == 200
    _come_back()
    _check([payment], daraja)
