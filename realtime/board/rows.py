"""The feed's lines: payments as staff read them, in the active language."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from payments.models import Delivery, Reason, Source, Status, Transaction, TransactionEvent
from payments.phone_numbers import mask_local
from payments.search import Search

SHOWN = 200
MARGIN = 200  # lines of history read again after a reconnect: one with a lower number may be committed later
_TONES = {Status.COMPLETED: "ok", Status.PENDING: "wait", Status.FAILED: "stop"}
_ICONS = {"ok": "✓", "wait": "…", "stop": "×", "info": "?"}


def newest(search: Search) -> list[Transaction]:
    """Return the payments that the board begins with."""
    return list(_with_details(search.payments())[:SHOWN])


def among(search: Search, transaction_ids: Iterable[UUID]) -> list[Transaction]:
    """Return those of `transaction_ids` that the filters let through, the newest first."""
    return list(_with_details(search.payments().filter(pk__in=list(transaction_ids))))


def _with_details(payments: QuerySet[Transaction]) -> QuerySet[Transaction]:
    attempts = Transaction.objects.filter(order=OuterRef("order"), created_at__lte=OuterRef("created_at")).order_by()
    attempt = Subquery(attempts.values("order").annotate(n=Count("pk")).values("n"))
    return payments.select_related("order", "delivery").annotate(attempt=attempt)


def end_of_history() -> int:
    """Return the number of the last line of all payments' history: what a board has seen up to."""
    return TransactionEvent.objects.aggregate(end=Max("pk"))["end"] or 0


def changed_since(cursor: int) -> list[UUID]:
    """Return the payments with lines after `cursor`, the last to change first, as many as a board shows."""
    lines = TransactionEvent.objects.filter(
        pk__gt=cursor - MARGIN, transaction__environment=settings.MPESA_ENVIRONMENT
    ).order_by()
    newest_first = lines.values("transaction_id").annotate(last=Max("pk")).order_by("-last")
    return list(newest_first.values_list("transaction_id", flat=True)[:SHOWN])


def row(payment: Any) -> dict[str, Any]:
    """Return one line of the feed; `at` in milliseconds.

    As text where that costs nothing: a template's filters take five times as long, for 25 lines four times a second.
    """
    tone = "info" if payment.under_review else _TONES[payment.status]
    settled_at = payment.completed_at or payment.failed_at
    created, on_screen = timezone.localtime(payment.created_at), _on_screen(payment)
    return {
        "id": str(payment.pk),
        "version": str(payment.version),
        "at": str(int(created.timestamp() * 1000)),
        "created": created.isoformat(timespec="seconds"),
        "clock": _clock(created),
        "url": reverse("admin:payments_transaction_change", args=[payment.pk]),
        "order": payment.order.number,
        "phone": mask_local(payment.phone_number),
        "amount": f"{payment.amount:,}",
        "tone": tone,
        "icon": _ICONS[tone],
        "word": _word(payment),
        "mark": _mark(payment),
        "heard_by": str(Source(payment.settled_by).label) if settled_at and payment.settled_by else "",
        "took": f"{(settled_at - payment.created_at).total_seconds():.1f} s" if settled_at else "",
        "on_screen": "" if on_screen is None else f"{on_screen:.2f} s",
        "attempt": _("try %(attempt)s") % {"attempt": payment.attempt} if payment.attempt > 1 else "",
        "receipt": payment.mpesa_receipt_number or "",
    }


def _clock(created: datetime) -> str:
    is_today = created.date() == timezone.localdate()
    return f"{created:%H:%M:%S}" if is_today else date_format(created, "j M H:i")


def _word(payment: Transaction) -> str:
    if payment.under_review:
        return _("Under review")
    if payment.status == Status.FAILED and payment.reason:
        return str(Reason(payment.reason).label)
    return str(Status(payment.status).label)


def _mark(payment: Transaction) -> str:
    if payment.refunded_amount:
        return _("sent back")
    if payment.surplus:
        return _("paid twice")
    return _("late") if payment.late else ""


def _on_screen(payment: Transaction) -> float | None:
    """Return the seconds from the callback to the customer's screen, None while nobody has said that it is there."""
    try:
        delivery = payment.delivery
    except Delivery.DoesNotExist:
        return None
    return delivery.seconds_to_screen
