"""Prometheus text. What is counted in the database is counted over all workers; the rest is this process's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from payments import budget, delivery_figures, reconciler, spool, waiting
from payments.daraja import timing
from payments.models import Callback, Confirmation, Discrepancy, Mail, ReceiptClaim, Status, Transaction

_gauges: dict[str, tuple[str, Callable[[], float]]] = {}


def add_gauge(name: str, description: str, read: Callable[[], float]) -> None:
    """Have `/metrics` show `read()` under `papo_<name>`."""
    _gauges[name] = (description, read)


_collectors: list[Callable[[], Iterable[Metric]]] = []


def add_collector(collect: Callable[[], Iterable[Metric]]) -> None:
    """Have `/metrics` show what `collect` yields; adding it twice changes nothing."""
    if collect not in _collectors:
        _collectors.append(collect)


class _Collector:
    def collect(self) -> Iterator[Metric]:
        yield from _payments()
        yield from _evidence()
        yield from _due()
        yield from _letters()
        for name, (description, read) in _gauges.items():
            gauge = GaugeMetricFamily(f"papo_{name}", description)
            gauge.add_metric([], read())
            yield gauge
        for collect in _collectors:
            yield from collect()


def _payments() -> Iterator[Metric]:
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT).order_by()
    payments = GaugeMetricFamily("papo_payments", "Payments by status and reason", labels=["status", "reason"])
    for row in mine.values("status", "reason").annotate(payments=Count("id")):
        payments.add_metric([row["status"], row["reason"]], row["payments"])
    yield payments
    completed = mine.filter(status=Status.COMPLETED).aggregate(amount=Sum("amount"))["amount"]
    amount = GaugeMetricFamily("papo_completed_kes", "Whole KES of completed payments")
    amount.add_metric([], completed or 0)
    yield amount


def _due() -> Iterator[Metric]:
    """What the reconciler has before it: how much is due, and for how long."""
    now = timezone.now()
    due = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, check_after__lte=now)
    waiting = due.exclude(status=Status.COMPLETED).aggregate(payments=Count("id"), first=Min("check_after"))
    queue = GaugeMetricFamily("papo_reconciler_queue", "Payments whose question to Daraja is due")
    queue.add_metric([], waiting["payments"])
    yield queue
    age = GaugeMetricFamily("papo_reconciler_queue_age_seconds", "How long the first of them has been due")
    age.add_metric([], (now - waiting["first"]).total_seconds() if waiting["first"] else 0)
    yield age


def _evidence() -> Iterator[Metric]:
    mine = {"environment": settings.MPESA_ENVIRONMENT}
    callbacks = GaugeMetricFamily("papo_callbacks", "Stored callbacks by state", labels=["state"])
    for row in Callback.objects.filter(**mine).order_by().values("state").annotate(callbacks=Count("id")):
        callbacks.add_metric([row["state"]], row["callbacks"])
    yield callbacks
    by_hand = GaugeMetricFamily("papo_confirmations", "C2B confirmations by state", labels=["state"])
    for found in Confirmation.objects.filter(**mine).order_by().values("state").annotate(confirmations=Count("id")):
        by_hand.add_metric([found["state"]], found["confirmations"])
    yield by_hand
    claims = GaugeMetricFamily("papo_receipt_claims", "Codes that customers sent, by state", labels=["state"])
    for said in ReceiptClaim.objects.filter(**mine).order_by().values("state").annotate(claims=Count("id")):
        claims.add_metric([said["state"]], said["claims"])
    yield claims
    waiting_for_staff = GaugeMetricFamily("papo_discrepancies_open", "Unresolved discrepancies", labels=["kind"])
    unresolved = Discrepancy.objects.filter(resolved_at=None, transaction__environment=mine["environment"]).order_by()
    for finding in unresolved.values("kind").annotate(found=Count("id")):
        waiting_for_staff.add_metric([finding["kind"]], finding["found"])
    yield waiting_for_staff


def _letters() -> Iterator[Metric]:
    letters = GaugeMetricFamily("papo_letters", "E-mail by state", labels=["state"])
    mine = Mail.objects.filter(environment=settings.MPESA_ENVIRONMENT)
    states = {
        "sent": mine.exclude(sent_at=None),
        "waiting": mine.exclude(send_after=None),
        "given_up": mine.filter(sent_at=None, send_after=None),
    }
    for state, found in states.items():
        letters.add_metric([state], found.count())
    yield letters


def metrics_text() -> bytes:
    """Return everything as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Collector())
    return generate_latest(registry)


add_gauge("held_polls", "Polls that this process is holding", waiting.count)
add_gauge("spool_length", "Callbacks on disk, waiting for the database", spool.length)
add_gauge("spool_left", "Records on disk that only another release can read", spool.left)
add_gauge("reconciler_age_seconds", "Seconds since the last pass here", lambda: reconciler.last_pass_age() or 0.0)
add_collector(delivery_figures.collect)
add_collector(timing.collect)
add_collector(budget.collect)
add_collector(waiting.collect)
