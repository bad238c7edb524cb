"""Money back: who may, how much, once, and what is known of it in the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError
from django.utils import timezone

from payments import budget, refunds
from payments.conversations import hearing, tell
from payments.daraja import operator
from payments.daraja.client import DarajaRefused, DarajaThrottled, DarajaUnreachable, OutcomeUnknown
from payments.daraja.later import Result
from payments.daraja.operator import Acknowledged
from payments.history import open_discrepancy
from payments.models import Conversation, Discrepancy, Reason, Refund, Status, Transaction
from payments.refunds import RefundRefused, following
from payments.refunds.decisions import prepared
from payments.tests.conftest import raising
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

State = Refund.State
IDS = Acknowledged("29115-1-1", "AG_20261125_1")


def make_supervisor(name: str = "wanjiru") -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["refund_transaction", "view_refund"]))
    return user


@pytest.fixture
def wanjiru() -> User:
    return make_supervisor()


@pytest.fixture
def payment() -> Transaction:
    return make_transaction(status=Status.COMPLETED, mpesa_receipt_number="UKP7R2X0QD")


class Reversals:
    """Stands in for M-PESA: `answer` is what it answers, or raises; `asked` what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.questions: list[dict[str, Any]] = []
        self.answer: Callable[..., Acknowledged] = lambda **asked: IDS

    def reversal(self, **asked: Any) -> Acknowledged:
        self.asked.append(asked)
        return self.answer(**asked)

    def transaction_status(self, **asked: Any) -> Acknowledged:
        self.questions.append(asked)
        return Acknowledged("29115-2-2", "AG_20261125_2")


@pytest.fixture(autouse=True)
def mpesa(monkeypatch: pytest.MonkeyPatch) -> Reversals:
    fake = Reversals()
    monkeypatch.setattr(operator, "reversal", fake.reversal)
    monkeypatch.setattr(operator, "transaction_status", fake.transaction_status)
    return fake


def send_back(payment: Transaction, by: User, amount: int = 1500) -> Refund:
    return refunds.send(refunds.request_reversal(payment.pk, amount=amount, reason="Paid twice", by=by))


def told(code: str = "0", receipt: str = "UKP0000009", **parameters: Any) -> Result:
    return Result(code, "as told", *vars(IDS).values(), receipt, {name: [value] for name, value in parameters.items()})


def hear(refund: Refund, result: Result | None) -> str:
    assert refund.conversation is not None
    outcome = tell(refund.conversation, result)
    refund.refresh_from_db()
    refund.transaction.refresh_from_db()
    return outcome


def test_a_reversal_goes_out_and_comes_home(payment: Transaction, wanjiru: User, mpesa: Reversals) -> None:
    refund = send_back(payment, wanjiru)
    assert (refund.state, refund.sent_at is not None) == (State.ACCEPTED, True)
    [asked] = mpesa.asked
    assert (asked["receipt"], asked["amount"], asked["remarks"]) == ("UKP7R2X0QD", 1500, "Paid twice")
    hear(refund, told())
    assert (refund.state, refund.receipt) == (State.DONE, "UKP0000009")
    assert (refund.transaction.refunded_amount, refund.transaction.version) == (1500, 2)
    assert refund.transaction.status == Status.COMPLETED


def test_what_is_done_is_done_once(payment: Transaction, wanjiru: User) -> None:
    refund = send_back(payment, wanjiru)
    for result in (told(), told(), told("R000001"), told("1"), told("4711"), None):
        hear(refund, result)
    assert (refund.state, refund.transaction.refunded_amount, refund.transaction.version) == (State.DONE, 1500, 2)


def test_it_is_sent_once_however_often_the_button_is_pressed(
    payment: Transaction, wanjiru: User, mpesa: Reversals
) -> None:
    refund = send_back(payment, wanjiru)
    stale = Refund.objects.get(pk=refund.pk)
    stale.state, stale.sent_at = State.REQUESTED, None
    for again in (refund, stale):
        refunds.send(again)
    assert len(mpesa.asked) == 1


@pytest.mark.parametrize("amount", [0, -1, 1501])
def test_never_more_than_was_paid(payment: Transaction, wanjiru: User, amount: int) -> None:
    with pytest.raises(RefundRefused, match="at most KES 1,500"):
        refunds.request_reversal(payment.pk, amount=amount, reason="x", by=wanjiru)


def test_what_may_have_gone_back_counts(payment: Transaction, wanjiru: User, mpesa: Reversals) -> None:
    mpesa.answer = raising(OutcomeUnknown("ReadTimeout"))
    assert send_back(payment, wanjiru, 1000).state == State.UNKNOWN
    with pytest.raises(RefundRefused, match="at most KES 500"):
        refunds.record_by_hand(payment.pk, amount=501, reason="x", by=wanjiru)
    refunds.record_by_hand(payment.pk, amount=500, reason="cash", by=wanjiru)
    assert refunds.refundable(Transaction.objects.get(pk=payment.pk)) == 0


