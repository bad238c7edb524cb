"""Every callback is lost: asking alone finds out who has paid, within the budget that all workers share."""

from __future__ import annotations

import time
from typing import Any

import pytest

from payments import reconciler
from payments.daraja.client import QueryAnswer
from payments.models import Status, Transaction
from payments.tests.conftest import FakeDaraja
from tests.factories import make_order, make_product, make_transaction
from tests.faults.clock import let_pass
from tests.faults.truth import CANCELLED, PAID, UNANSWERED, violations

pytestmark = pytest.mark.django_db(transaction=True)

PER_MINUTE = 600
STEP = 5  # seconds that pass between two looks
FATES = [PAID] * 6 + [CANCELLED] * 3 + [UNANSWERED]
PATIENCE = 3600  # seconds


class Phones:
    """What really happened on each phone, as Daraja says when asked; `asked` holds the moments of the questions."""

    def __init__(self, daraja: FakeDaraja, payments: int) -> None:
        self.passed, self.begun, self.asked = 0.0, time.monotonic(), []
        product = make_product()
        self.payments = [make_transaction(order=make_order(product=product)) for _ in range(payments)]
        fates = zip(self.payments, FATES * (payments // len(FATES)), strict=True)
        self.fate = {payment.checkout_request_id: fate for payment, fate in fates}
        daraja.query = self._answer

    def _answer(self, checkout_request_id: str) -> QueryAnswer:
        self.asked.append(self.now)
        return self.fate[checkout_request_id]

    @property
    def now(self) -> float:
        return self.passed + time.monotonic() - self.begun

    def let_pass(self, seconds: float) -> None:
        self.passed += seconds
        let_pass(seconds)

    def of(self, fate: QueryAnswer) -> list[Transaction]:
        return [payment for payment in self.payments if self.fate[payment.checkout_request_id] is fate]

    @property
    def most_in_a_minute(self) -> int:
        return max(sum(start <= moment < start + 60 for moment in self.asked) for start in self.asked)


def _ask_until_all_is_known(daraja: FakeDaraja, payments: int) -> Phones:
    phones = Phones(daraja, payments)
    paid = {payment.pk for payment in phones.of(PAID)}
    completed = Transaction.objects.filter(status=Status.COMPLETED)
    while completed.count() < len(paid) or Transaction.objects.filter(status=Status.PENDING).exists():
        assert phones.now < PATIENCE, f"{completed.count()} of {len(paid)} paid ones are known"
        phones.let_pass(STEP)
        reconciler.run_pass()
    return phones


def _check(phones: Phones) -> None:
    wrong = [found for payment in phones.of(PAID) for found in violations(payment)]
    assert wrong == []
    for fate, reasons in ((CANCELLED, {"cancelled", "expired"}), (UNANSWERED, {"expired"})):
        kept = Transaction.objects.filter(pk__in=[payment.pk for payment in phones.of(fate)])
        assert set(kept.values_list("status", "order__status")) == {("FAILED", "OPEN")}
        assert set(kept.values_list("reason", flat=True)) <= reasons
    assert phones.most_in_a_minute <= PER_MINUTE


@pytest.mark.parametrize("payments", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_payments_whose_callbacks_were_all_lost_reach_the_true_state_by_asking(
    daraja: FakeDaraja, settings: Any, payments: int, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MPESA_QUERIES_PER_MINUTE = PER_MINUTE
    phones = _ask_until_all_is_known(daraja, payments)
    with capsys.disabled():
        print(
            f"\n{payments} payments without a callback: all known after {phones.now:.0f} s with {len(phones.asked)} "
            f"questions, at most {phones.most_in_a_minute} of {PER_MINUTE} in a minute"
        )
    _check(phones)
