"""The second way to the truth: ask Daraja about payments that no callback has settled, and end the waiting in time.

`check_after` is the queue. A row is claimed by an UPDATE of it, so any number of reconcilers may run and any of them
may be killed: a claim lapses by itself. Nothing here writes a status; it asks, and settlement decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When
from django.db.transaction import atomic

from jsonhttp import DATABASE_AWAY
from payments import budget, clock, deliveries, inbox, mail, spool
from payments.agenda import next_check
from payments.beside import run_beside
from payments.c2b import asking
from payments.c2b import inbox as by_hand
from payments.c2b.registration import TRY_EVERY, register_with_simulator
from payments.conversations import hearing
from payments.daraja import client
from payments.db import rest_connection
from payments.models import Callback, Status, Transaction
from payments.refunds import following
from payments.retention import FORGET_VISITS_EVERY, forget_visits
from payments.settlement import expire, settle_query
from prepared import Select, given
from shop import idempotency

log = structlog.get_logger(__name__)

CLAIM = timedelta(seconds=60)  # longer than any question to Daraja takes
WATCHED_FOR = timedelta(seconds=40)  # after a page was last seen open; noted every 15 s
PASS_EVERY = 0.5  # seconds
ASKERS = 8  # questions at once: Daraja's answer takes a second or so
BATCH = 200  # payments a pass

_last_pass: float | None = None
_is_database_away = False


def reconcile_one(payment: Transaction) -> bool:
    """Ask Daraja about one payment and settle what it says; return whether it could be asked."""
    return ask_daraja(payment) is not None


def ask_daraja(payment: Transaction) -> str | None:
    """Ask Daraja about one payment and settle its answer; return what became of it, or None when it was not asked."""
    return _question(payment) if _may_be_asked(payment) else None


def _may_be_asked(payment: Transaction, *, for_hint: bool = False) -> bool:
    return bool(payment.checkout_request_id) and budget.take_query(for_hint=for_hint)


def _question(payment: Transaction) -> str | None:
    """Ask about a payment that has its question from the budget; None when Daraja wants to be left alone."""
    try:
        answer = client.stk_query(checkout_request_id=payment.checkout_request_id or "")
    except client.DarajaThrottled:
        budget.be_silent()
        return None
    except client.DarajaError as error:
        log.info("query.unanswered", transaction_id=str(payment.pk), error=type(error).__name__)
        return "unanswered"
    outcome = settle_query(payment.pk, answer)
    log.info("query.settled", transaction_id=str(payment.pk), outcome=outcome)
    return outcome


def expire_one(payment: Transaction) -> bool:
    """Fail a payment that has waited long enough; True when it was still open."""
    return expire(payment)


def ask_about_earlier_attempts(order_id: UUID) -> None:
    """Ask about the last attempt that time alone ended, before another prompt goes out: it may have paid."""
    earlier = (
        Transaction.objects.filter(order=order_id, environment=settings.MPESA_ENVIRONMENT, status=Status.FAILED)
        .exclude(check_after=None)
        .order_by("-failed_at")
        .first()
    )
    if earlier:
        reconcile_one(earlier)


def run_pass() -> int:
    """Do all that is due now and wait until it is done; return how many payments were asked about or expired."""
    with ThreadPoolExecutor(max_workers=ASKERS, thread_name_prefix="reconciler") as askers:
        expired, questions = _pass(askers)
    deliveries.flush()
    following.ask_about_unknown()
    mail.send_due()
    asking.look()
    return expired + sum(1 for question in questions if question.result())


def run_forever(stop: threading.Event) -> None:
    """Begin a pass every half second until `stop` is set; no fault of a pass ends the loop."""
    # Apart: a mail server that hangs must hold up neither questions nor expiry.
    run_beside("mail", mail.send_due, every=mail.LOOK_EVERY, stop=stop)
    run_beside("refunds", following.ask_about_unknown, every=following.LOOK_EVERY, stop=stop)
    run_beside("deliveries", deliveries.flush, every=deliveries.FLUSH_EVERY, stop=stop)
    run_beside("registration", register_with_simulator, every=TRY_EVERY, stop=stop)
    run_beside("keys", idempotency.renew, every=idempotency.RENEWED_EVERY, stop=stop)
    run_beside("visits", forget_visits, every=FORGET_VISITS_EVERY, stop=stop)
    run_beside("by hand", asking.look, every=asking.LOOK_EVERY, stop=stop)
    with ThreadPoolExecutor(max_workers=ASKERS, thread_name_prefix="reconciler") as askers:
        asked: list[Future[bool]] = []
        while not stop.is_set():
            asked = [question for question in asked if not question.done()]
            asked += _attempt_pass(askers, room=ASKERS * 2 - len(asked))
            stop.wait(PASS_EVERY)


def _attempt_pass(askers: ThreadPoolExecutor, *, room: int) -> list[Future[bool]]:
    """Return the questions of one pass, none when it failed; a database that is away is logged once, not each time."""
    global _is_database_away
    try:
        questions = _pass(askers, room)[1]
    except DATABASE_AWAY as error:
        if not _is_database_away:
            log.warning("reconciler.database_away", error=type(error).__name__)
        _is_database_away = True
    except Exception:
        log.exception("reconciler.pass_failed")
    else:
        if _is_database_away:
            log.info("reconciler.recovered")
        _is_database_away = False
        return questions
    finally:
        rest_connection()
    return []


def last_pass_age() -> float | None:
    """Return the seconds since this process last ended a pass, or None when it never did."""
    return None if _last_pass is None else time.monotonic() - _last_pass


def _pass(askers: ThreadPoolExecutor, room: int = BATCH) -> tuple[int, list[Future[bool]]]:
    """Inbox first: a callback that is already here must not lose against a question or against time."""
    global _last_pass
    if clock.measure():
        _bring_nearer()
    if not spool.is_empty():
        spool.replay()
    inbox.redrive()
    by_hand.redrive()
    hearing.redrive()
    if spool.is_empty():
        hearing.give_up_overdue()
    expired = sum(expire_one(payment) for payment in _overdue()) if spool.is_empty() and clock.may_end() else 0
    questions = []
    for payment in _claim_due(room):
        # The budget is taken here, one by one: among threads, chance would decide who comes first.
        is_hint = payment.hinted_at is not None and payment.hinted_at == payment.check_after
        may_ask = _may_be_asked(payment, for_hint=is_hint)
        questions.append(askers.submit(_closing(_ask), payment, may_ask=may_ask, for_hint=is_hint))
    _last_pass = time.monotonic()
    return expired, questions


def _bring_nearer() -> None:
    """Let no open payment wait longer than one that begins now: a clock that has gone back would have it wait hours."""
    end = clock.now() + timedelta(seconds=settings.MPESA_EXPIRE_AFTER_SECONDS)
    too_far = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, status=Status.PENDING)
    moved = too_far.filter(expires_at__gt=end).update(expires_at=end, check_after=clock.now())
    if moved:
        log.warning("reconciler.brought_nearer", payments=moved)


def _overdue() -> list[Transaction]:
    """Return open payments whose time is up, without those that have a callback waiting in the inbox."""
    if _some_overdue.row(environment=settings.MPESA_ENVIRONMENT, now=clock.now()) is None:
        return []  # as in most passes, of which there are two a second
    heard_of = Callback.objects.filter(
        transaction_id=OuterRef("pk"), state=Callback.State.RECEIVED, attempts__lt=inbox.ATTEMPTS_BEFORE_EXPIRY
    )
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, status=Status.PENDING)
    overdue = mine.filter(~Exists(heard_of), expires_at__lte=clock.now())
    return list(overdue.order_by("expires_at")[:BATCH])


_some_overdue = Select(
    lambda: (
        Transaction.objects.filter(
            environment=given(Transaction, "environment"),
            status=Status.PENDING,
            expires_at__lte=given(Transaction, "expires_at", "now"),
        )
        .order_by()
        .values_list("pk")[:1]
    )
)


def _claim_due(room: int) -> list[Transaction]:
    """Claim payments whose question is due: open ones first, and among equals those that somebody watches."""
    now = clock.now()
    # Asked first without a lock: on SQLite a look that locks would hold up every writer, twice a second.
    if room <= 0 or _some_due.row(environment=settings.MPESA_ENVIRONMENT, now=now) is None or budget.is_silent():
        return []
    is_watched = Case(When(watched_at__gt=now - WATCHED_FOR, then=Value(0)), default=Value(1))
    due = Transaction.objects.filter(
        status__in=(Status.PENDING, Status.FAILED), environment=settings.MPESA_ENVIRONMENT, check_after__lte=now
    ).order_by(F("status").desc(), is_watched, "check_after")
    return _claim(due[:room], now)


_some_due = Select(
    lambda: (
        Transaction.objects.filter(
            environment=given(Transaction, "environment"),
            status__in=(Status.PENDING, Status.FAILED),
            check_after__lte=given(Transaction, "check_after", "now"),
        )
        .order_by()
        .values_list("pk")[:1]
    )
)


def _claim(due: QuerySet[Transaction], now: datetime) -> list[Transaction]:
    """Move `check_after` of what nobody else has locked; whoever moves it first has the row."""
    with atomic():
        payments = list(due.select_for_update(skip_locked=True, no_key=True))
        Transaction.objects.filter(pk__in=[payment.pk for payment in payments]).update(check_after=now + CLAIM)
    return payments


def note_watched(transaction_ids: Iterable[UUID]) -> None:
    """Remember that somebody has these payments on a page now: they are asked about before others of their kind."""
    now = clock.now()
    awaited = Transaction.objects.filter(pk__in=list(transaction_ids)).exclude(check_after=None)
    stale = awaited.exclude(watched_at__gt=now - WATCHED_FOR / 2)
    if stale.exists():
        with atomic():
            free = list(stale.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
            Transaction.objects.filter(pk__in=free).update(watched_at=now)


def _ask(payment: Transaction, *, may_ask: bool, for_hint: bool) -> bool:
    started = clock.now()
    asked = may_ask and _question(payment) is not None
    was_throttled = may_ask and not asked
    if asked:
        Transaction.objects.filter(pk=payment.pk).update(checks=F("checks") + 1)
    payment.refresh_from_db()
    still_mine = Transaction.objects.filter(pk=payment.pk, check_after__gt=started).exclude(status=Status.COMPLETED)
    # One that Daraja throttles each time must not be first again after each silence, or nobody else is ever heard.
    may_wait = for_hint or (was_throttled and payment.status == Status.FAILED)
    still_mine.update(check_after=next_check(payment, was_asked=asked, may_wait=may_wait))
    return asked


def _closing(work: Callable[..., bool]) -> Callable[..., bool]:
    """Return `work` with its thread's connection given back, and with a fault logged instead of lost."""

    def run(payment: Transaction, **how: bool) -> bool:
        try:
            return work(payment, **how)
        except Exception:
            log.exception("reconciler.question_failed", transaction_id=str(payment.pk))
            return False
        finally:
            connection.close()

    return run