def test_the_database_keeps_it_within_the_amount(payment: Transaction) -> None:
    with pytest.raises(IntegrityError):
        Transaction.objects.filter(pk=payment.pk).update(refunded_amount=1501)


def test_one_reversal_a_payment_and_the_rest_by_hand(payment: Transaction, wanjiru: User) -> None:
    hear(send_back(payment, wanjiru, 700), told())
    with pytest.raises(RefundRefused, match="by hand"):
        refunds.request_reversal(payment.pk, amount=100, reason="x", by=wanjiru)
    refund = refunds.record_by_hand(payment.pk, amount=800, reason="cash", by=wanjiru, reference="till 3")
    payment.refresh_from_db()
    assert (refund.state, refund.receipt, payment.refunded_amount) == (State.DONE, "till 3", 1500)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": Status.PENDING}, "completed"),
        ({"status": Status.FAILED, "reason": Reason.EXPIRED}, "completed"),
        ({"environment": "sandbox"}, "environment"),
        ({"mpesa_receipt_number": None}, "receipt"),
    ],
)
def test_what_cannot_go_back(wanjiru: User, changes: dict[str, Any], words: str) -> None:
    fields = {"status": Status.COMPLETED, "mpesa_receipt_number": "UKP7R2X0QD", **changes}
    with pytest.raises(RefundRefused, match=words):
        refunds.request_reversal(make_transaction(**fields).pk, amount=1, reason="x", by=wanjiru)


def test_only_with_permission_a_reason_and_an_operator(payment: Transaction, wanjiru: User, settings: Any) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    with pytest.raises(RefundRefused, match="supervisor"):
        refunds.request_reversal(payment.pk, amount=1, reason="x", by=clerk)
    with pytest.raises(RefundRefused, match="why"):
        refunds.request_reversal(payment.pk, amount=1, reason=" ", by=wanjiru)
    settings.MPESA_INITIATOR_NAME = ""
    with pytest.raises(RefundRefused, match="operator"):
        refunds.request_reversal(payment.pk, amount=1, reason="x", by=wanjiru)
    assert refunds.record_by_hand(payment.pk, amount=1, reason="cash", by=wanjiru).state == State.DONE


def test_above_the_limit_a_second_person_approves(
    payment: Transaction, wanjiru: User, mpesa: Reversals, settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 1000
    refund = send_back(payment, wanjiru)
    assert (refund.state, refund.waits_for_second_person, mpesa.asked) == (State.REQUESTED, True, [])
    with pytest.raises(RefundRefused, match="second person"):
        refunds.approve(refund.pk, by=wanjiru)
    kamau = make_supervisor("kamau")
    assert refunds.send(refunds.approve(refund.pk, by=kamau)).state == State.ACCEPTED
    with pytest.raises(RefundRefused):
        refunds.approve(refund.pk, by=kamau)
    assert len(mpesa.asked) == 1
    assert [entry.user.username for entry in LogEntry.objects.order_by("pk")] == ["wanjiru", "kamau"]


def test_by_hand_above_the_limit_counts_once_approved(payment: Transaction, wanjiru: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 0
    refund = refunds.record_by_hand(payment.pk, amount=1500, reason="cash", by=wanjiru)
    assert refund.state == State.REQUESTED
    assert refunds.approve(refund.pk, by=make_supervisor("kamau")).state == State.DONE
    payment.refresh_from_db()
    assert payment.refunded_amount == 1500


def test_small_parts_of_much_money_need_a_second_person_too(payment: Transaction, wanjiru: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 1000
    parts = [refunds.record_by_hand(payment.pk, amount=500, reason="cash", by=wanjiru) for _ in range(3)]
    assert [part.state for part in parts] == [State.DONE, State.DONE, State.REQUESTED]


def test_a_declined_refund_frees_the_money(payment: Transaction, wanjiru: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 0
    refund = send_back(payment, wanjiru)
    assert refunds.decline(refund.pk, by=wanjiru, why="a mistake").state == State.FAILED
    assert refunds.refundable(payment) == 1500
    assert refunds.send(refund).sent_at is None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DarajaRefused("400.002.02", "Bad Request", Reason.NOT_SENT), State.FAILED),
        (DarajaUnreachable("ConnectTimeout"), State.FAILED),
        (OutcomeUnknown("ReadTimeout"), State.UNKNOWN),
    ],
)
def test_how_asking_went_decides_what_is_known(
    payment: Transaction, wanjiru: User, mpesa: Reversals, error: Exception, state: str
) -> None:
    mpesa.answer = raising(error)
    refund = send_back(payment, wanjiru)
    assert refund.state == state
    hear(refund, told())
    assert (refund.state, refund.transaction.refunded_amount) == (State.DONE, 1500)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("R000001", State.DONE),
        ("R000002", State.FAILED),
        ("1", State.FAILED),
        ("8006", State.FAILED),
        ("26", State.UNKNOWN),
        ("E3008", State.UNKNOWN),
    ],
)
def test_what_a_code_means(payment: Transaction, wanjiru: User, code: str, state: str) -> None:
    refund = send_back(payment, wanjiru)
    hear(refund, told(code))
    assert refund.state == state
    assert refund.transaction.refunded_amount == (1500 if state == State.DONE else 0)


