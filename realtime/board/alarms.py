"""What is wrong with the shop as a whole: found by every process, raised once for all of them, told by e-mail.

An alarm goes on when its figures say so, and off when they have not said so for a minute: one that came and went with
every look would be a letter each time. Whoever changes the row writes the letters.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
import structlog
from django.conf import settings
from django.db import IntegrityError
from django.db.transaction import atomic
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from payments import mail
from payments.beside import run_beside
from payments.models import Discrepancy
from realtime.board import statistics
from realtime.models import Alarm, Probe
from realtime.processes import everybody

log = structlog.get_logger(__name__)

LOOK_EVERY = 10.0  # seconds
CLEARS_AFTER = timedelta(seconds=60)
PROBE_EVERY = timedelta(seconds=60)
PROBE_SECONDS = 5  # how long the public address may take
TOO_MANY_REFUSED = 0.05  # of the prompts of five minutes
ENOUGH = 3  # fewer than so many prove nothing


@dataclass(frozen=True)
class Words:
    """An alarm as a person reads it: what is wrong, and the next step."""

    title: str
    step: str


def words(kind: str, detail: dict[str, Any]) -> Words:
    """Return an alarm in the active language."""
    known = {
        "daraja_errors": Words(
            _("M-PESA refuses prompts: %(refused)d of %(pushes)d in five minutes") % _with(detail, "refused", "pushes"),
            _("Look at Safaricom's status and at the credentials; pause prompts if customers are being turned away."),
        ),
        "silent_callbacks": Words(
            _("Callbacks do not arrive: %(by_asking)d of %(settled)d payments were settled by asking M-PESA")
            % _with(detail, "by_asking", "settled"),
            _("Check that Safaricom can reach the public address. Payments still settle, only later."),
        ),
        "callback_url": Words(
            _("The public address does not answer as it should (%(problem)s)") % _with(detail, "problem"),
            _("Check DNS, certificate and proxy of %(url)s.") % {"url": settings.PUBLIC_BASE_URL},
        ),
        "reconciler": Words(
            _("Nobody asks M-PESA about open payments"),
            _("Start the server or `manage.py reconcile_payments --loop`: payments without a callback do not end."),
        ),
        "overdue": Words(
            _("Payments still open long after their time: %(overdue)d") % _with(detail, "overdue"),
            _("Open them, ask M-PESA now, and look at the reconciler's log."),
        ),
        "discrepancies": Words(
            _("Findings about money that need a person: %(open)d") % _with(detail, "open"),
            _("Open each payment and decide or resolve with a reason."),
        ),
    }
    return known.get(kind) or Words(kind, "")


def _with(detail: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: detail.get(name, 0) for name in names}


def findings() -> dict[str, dict[str, Any]]:
    """Return what is wrong now, with its figures."""
    lately = statistics.lately.get()
    found: dict[str, dict[str, Any]] = {}
    if lately.refused >= ENOUGH and lately.refused_share > TOO_MANY_REFUSED:
        found["daraja_errors"] = {"refused": lately.refused, "pushes": lately.pushes}
    if lately.by_asking >= ENOUGH and lately.by_asking > lately.by_callback:
        settled = lately.by_asking + lately.by_callback
        found["silent_callbacks"] = {"by_asking": lately.by_asking, "settled": settled}
    if lately.overdue:
        found["overdue"] = {"overdue": lately.overdue}
    if everybody().nobody_reconciles:
        found["reconciler"] = {}
    unresolved = open_discrepancies().count()
    if unresolved:
        found["discrepancies"] = {"open": unresolved}
    problem = Probe.objects.filter(environment=settings.MPESA_ENVIRONMENT).values_list("problem", flat=True).first()
    if problem:
        found["callback_url"] = {"problem": problem}
    return found


def open_discrepancies() -> Any:
    """Return what does not add up and has not been seen to."""
    unresolved = Discrepancy.objects.filter(resolved_at=None, transaction__environment=settings.MPESA_ENVIRONMENT)
    return unresolved.order_by("-opened_at")


def on_now() -> list[Alarm]:
    """Return the alarms that are on, the newest first."""
    return list(Alarm.objects.filter(environment=settings.MPESA_ENVIRONMENT, is_on=True).order_by("-since"))


# Watching -------------------------------------------------------------------------------------------------------


def watch(stop: threading.Event) -> threading.Thread:
    """Look every ten seconds until `stop` is set, in a thread that keeps nobody waiting."""
    return run_beside("alarms", look, every=LOOK_EVERY, stop=stop)


def look() -> None:
    """Probe the public address when that is due, then raise and clear what the figures say."""
    probe()
    found = findings()
    for kind, detail in found.items():
        _raise(kind, detail)
    for alarm in on_now():
        if alarm.kind not in found:
            _clear(alarm)


def _raise(kind: str, detail: dict[str, Any]) -> None:
    """Turn an alarm on and tell of it; while it is on, only note that it still is so."""
    now = timezone.now()
    mine = Alarm.objects.filter(environment=settings.MPESA_ENVIRONMENT, kind=kind)
    if mine.filter(is_on=True).update(seen_at=now, detail=detail):
        return
    with atomic():
        if not mine.filter(is_on=False).update(is_on=True, since=now, seen_at=now, detail=detail):
            try:
                with atomic():
                    Alarm.objects.create(
                        environment=settings.MPESA_ENVIRONMENT,
                        kind=kind,
                        is_on=True,
                        since=now,
                        seen_at=now,
                        detail=detail,
                    )
            except IntegrityError:
                return  # another process was faster, and tells
        _tell(mine.get())


def _clear(alarm: Alarm) -> None:
    now = timezone.now()
    quiet = Alarm.objects.filter(pk=alarm.pk, is_on=True, seen_at__lt=now - CLEARS_AFTER)
    with atomic():
        if quiet.update(is_on=False, since=now):
            alarm.is_on, alarm.since = False, now
            _tell(alarm)


def _tell(alarm: Alarm) -> None:
    """Write a letter to everybody in ALERT_EMAILS; its key holds the moment, so each change is told once."""
    log.warning("alarm.on" if alarm.is_on else "alarm.off", kind=alarm.kind)
    with translation.override(settings.LANGUAGE_CODE):
        told = words(alarm.kind, alarm.detail)
        subject = _("%(shop)s: %(what)s") if alarm.is_on else _("%(shop)s, over: %(what)s")
        board = f"{settings.PUBLIC_BASE_URL}{reverse('live_board')}"
        lines = [told.title, told.step if alarm.is_on else _("It is over."), board]
        for number, address in enumerate(settings.ALERT_EMAILS):
            mail.enqueue(
                key=f"alarm:{alarm.kind}:{alarm.since:%Y%m%dT%H%M%S.%f}:{number}",
                to=address,
                subject=subject % {"shop": settings.SHOP_NAME, "what": told.title},
                body="\n\n".join(str(line) for line in lines) + "\n",
            )


# The public address ---------------------------------------------------------------------------------------------


def probe() -> None:
    """Ask the public address once a minute, whichever process comes first, and note what it answered."""
    now, mine = timezone.now(), {"environment": settings.MPESA_ENVIRONMENT}
    _row, is_new = Probe.objects.get_or_create(**mine, defaults={"asked_at": now})
    if not is_new and not Probe.objects.filter(**mine, asked_at__lt=now - PROBE_EVERY).update(asked_at=now):
        return
    Probe.objects.filter(**mine).update(problem=problem_of(settings.PUBLIC_BASE_URL))


def problem_of(origin: str) -> str:
    """Return what is wrong with the callback address at `origin`, empty when it answers a GET with 405 as ours does."""
    try:
        answer = requests.get(f"{origin}/payments/callback/probe/", timeout=PROBE_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return type(error).__name__
    return "" if answer.status_code == requests.codes.method_not_allowed else str(answer.status_code)
