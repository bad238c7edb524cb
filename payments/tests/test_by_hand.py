"""A customer pays the PayBill by hand: nothing counts before M-PESA's own word, and everything counts once."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from payments.c2b import inbox, verification
from payments.c2b.path import confirmation_url
from payments.models import Channel, Confirmation, Discrepancy, Reason, Source, Status, Transaction
from payments.tests.by_hand import announce, confirmation_body, hear, new_receipt, pay_by_hand
from shop.orders import cancel_order
from tests.factories import make_order, make_transaction
from tests.faults.clock import let_pass

pytestmark = pytest.mark.django_db

State = Confirmation.State


def kinds() -> set[str]:
    return set(Discrepancy.objects.values_list("kind", flat=True))


# Counting -------------------------------------------------------------------------------------------------------


def test_a_confirmation_counts_when_mpesa_itself_has_named_it() -> None:
    order, receipt = make_order(), new_receipt()
    announce(order.account_number, 1500, receipt=receipt)
    order.refresh_from_db()
    assert (order.status, order.amount_paid) == ("OPEN", 0)

    hear(receipt, 1500)
    order.refresh_from_db()
    payment = order.transactions.get()
    assert (order.status, order.amount_paid) == ("PAID", 1500)
    assert (payment.channel, payment.status, payment.mpesa_receipt_number) == (Channel.C2B, Status.COMPLETED, receipt)
    assert payment.events.get().source == Source.C2B


def test_the_account_number_is_found_however_it_was_typed() -> None:
    order = make_order()
    typed = f" {order.account_number[:4].lower()}-{order.account_number[4:]} "
    assert announce(typed, 1500).order == order


def test_parts_add_up_and_the_page_and_the_prompt_ask_for_what_is_still_due() -> None:
    order = make_order()
    pay_by_hand(order, 600)
    assert (order.status, order.amount_paid, order.amount_due) == ("OPEN", 600, 900)
    pay_by_hand(order, 900)
    assert (order.status, order.amount_paid, kinds()) == ("PAID", 1500, set())


def test_more_than_is_due_pays_the_order_and_staff_see_what_was_too_much() -> None:
    order = make_order()
    pay_by_hand(order, 600)
    pay_by_hand(order, 1000)
    assert (order.status, order.amount_paid, kinds()) == ("PAID", 1600, {"overpaid"})
    assert order.transactions.get(excess__gt=0).excess == 100


def test_money_for_a_paid_or_cancelled_order_is_kept_and_seen() -> None:
    paid, cancelled = make_order(), make_order()
    pay_by_hand(paid)
    pay_by_hand(paid, 1500)
    cancel_order(cancelled)
    pay_by_hand(cancelled, 1500)
    assert kinds() == {"surplus", "paid_after_cancel"}
    assert (paid.amount_paid, cancelled.status, cancelled.amount_paid) == (3000, "CANCELLED", 1500)


def test_an_unknown_account_waits_for_staff() -> None:
    receipt = new_receipt()
    announce("RENT JUNE", 1500, receipt=receipt)
    hear(receipt, 1500)
    assert Confirmation.objects.get().state == State.UNMATCHED
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("amount", ["12.50", "0.00", "250001.00", "-5.00", "NaN", "1e3", None])
def test_an_amount_that_cannot_be_counted_waits_for_staff(amount: str | None) -> None:
    order = make_order()
    announce(order.account_number, 1500, TransAmount=amount)
    assert Confirmation.objects.get().state == State.UNMATCHED


# What else may come ---------------------------------------------------------------------------------------------


def test_the_same_confirmation_again_is_a_copy() -> None:
    order = make_order()
    body = confirmation_body(order.account_number, 1500, receipt="UKP1234567")
    inbox.receive(body, None)
    hear("UKP1234567", 1500)
    inbox.receive(body, None)
    order.refresh_from_db()
    assert (Confirmation.objects.get().copies, order.amount_paid) == (2, 1500)


def test_a_counted_receipt_pays_nothing_else() -> None:
    order, other = make_order(), make_order()
    pay_by_hand(order, receipt="UKP7654321")
    for _ in range(3):
        assert announce(other.account_number, 1500, receipt="UKP7654321").state == State.REFUSED
        hear("UKP7654321", 1500)
    other.refresh_from_db()
    assert (other.status, Transaction.objects.count(), kinds()) == ("OPEN", 1, {"contradiction"})


def test_a_receipt_named_for_two_orders_waits_for_staff() -> None:
    receipt, orders = new_receipt(), [make_order(), make_order()]
    for order in orders:
        announce(order.account_number, 1500, receipt=receipt)
    hear(receipt, 1500)
    assert {row.state for row in Confirmation.objects.all()} == {State.UNMATCHED}
    assert not Transaction.objects.exists()


def test_of_two_orders_the_one_that_mpesa_names_is_paid() -> None:
    receipt, liar, order = new_receipt(), make_order(), make_order()
    announce(liar.account_number, 1500, receipt=receipt)
    announce(order.account_number, 1500, receipt=receipt)
    hear(receipt, 1500, account=order.account_number)
    assert Transaction.objects.get().order == order


@pytest.mark.parametrize("told", [{"amount": 1400}, {"amount": 1500, "msisdn": "254722345678"}])
def test_what_mpesa_tells_otherwise_is_refused(told: dict[str, Any]) -> None:
    order, receipt = make_order(), new_receipt()
    announce(order.account_number, 1500, receipt=receipt)
    hear(receipt, **told)
    assert Confirmation.objects.get().state == State.REFUSED
    assert not Transaction.objects.exists()


def test_an_invented_receipt_is_refused_when_mpesa_denies_it_twice() -> None:
    order, receipt = make_order(), new_receipt()
    announce(order.account_number, 1500, receipt=receipt)
    hear(receipt)
    hear(receipt)
    assert Confirmation.objects.get().state == State.CHECKING  # too soon: a new receipt may not be found at once
    let_pass(31)
    hear(receipt)
    assert Confirmation.objects.get().state == State.REFUSED


def test_each_receipt_is_asked_about_once_and_then_ever_more_rarely() -> None:
    order = make_order()
    for amount in (1500, 1501):
        announce(order.account_number, amount, receipt="UKP0000001")
    assert verification.due() == ["UKP0000001"]
    assert (verification.claim("UKP0000001"), verification.claim("UKP0000001")) == (True, False)
    assert verification.due() == []
    let_pass(10)
    assert verification.due() == ["UKP0000001"]


# Believed at once -----------------------------------------------------------------------------------------------


def test_a_small_amount_may_count_at_once_and_is_confirmed_afterwards(settings: Any) -> None:
    settings.C2B_TRUST_BELOW = 1501
    order = make_order()
    announce(order.account_number, 1500, receipt="UKP0000002")
    order.refresh_from_db()
    assert order.status == "PAID"
    assert verification.due() == ["UKP0000002"]
    hear("UKP0000002", 1500)
    let_pass(60)
    assert (verification.due(), kinds()) == ([], set())


def test_what_was_believed_and_is_not_true_stays_counted_and_staff_see_it(settings: Any) -> None:
    settings.C2B_TRUST_BELOW = 1501
    announce(make_order().account_number, 1500, receipt="UKP0000003")
    hear("UKP0000003", is_final=True)
    assert (Transaction.objects.get().status, kinds()) == (Status.COMPLETED, {"contradiction"})


def test_nothing_is_believed_at_once_from_a_stranger(settings: Any) -> None:
    settings.C2B_TRUST_BELOW = 1501
    settings.MPESA_CALLBACK_IPS = []
    from ipaddress import ip_network

    settings.MPESA_CALLBACK_IPS = (ip_network("10.0.0.0/8"),)
    announce(make_order().account_number, 1500)
    assert not Transaction.objects.exists()


# The prompt's own confirmation ----------------------------------------------------------------------------------


def test_the_callback_first_and_then_the_confirmation_is_one_payment(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, MpesaReceiptNumber="UKP0000004")
    announce(payment.account_reference, payment.amount, receipt="UKP0000004")
    assert Confirmation.objects.get().transaction == payment
    assert (Transaction.objects.count(), verification.due(), kinds()) == (1, [], set())


def test_the_confirmation_first_and_then_the_callback_is_one_payment(post_callback: Any) -> None:
    payment = make_transaction()
    announce(payment.account_reference, payment.amount, receipt="UKP0000005")
    hear("UKP0000005", payment.amount)
    post_callback(payment, MpesaReceiptNumber="UKP0000005")
    payment.order.refresh_from_db()
    assert (payment.status, payment.mpesa_receipt_number) == (Status.COMPLETED, "UKP0000005")
    assert (Transaction.objects.count(), payment.order.amount_paid, kinds()) == (1, payment.amount, set())


def test_the_confirmation_brings_the_receipt_that_a_query_could_not() -> None:
    payment = make_transaction(status=Status.COMPLETED)
    announce(payment.account_reference, payment.amount, receipt="UKP0000006")
    payment.refresh_from_db()
    assert payment.mpesa_receipt_number is None
    hear("UKP0000006", payment.amount)
    payment.refresh_from_db()
    assert (payment.mpesa_receipt_number, payment.version) == ("UKP0000006", 2)


def test_a_confirmation_has_the_prompt_asked_about_at_once() -> None:
    payment = make_transaction()
    before = payment.check_after
    announce(payment.account_reference, payment.amount)
    payment.refresh_from_db()
    assert payment.check_after is not None
    assert before is not None
    assert payment.check_after < before


def test_a_payment_under_review_is_not_completed_by_a_confirmation() -> None:
    payment = make_transaction(under_review=True)
    announce(payment.account_reference, payment.amount, receipt="UKP0000007")
    hear("UKP0000007", payment.amount)
    payment.refresh_from_db()
    assert (payment.status, Confirmation.objects.get().state) == (Status.PENDING, State.UNMATCHED)


# The order's other pages ----------------------------------------------------------------------------------------


def test_the_page_of_a_failed_prompt_says_found_and_then_paid() -> None:
    from payments.documents import facts
    from payments.screen import screen

    order = make_order()
    failed = make_transaction(order=order, status=Status.FAILED, failed_at=timezone.now(), reason=Reason.NO_RESPONSE)
    announce(order.account_number, 1500, receipt="UKP0000008")
    failed.refresh_from_db()
    shown = screen(facts(failed))
    assert (failed.version, shown["heading"], shown["state"]) == (2, "Payment found", "found")
    assert (shown["can_retry"], shown["retry_after"], shown["can_use_other_number"]) == (False, None, False)

    hear("UKP0000008", 1500)
    failed = Transaction.objects.select_related("order").get(pk=failed.pk)
    shown = screen(facts(failed))
    assert (shown["status"], shown["state"], shown["tone"]) == ("FAILED", "paid", "ok")
    assert (shown["detail"], shown["mpesa_receipt_number"]) == ("Paid by hand, receipt UKP0000008.", "UKP0000008")
    assert failed.version > 2


def test_the_page_of_an_open_prompt_turns_to_paid_and_says_what_to_do_with_the_prompt() -> None:
    from payments.documents import facts
    from payments.screen import screen

    order = make_order()
    waiting = make_transaction(order=order)
    pay_by_hand(order)
    shown = screen(facts(Transaction.objects.select_related("order").get(pk=waiting.pk)))
    assert (shown["status"], shown["state"]) == ("PENDING", "paid")
    assert "cancel it" in shown["detail"]


def test_the_page_of_a_failed_prompt_asks_for_what_is_still_due() -> None:
    from payments.documents import facts
    from payments.screen import screen

    order = make_order()
    failed = make_transaction(order=order, status=Status.FAILED, failed_at=timezone.now(), reason=Reason.CANCELLED)
    pay_by_hand(order, 600)
    shown = screen(facts(Transaction.objects.select_related("order").get(pk=failed.pk)))
    assert "KES 900 is still due." in shown["detail"]
    assert "No money was taken" not in shown["detail"]
    assert (shown["state"], shown["amount"]) == ("not_paid", 900)


def test_a_refused_confirmation_leaves_the_page_as_it_was() -> None:
    order = make_order()
    failed = make_transaction(order=order, status=Status.FAILED, failed_at=timezone.now(), reason=Reason.CANCELLED)
    announce(order.account_number, 1500, receipt="UKP0000009")
    hear("UKP0000009", is_final=True)
    failed.refresh_from_db()
    assert (failed.found_by_hand, failed.version) == (False, 3)


# The routes -----------------------------------------------------------------------------------------------------


def _path(kind: str = "confirmation") -> str:
    return confirmation_url().removeprefix("http://127.0.0.1:8000").replace("confirmation", kind)


def _post(client: Any, path: str, body: bytes) -> Any:
    return client.post(path, body, content_type="application/json")


def test_the_confirmation_is_answered_as_mpesa_wants_it(client: Any) -> None:
    order = make_order()
    answer = _post(client, _path(), confirmation_body(order.account_number, 1500))
    assert (answer.status_code, answer.json()) == (200, {"ResultCode": 0, "ResultDesc": "Success"})
    assert Confirmation.objects.get().order == order


def test_the_path_is_secret_and_spells_no_filtered_word(client: Any, settings: Any) -> None:
    from payments.checks import FILTERED_WORDS

    assert _post(client, "/payments/c2b/0123456789abcdef0123456789abcdef/confirmation/", b"{}").status_code == 404
    assert not [word for word in FILTERED_WORDS if word in _path().lower()]
    old = _path()
    settings.C2B_PATH_SECRETS = ["n" * 40, *settings.C2B_PATH_SECRETS]
    assert _path() != old
    assert {_post(client, path, b"{}").status_code for path in (old, _path())} == {400}
    settings.C2B_PATH_SECRETS = ["n" * 40]
    assert _post(client, old, b"{}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"\xff", b"[" * 2000, b'{"TransID": "x"}', b'{"TransID": 5, "BusinessShortCode": true}'],
)
def test_what_is_no_confirmation_is_answered_400(client: Any, body: bytes) -> None:
    assert _post(client, _path(), body).status_code == 400
    assert _post(client, _path("validation"), body).status_code == 400


def test_a_confirmation_for_another_shop_is_rejected(client: Any) -> None:
    body = confirmation_body(make_order().account_number, 1500, BusinessShortCode="600000")
    assert _post(client, _path(), body).status_code == 400
    assert Confirmation.objects.get().state == State.REJECTED


def test_validation_welcomes_what_is_due_and_refuses_what_nobody_could_use(client: Any) -> None:
    order = make_order()

    def answer(account: str, amount: int) -> str:
        return str(_post(client, _path("validation"), confirmation_body(account, amount)).json()["ResultCode"])

    assert [answer(order.account_number, amount) for amount in (1, 1500, 1501)] == ["0", "0", "C2B00013"]
    assert answer("NOBODY", 1500) == "C2B00012"
    assert answer(make_transaction(order=order).account_reference, 1500) == "0"
    cancel_order(cancelled := make_order())
    assert answer(cancelled.account_number, 1500) == "C2B00016"
    assert not Confirmation.objects.exists()
