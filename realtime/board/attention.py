"""What needs a person: every finding with what it means, the next step, and the way to the payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from payments.models import Callback, Channel, Confirmation, Discrepancy, ReceiptClaim, Refund, Status, Transaction
from payments.models import Finding as Drift
from realtime.board import alarms
from realtime.board.shared import Shared

Kind = Discrepancy.Kind
SHOWN = 20  # of each sort; the rest is a number and a link
STUCK_AFTER = timedelta(seconds=120)
UNSENT_AFTER = timedelta(seconds=20)  # longer than Daraja may take to answer a push
DOUBTFUL_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Raw:
    """What the database says, in no language; words are found for each reader."""

    alarms: list[Any]
    discrepancies: list[Discrepancy]
    open_discrepancies: int
    stuck: list[Transaction]
    doubtful: dict[str, int]
    waiting: dict[str, int]  # how many wait on a page of their own: money and claims without an order, refunds, drift


@dataclass(frozen=True)
class Finding:
    """One thing to see to. `key` stays the same while it is the same thing: new ones ring."""

    key: str
    tone: str
    title: str
    about: str
    step: str
    url: str
    since: datetime
    resolve: str = ""  # where it can be resolved with a reason


def load() -> Raw:
    """Read everything that needs a person; nine queries."""
    now = timezone.now()
    unresolved = alarms.open_discrepancies().select_related("transaction", "transaction__order")
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, status=Status.PENDING)
    stuck = mine.filter(created_at__lt=now - UNSENT_AFTER, channel=Channel.STK).select_related("order")
    waiting = stuck.order_by("created_at")[: 10 * SHOWN]
    doubtful = Callback.objects.filter(
        environment=settings.MPESA_ENVIRONMENT,
        state__in=(Callback.State.HINT, Callback.State.REJECTED),
        received_at__gte=now - DOUBTFUL_FOR,
    )
    states = list(doubtful.order_by().values_list("state", flat=True)[:1000])
    return Raw(
        alarms=[alarm for alarm in alarms.on_now() if alarm.kind != "discrepancies"],
        discrepancies=list(unresolved[:SHOWN]),
        open_discrepancies=alarms.open_discrepancies().count(),
        stuck=[payment for payment in waiting if _is_stuck(payment, now)],
        doubtful={state: states.count(state) for state in set(states)},
        waiting=_waiting(),
    )


def _waiting() -> dict[str, int]:
    mine = {"environment": settings.MPESA_ENVIRONMENT}
    undecided = Q(state=Refund.State.UNKNOWN)
    undecided |= Q(state=Refund.State.REQUESTED, needs_second_person=True, approved_by=None)
    return {
        "confirmation": Confirmation.objects.filter(**mine, state=Confirmation.State.UNMATCHED).count(),
        "receiptclaim": ReceiptClaim.objects.filter(**mine, state=ReceiptClaim.State.FOR_STAFF).count(),
        "refund": Refund.objects.filter(undecided, **mine).count(),
        "finding": Drift.objects.filter(**mine, resolved_at=None).count(),
    }


def _is_stuck(payment: Transaction, now: datetime) -> bool:
    """Whether it has waited too long, or Daraja never said whether it had sent the prompt."""
    return payment.created_at < now - STUCK_AFTER or payment.checkout_request_id is None


def findings(raw: Raw) -> list[Finding]:
    """Return what to see to, the most urgent sort first, in the active language."""
    found = [_alarm(alarm) for alarm in raw.alarms]
    found += [_discrepancy(row) for row in raw.discrepancies]
    found += [_elsewhere(name, waiting) for name, waiting in raw.waiting.items() if waiting]
    found += [_stuck(payment) for payment in raw.stuck[:SHOWN]]
    return found + [_doubtful(state, count) for state, count in sorted(raw.doubtful.items())]


def count(raw: Raw) -> int:
    """Return how many things there are to see to, also those that are not listed."""
    return len(raw.alarms) + raw.open_discrepancies + len(raw.stuck) + sum(raw.waiting.values())


def _alarm(alarm: Any) -> Finding:
    told = alarms.words(alarm.kind, alarm.detail)
    url = reverse("admin:payments_transaction_changelist") + "?status=PENDING" if alarm.kind == "overdue" else ""
    return Finding(f"alarm-{alarm.kind}-{alarm.since:%s}", "stop", told.title, "", told.step, url, alarm.since)


def _discrepancy(row: Discrepancy) -> Finding:
    payment = row.transaction
    about, step = _meaning(row, payment)
    return Finding(
        key=f"discrepancy-{row.pk}",
        tone="info" if row.blocking else "stop",
        title=f"{row.get_kind_display()} · {payment.order.number}",
        about=about,
        step=step,
        url=_payment_url(payment),
        since=row.opened_at,
        resolve="" if row.blocking and payment.under_review else _resolve_url(payment),
    )


def _meaning(row: Discrepancy, payment: Transaction) -> tuple[str, str]:
    """Return what a finding says about the money, and what to do."""
    money = {"amount": f"KES {payment.amount:,}", "told": row.evidence.get("told", "?")}
    decide = _("Compare with M-PESA's own list, then decide.")
    meanings: dict[str, tuple[str, str]] = {
        Kind.AMOUNT_DIFFERS: (_("Asked %(amount)s, the callback says %(told)s.") % money, decide),
        Kind.IDS_DIFFER: (_("An answer about %(amount)s names another payment.") % money, decide),
        Kind.RECEIPT_REUSED: (_("Its receipt already belongs to another payment of ours."), decide),
        Kind.SURPLUS: (
            _("%(amount)s came though the order was already paid.") % money,
            _("Send the money back, then resolve."),
        ),
        Kind.OVERPAID: (_("More came than was due."), _("Send the rest back, then resolve.")),
        Kind.LATE: (
            _("%(amount)s came after the customer had read that it was not paid.") % money,
            _("See that the order is packed, then resolve."),
        ),
        Kind.PAID_AFTER_CANCEL: (
            _("%(amount)s came for a cancelled order.") % money,
            _("Deliver it or send the money back, then resolve."),
        ),
        Kind.CONTRADICTION: (_("M-PESA has said that it was paid, and that it was not."), decide),
        Kind.UNKNOWN_CODE: (
            _("M-PESA answered with a code that is in no list."),
            _("Look the code up, ask M-PESA now, then resolve."),
        ),
    }
    return meanings.get(row.kind, ("", _("Open the payment, then resolve with a reason.")))


def _elsewhere(name: str, waiting: int) -> Finding:
    title, step, which = {
        "confirmation": (
            _("Paid by hand, for no order we know"),
            _("Match the money to an order, or set it aside."),
            f"?state__exact={Confirmation.State.UNMATCHED}",
        ),
        "receiptclaim": (
            _("Customers say that they have paid"),
            _("Look their codes up, then close each."),
            f"?state__exact={ReceiptClaim.State.FOR_STAFF}",
        ),
        "refund": (
            _("Refunds that wait for a person"),
            _("Let a second person decide, or find out at M-PESA what became of them."),
            "",
        ),
        "finding": (
            _("Our books and M-PESA's differ"),
            _("Look each difference up, then resolve it with a reason."),
            "",
        ),
    }[name]
    url = reverse(f"admin:payments_{name}_changelist") + which
    return Finding(f"{name}-{waiting}", "wait", f"{title} · {waiting}", "", step, url, timezone.now())


def _stuck(payment: Transaction) -> Finding:
    known = payment.checkout_request_id is not None
    return Finding(
        key=f"stuck-{payment.pk}",
        tone="wait",
        title=(_("Stuck · %(order)s") if known else _("Outcome unknown · %(order)s")) % {"order": payment.order.number},
        about=_("KES %(amount)s without an answer.") % {"amount": f"{payment.amount:,}"},
        step=_("Ask M-PESA now.") if known else _("Wait for its callback; the customer must not pay again yet."),
        url=_payment_url(payment),
        since=payment.created_at,
    )


def _doubtful(state: str, count: int) -> Finding:
    rejected = state == Callback.State.REJECTED
    title = (
        _("%(count)d bodies at a payment's secret address were no callbacks")
        if rejected
        else _("%(count)d callbacks came without a token or from an unexpected address")
    )
    return Finding(
        key=f"doubtful-{state}",
        tone="wait",
        title=title % {"count": count},
        about=_("In the last hour. They changed nothing; M-PESA was asked instead."),
        step=_("Look at them."),
        url=f"{reverse('admin:payments_callback_changelist')}?state__exact={state}",
        since=timezone.now() - DOUBTFUL_FOR,
    )


def _payment_url(payment: Transaction) -> str:
    return reverse("admin:payments_transaction_change", args=[payment.pk])


def _resolve_url(payment: Transaction) -> str:
    return reverse("admin:payments_transaction_act", args=[payment.pk, "resolve"])


now = Shared(load, seconds=2)
