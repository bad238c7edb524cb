from __future__ import annotations

from typing import Any

import pytest

from payments import inbox, reconciler
from payments.checkout import start_checkout
from payments.daraja.client import PushAccepted
from payments.models import Callback, Status, Transaction
from payments.tests.conftest import FakeDaraja, callback_body
from tests.factories import make_order, make_transaction, new_phone_number

pytestmark = pytest.mark.django_db

SEED_PATH = "/mpesa/stk_push_callback/"


def _hint(client: Any, body: bytes, path: str = SEED_PATH) -> int:
    return int(client.post(path, body, content_type="application/json").status_code)


def test_a_tokenless_success_changes_nothing_but_has_us_ask(client: Any) -> None:
    payment = make_transaction()
    before = payment.check_after
    assert _hint(client, callback_body(payment)) == 200
    payment.refresh_from_db()
    assert payment.status == Status.PENDING
    assert payment.check_after < before


def test_every_stranger_gets_the_same_answer(client: Any) -> None:
    payment = make_transaction()
    bodies = [callback_body(payment), b"not json", b"{}", b"\xff", b" " * 20_000]
    assert {_hint(client, body, path) for body in bodies for path in (SEED_PATH, f"{SEED_PATH}nonsense/")} == {200}
    assert _hint(client, b" " * 70_000) == 413


def test_hints_are_kept_within_limits(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_transaction()
    for number in range(5):
        _hint(client, callback_body(payment, MpesaReceiptNumber=f"UKN000000{number}"))
    assert Callback.objects.count() == inbox.HINTS_PER_CHECKOUT
    monkeypatch.setattr(inbox, "HINTS_PER_ADDRESS", 4)
    for number in range(3):
        _hint(client, callback_body(make_transaction(), MpesaReceiptNumber=f"UKN100000{number}"))
    assert Callback.objects.count() == 4


def test_a_forged_copy_does_not_count_as_the_true_one(client: Any, post_callback: Any) -> None:
    payment = make_transaction()
    body = callback_body(payment)
    _hint(client, body)
    post_callback(payment, body)
    assert payment.status == Status.COMPLETED
    assert {(row.trusted, row.copies) for row in Callback.objects.all()} == {(False, 1), (True, 1)}


def test_the_seed_path_with_a_token_counts_like_the_other(client: Any) -> None:
    from payments.callback_token import make_callback_token

    payment = make_transaction()
    assert _hint(client, callback_body(payment), f"{SEED_PATH}{make_callback_token(payment.pk)}/") == 200
    payment.refresh_from_db()
    assert payment.status == Status.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_hints_use_a_tenth_of_the_budget(client: Any, daraja: FakeDaraja, settings: Any) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = 10
    for _ in range(3):
        _hint(client, callback_body(make_transaction()))
    reconciler.run_pass()
    assert len(daraja.queries) == 1


def test_a_hint_that_came_before_the_answer_to_the_push_has_us_ask_as_soon_as_the_id_is_known(
    client: Any, daraja: FakeDaraja
) -> None:
    def accept(asked: dict[str, Any]) -> PushAccepted:
        payment = Transaction.objects.get(phone_number=asked["phone_number"])
        _hint(client, callback_body(payment, CheckoutRequestID="ws_CO_early"))
        return PushAccepted("29115-1-1", "ws_CO_early")

    daraja.push = accept
    payment = start_checkout(make_order().pk, new_phone_number()).payment
    assert (payment.status, payment.hinted_at) == ("PENDING", payment.check_after)
    assert payment.hinted_at is not None