def test_silence_is_asked_about_and_never_sent_again(payment: Transaction, wanjiru: User, mpesa: Reversals) -> None:
    refund = send_back(payment, wanjiru)
    Conversation.objects.update(answer_due_at=timezone.now() - timedelta(seconds=1))
    assert hearing.give_up_overdue() == 1
    refund.refresh_from_db()
    assert refund.state == State.UNKNOWN
    assert (following.ask_about_unknown(), following.ask_about_unknown()) == (1, 0)
    [question] = mpesa.questions
    assert question["originator_conversation_id"] == IDS.originator_conversation_id
    assert len(mpesa.asked) == 1


def _unknown(payment: Transaction, by: User) -> Refund:
    refund = send_back(payment, by)
    Refund.objects.filter(pk=refund.pk).update(state=State.UNKNOWN, ask_after=timezone.now())
    return refund


def test_nobody_is_asked_while_mpesa_wants_silence_and_no_question_is_used_up(
    payment: Transaction, wanjiru: User, mpesa: Reversals
) -> None:
    refund = _unknown(payment, wanjiru)
    due_at = Refund.objects.get().ask_after
    budget.be_silent()
    assert following.ask_about_unknown() == 0
    refund.refresh_from_db()
    assert (mpesa.questions, refund.asked, refund.ask_after) == ([], 0, due_at)


def test_a_question_that_was_throttled_is_asked_again_when_the_silence_is_over(
    payment: Transaction, wanjiru: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = _unknown(payment, wanjiru)
    monkeypatch.setattr(operator, "transaction_status", raising(DarajaThrottled("429", "Spike Arrest", Reason.BUSY)))
    assert following.ask_about_unknown() == 0
    refund.refresh_from_db()
    assert (refund.asked, refund.ask_after) == (0, budget.silent_until())


def ask_and_hear(refund: Refund, **parameters: Any) -> None:
    Refund.objects.filter(pk=refund.pk).update(state=State.UNKNOWN, ask_after=timezone.now())
    following.ask_about_unknown()
    question = Conversation.objects.get(purpose=following.QUESTION)
    tell(question, told(**{"ReceiptNo": "UKP0000009", "TransactionStatus": "Completed", "Amount": 1500, **parameters}))
    refund.refresh_from_db()


@pytest.mark.parametrize(
    ("parameters", "state"),
    [
        ({}, State.DONE),
        ({"TransactionStatus": "Declined"}, State.FAILED),
        ({"TransactionStatus": "Authorized"}, State.UNKNOWN),
        ({"Amount": 15}, State.UNKNOWN),
        ({"ReceiptNo": "UKP7R2X0QD"}, State.UNKNOWN),  # the payment itself
        ({"ReceiptNo": None}, State.UNKNOWN),
        ({"code": "R000002"}, State.UNKNOWN),
    ],
)
def test_what_an_answer_proves(payment: Transaction, wanjiru: User, parameters: dict[str, Any], state: str) -> None:
    refund = send_back(payment, wanjiru)
    ask_and_hear(refund, **parameters)
    assert refund.state == state


def test_a_person_settles_what_nobody_knows(payment: Transaction, wanjiru: User, mpesa: Reversals) -> None:
    mpesa.answer = raising(OutcomeUnknown("ReadTimeout"))
    refund = send_back(payment, wanjiru)
    refund = refunds.settle_unknown(refund.pk, sent_back=False, by=wanjiru, why="not in the portal")
    assert (refund.state, refunds.refundable(payment)) == (State.FAILED, 1500)
    with pytest.raises(RefundRefused):
        refunds.settle_unknown(refund.pk, sent_back=True, by=wanjiru, why="again")


def test_a_late_success_of_a_first_try_is_not_counted_beside_the_second(
    payment: Transaction, wanjiru: User, mpesa: Reversals
) -> None:
    mpesa.answer = raising(OutcomeUnknown("ReadTimeout"))
    first = send_back(payment, wanjiru)
    refunds.settle_unknown(first.pk, sent_back=False, by=wanjiru, why="not in the portal yet")
    mpesa.answer = lambda **asked: IDS
    second = send_back(payment, wanjiru)
    first.refresh_from_db()
    hear(first, told())
    hear(second, told("R000001"))
    payment.refresh_from_db()
    assert (first.state, second.state, payment.refunded_amount) == (State.FAILED, State.DONE, 1500)


def test_a_surplus_is_prepared_and_resolved_once_it_has_gone_back(payment: Transaction, wanjiru: User) -> None:
    open_discrepancy(payment, Discrepancy.Kind.SURPLUS, amount=1500)
    assert [finding.transaction_id for finding in prepared()] == [payment.pk]
    refund = send_back(payment, wanjiru)
    assert not prepared()
    assert Discrepancy.objects.get().resolved_at is None
    hear(refund, told())
    assert Discrepancy.objects.get().resolved_by == wanjiru
