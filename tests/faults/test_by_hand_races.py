"""One payment, two messages: prompt's callback and C2B confirmation race in every order. And lies by the thousand."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from payments import inbox, settlement
from payments.c2b import inbox as by_hand
from payments.c2b import verification
from payments.c2b.verification import Told
from payments.models import Confirmation, Discrepancy, Status, Transaction
from payments.tests.by_hand import confirmation_body, hear, new_receipt, pay_by_hand
from payments.tests.conftest import callback_body
from shop.models import Order, Product
from tests.factories import make_order, make_product, make_transaction
from tests.faults.clock import let_pass
from tests.faults.crowd import Action, crowd
from tests.faults.truth import PAID

pytestmark = pytest.mark.django_db(transaction=True)

SAFARICOM = "196.201.214.200"


def _told(receipt: str, amount: int) -> Told:
    return Told(receipt, "completed", Decimal(amount))


def _wrong(payment: Transaction, receipt: str) -> list[str]:
    """Return everything that is not as one payment, paid once, must be."""
    payment.refresh_from_db()
    order = Order.objects.get(pk=payment.order_id)
    completed = payment.events.filter(new_status=Status.COMPLETED).exclude(old_status=Status.COMPLETED).count()
    states = set(Confirmation.objects.filter(trans_id=receipt).values_list("state", flat=True))
    checks = {
        "the order is paid once": order.status == "PAID" and order.amount_paid == order.amount,
        "there is one payment": order.transactions.count() == 1,
        "it was completed once": completed == 1,
        "it has the receipt": payment.mpesa_receipt_number == receipt,
        "the confirmation is counted": states == {Confirmation.State.COUNTED},
        "nothing is left to explain": not payment.discrepancies.exists(),
    }
    return [name for name, holds in checks.items() if not holds]


# STK callback and C2B confirmation ------------------------------------------------------------------------------


def _both_messages(payment: Transaction, receipt: str) -> list[Action]:
    callback = callback_body(payment, MpesaReceiptNumber=receipt)
    copy = callback_body(payment, desc="worded otherwise", MpesaReceiptNumber=receipt)
    confirmation = confirmation_body(payment.account_reference, payment.amount, receipt=receipt)
    return [
        lambda: inbox.receive(payment.pk, callback, SAFARICOM),
        lambda: inbox.receive(payment.pk, copy, SAFARICOM),
        lambda: by_hand.receive(confirmation, SAFARICOM),
        lambda: verification.hear(_told(receipt, payment.amount)),
    ]


def _callback_lost(payment: Transaction, receipt: str) -> list[Action]:
    confirmation = confirmation_body(payment.account_reference, payment.amount, receipt=receipt)
    return [
        lambda: settlement.settle_query(payment.pk, PAID),
        lambda: by_hand.receive(confirmation, SAFARICOM),
        lambda: verification.hear(_told(receipt, payment.amount)),
    ]


def _race(orders: int, messages: object, size: int, product: Product) -> dict[str, int]:
    found: dict[str, int] = {}
    with crowd(size) as actors:
        for _ in range(orders):
            payment, receipt = make_transaction(order=make_order(product=product)), new_receipt()
            actions = messages(payment, receipt)  # type: ignore[operator]
            random.shuffle(actions)
            faults = [str(result) for result in actors.do(actions) if isinstance(result, Exception)]
            verification.hear(_told(receipt, payment.amount))  # it was asked again
            for fault in faults + _wrong(payment, receipt):
                found[fault] = found.get(fault, 0) + 1
    return found


def test_callback_and_confirmation_at_once_are_one_payment() -> None:
    assert _race(40, _both_messages, 4, make_product()) == {}


def test_a_lost_callback_leaves_its_receipt_to_the_confirmation() -> None:
    assert _race(30, _callback_lost, 3, make_product()) == {}


@pytest.mark.long
def test_callback_and_confirmation_at_once_are_one_payment_a_thousand_times() -> None:
    assert _race(1_000, _both_messages, 4, make_product()) == {}


@pytest.mark.long
def test_five_hundred_lost_callbacks_leave_their_receipts_to_the_confirmations() -> None:
    assert _race(500, _callback_lost, 3, make_product()) == {}


# By hand, named several times at once ---------------------------------------------------------------------------


def test_a_payment_by_hand_that_is_told_many_times_at_once_counts_once() -> None:
    product = make_product()
    with crowd(5) as actors:
        for _ in range(20):
            order, receipt = make_order(product=product), new_receipt()
            bodies = [confirmation_body(order.account_number, 1500, receipt=receipt, InvoiceNumber=n) for n in "123"]
            for body in bodies:
                by_hand.receive(body, SAFARICOM)
            results = actors.do([lambda: verification.hear(_told(receipt, 1500))] * 5)  # noqa: B023
            assert [result for result in results if isinstance(result, Exception)] == []
            order.refresh_from_db()
            assert (order.amount_paid, order.transactions.count()) == (1500, 1)


def test_two_parts_at_once_both_count() -> None:
    product = make_product()
    with crowd(2) as actors:
        for _ in range(20):
            order, receipts = make_order(product=product), [new_receipt(), new_receipt()]
            for receipt, amount in zip(receipts, (600, 900), strict=True):
                by_hand.receive(confirmation_body(order.account_number, amount, receipt=receipt), SAFARICOM)
            actors.do([lambda: hear(receipts[0], 600), lambda: hear(receipts[1], 900)])  # noqa: B023
            order.refresh_from_db()
            assert (order.status, order.amount_paid) == ("PAID", 1500)


# Lies -----------------------------------------------------------------------------------------------------------


class Liar:
    """Knows the path, and tells of money that never came, came for somebody else, or came once."""

    def __init__(self) -> None:
        self.orders = [make_order() for _ in range(10)]
        self.honest = [pay_by_hand(make_order()) for _ in range(5)]
        self.truth = {paid.trans_id: 1500 for paid in self.honest}

    def lie(self, number: int) -> str:
        """Post one forged confirmation and return its receipt."""
        target, paid = self.orders[number % 10], self.honest[number % 5]
        kind = number % 4
        account, amount, receipt = target.account_number, 1500, new_receipt()
        if kind == 1:  # a receipt that was paid, for another order
            receipt = paid.trans_id
        elif kind == 2:  # replayed: the true order, once more
            receipt, account = paid.trans_id, str(paid.order and paid.order.account_number)
        elif kind == 3:  # a real prompt's reference, with a receipt that does not exist
            account = make_transaction(order=target, status=Status.FAILED, reason="cancelled").account_reference
        by_hand.receive(confirmation_body(account, amount, receipt=receipt, InvoiceNumber=str(number)), "203.0.113.9")
        return receipt

    def ask_mpesa(self) -> None:
        """Let M-PESA answer everything that waits, as often as it takes."""
        for _ in range(2):
            for receipt in set(Confirmation.objects.exclude(check_after=None).values_list("trans_id", flat=True)):
                hear(receipt, self.truth.get(receipt))
            let_pass(31)


def _forge(lies: int) -> None:
    liar = Liar()
    for number in range(lies):
        liar.lie(number)
        if number % 500 == 499:
            liar.ask_mpesa()
    liar.ask_mpesa()
    assert {order.status for order in Order.objects.filter(pk__in=[order.pk for order in liar.orders])} == {"OPEN"}
    assert sum(Order.objects.values_list("amount_paid", flat=True)) == 5 * 1500
    assert Transaction.objects.filter(status=Status.COMPLETED).count() == 5
    assert not Confirmation.objects.filter(state=Confirmation.State.CHECKING).exists()
    assert Discrepancy.objects.count() <= 5  # one for each receipt that was named for another order too


def test_forged_confirmations_pay_nothing() -> None:
    _forge(120)


@pytest.mark.long
def test_five_thousand_forged_confirmations_pay_nothing() -> None:
    _forge(5_000)
