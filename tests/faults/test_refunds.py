"""Money back through every fault: at most once by M-PESA's own ledger, and the true state in the end.

The simulator and the shop stand behind one live server; the faults are the simulator's, and processes that die.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from payments import refunds
from payments.conversations import hearing
from payments.models import Conversation, ConversationResult, Refund, Status, Transaction
from payments.refunds import following
from simulator import conversations, courier, record
from simulator.conversations import Answer, Asked, Kind, Plan, ResultDelivery
from tests.books.week import write_ledger
from tests.factories import make_transaction
from tests.faults.crashing import Crasher, running_crasher

pytestmark = pytest.mark.django_db(transaction=True)

State = Refund.State
AMOUNT = 1500  # KES
PATIENCE = 20  # seconds until what is on its way must have arrived


AS_IT_SHOULD = Plan()


@dataclass(frozen=True)
class Fault:
    """What goes wrong: on the way of the request, of its result, of the question about it; or where we die."""

    reversal: Plan = AS_IT_SHOULD
    status: Plan = AS_IT_SHOULD
    dies: tuple[str, str] | None = None  # when, and at which function below payments
    reversed_before: bool = False  # somebody did it in M-PESA's portal
    needs_person: bool = False  # neither M-PESA nor we can know


FAULTS = {
    "nothing": Fault(),
    "lost answer": Fault(Plan(Answer.LOST)),
    "a gateway's answer": Fault(Plan(Answer.GATEWAY)),
    "late result": Fault(Plan(delivery=ResultDelivery.LATE), Plan(delivery=ResultDelivery.LOST)),
    "late result, asked meanwhile": Fault(Plan(delivery=ResultDelivery.LATE)),
    "result twice": Fault(Plan(delivery=ResultDelivery.TWICE)),
    "result before the answer": Fault(Plan(delivery=ResultDelivery.BEFORE_ANSWER)),
    "result before a lost answer": Fault(Plan(Answer.LOST, ResultDelivery.BEFORE_ANSWER)),
    "lost result": Fault(Plan(delivery=ResultDelivery.LOST)),
    "queue timeout": Fault(Plan(delivery=ResultDelivery.QUEUE_TIMEOUT)),
    "success, then a failure": Fault(Plan(delivery=ResultDelivery.CONTRADICTED)),
    "R000001": Fault(reversed_before=True),
    "a failure": Fault(Plan(result="2006")),
    "an unlisted code": Fault(Plan(result="4711"), needs_person=True),
    "lost answer and lost result": Fault(Plan(Answer.LOST, ResultDelivery.LOST), needs_person=True),
    "internal error": Fault(Plan(Answer.INTERNAL_ERROR), needs_person=True),
    "throttled": Fault(Plan(Answer.THROTTLED)),
    "killed when it is claimed": Fault(dies=("after", "refunds.sending._claim"), needs_person=True),
    "killed before it is sent": Fault(dies=("before", "daraja.operator.reversal"), needs_person=True),
    "killed when it is sent": Fault(dies=("after", "daraja.operator.reversal")),
    "killed before the answer is noted": Fault(dies=("before", "conversations.asking._note")),
    "killed before the state is noted": Fault(
        Plan(delivery=ResultDelivery.LATE), dies=("before", "refunds.sending.change")
    ),
}


@pytest.fixture(scope="module")
def crasher(django_db_setup: None) -> Iterator[Crasher]:
    with running_crasher() as found:
        yield found


@pytest.fixture
def supervisor() -> User:
    user = User.objects.create_user("wanjiru", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="refund_transaction"))
    return user


@pytest.fixture(autouse=True)
def _mpesa(live_server: Any, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SIMULATOR_RECORD = tmp_path / "simulator.sqlite3"
    settings.SIMULATOR_RESULT_SECONDS, settings.SIMULATOR_LATE_SECONDS = 0.02, 0.6
    settings.PUBLIC_BASE_URL = live_server.url
    settings.DARAJA_BASE_URL = f"{live_server.url}/simulator"
    yield
    courier.stop()


def make_paid(number: int) -> Transaction:
    """Write a payment into both records."""
    receipt = f"UKP{uuid.uuid4().hex[:7].upper()}"
    payment = make_transaction(
        status=Status.COMPLETED, mpesa_receipt_number=receipt, amount=AMOUNT, completed_at=timezone.now()
    )
    row = {"receipt": receipt, "phone_number": payment.phone_number, "amount": AMOUNT, "at": timezone.now()}
    write_ledger([{**row, "account_reference": payment.account_reference}], number)
    return payment


def reverse_in_the_portal(payment: Transaction, settings: Any) -> None:
    asked = Asked(
        kind=Kind.REVERSAL,
        business_short_code=settings.MPESA_SHORTCODE,
        result_url="",
        timeout_url="",
        is_operator=True,
        receipt=payment.mpesa_receipt_number or "",
        amount=AMOUNT,
    )
    conversations.carry_out(asked, Plan(delivery=ResultDelivery.LOST))


def send_back(payment: Transaction, fault: Fault, by: User, crasher: Crasher, settings: Any) -> Refund:
    """Do what the supervisor does, with a second press of the button where we live to see it."""
    if fault.reversed_before:
        reverse_in_the_portal(payment, settings)
    refund = refunds.request_reversal(payment.pk, amount=AMOUNT, reason="Paid twice", by=by)
    if fault.dies:
        when, function = fault.dies
        places = {"daraja": settings.DARAJA_BASE_URL, "shop": settings.PUBLIC_BASE_URL}
        crasher.crash("send refund", when, function, refund=str(refund.pk), **places)
    refunds.send(Refund.objects.get(pk=refund.pk))
    refunds.send(refund)
    return refund


def wait_for_deliveries() -> None:
    """Wait until the simulator has posted what it means to, and we have worked through it."""
    give_up = time.monotonic() + PATIENCE
    while True:
        with record.reading() as db:
            on_the_way = record.first(db, "SELECT 1 FROM posts WHERE state IN ('waiting', 'sending')", [])
        if not on_the_way and not ConversationResult.objects.filter(state="received").exists():
            return
        assert time.monotonic() < give_up, "something is still on its way"
        time.sleep(0.02)


def let_time_pass() -> None:
    """Let every waiting end and every question fall due, as hours would."""
    past = timezone.now() - timedelta(seconds=1)
    Conversation.objects.filter(answer_due_at__isnull=False).update(answer_due_at=past)
    hearing.give_up_overdue()
    Refund.objects.filter(ask_after__isnull=False).update(ask_after=past)
    following.ask_about_unknown()


def run(fault: Fault, count: int, by: User, crasher: Crasher, settings: Any) -> tuple[list[Refund], int]:
    """Send so many refunds through one fault and wait for their ends; return them, and how many a person settled."""
    with record.writing() as db:
        db.execute("DELETE FROM posts")
    # Short only where the answer never comes: on a busy machine, others must not be lost by mere slowness.
    settings.DARAJA_TIMEOUT_SECONDS = 1 if fault.reversal.answer is Answer.LOST else 20
    conversations.change_plan(Kind.REVERSAL, fault.reversal)
    conversations.change_plan(Kind.TRANSACTION_STATUS, fault.status)
    first = Transaction.objects.count()
    sent = [send_back(make_paid(first + number), fault, by, crasher, settings) for number in range(count)]
    settings.MPESA_QUERIES_PER_MINUTE = 60_000
    for _ in range(1 + count // following.BATCH):
        if fault.reversal.delivery is not ResultDelivery.LATE:
            wait_for_deliveries()
        let_time_pass()
    wait_for_deliveries()
    unknown = Refund.objects.filter(pk__in=[refund.pk for refund in sent], state=State.UNKNOWN)
    by_person = [settle_by_the_portal(refund, by) for refund in unknown]
    return list(Refund.objects.filter(pk__in=[refund.pk for refund in sent])), len(by_person)


def settle_by_the_portal(refund: Refund, by: User) -> None:
    found = conversations.reversals(refund.transaction.mpesa_receipt_number or "")
    refunds.settle_unknown(refund.pk, sent_back=bool(found), by=by, why="looked into the portal")


def wrongs(refund: Refund) -> list[str]:
    """Return what is not true of a refund whose story has ended."""
    payment = Transaction.objects.get(pk=refund.transaction_id)
    ledger = conversations.reversals(payment.mpesa_receipt_number or "")
    went_back = sum(reversal["amount"] for reversal in ledger)
    rules = {
        "money went back at most once": len(ledger) <= 1,
        "its end is known": refund.state in {State.DONE, State.FAILED},
        "done means that the money is back": (refund.state == State.DONE) == (went_back == AMOUNT),
        "the payment says what went back": payment.refunded_amount == went_back,
        "the payment was changed once, or not at all": payment.version == 1 + len(ledger),
        "it was sent once": Conversation.objects.filter(subject=str(refund.pk), kind="reversal").count() == 1,
    }
    return [f"{rule}: {refund.state} {refund.outcome!r}" for rule, holds in rules.items() if not holds]


def check(name: str, count: int, by: User, crasher: Crasher, settings: Any) -> Counter[str]:
    fault = FAULTS[name]
    ended, by_person = run(fault, count, by, crasher, settings)
    assert len(ended) == count
    assert [wrong for refund in ended for wrong in wrongs(refund)] == []
    assert by_person == (count if fault.needs_person else 0)
    return Counter({"runs": count, "back": sum(refund.state == State.DONE for refund in ended), "person": by_person})


@pytest.mark.parametrize("name", FAULTS)
def test_money_goes_back_once_and_the_state_is_true(
    name: str, supervisor: User, crasher: Crasher, settings: Any
) -> None:
    check(name, 1, supervisor, crasher, settings)


@pytest.mark.long
def test_five_hundred_refunds(supervisor: User, crasher: Crasher, settings: Any) -> None:
    each = -(-500 // len(FAULTS))
    told = sum((check(name, each, supervisor, crasher, settings) for name in FAULTS), Counter())
    print(f"\n{told['runs']} refunds: {told['back']} went back, {told['person']} were settled by a person")
    assert told["runs"] >= 500
