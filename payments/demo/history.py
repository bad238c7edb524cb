"""A day of made-up payments: yesterday, so that the board has something to compare today with.

Everything goes through the doors that real money uses, and is then moved into the past: orders, constraints and
discrepancies are what they would have been. A made-up payment is known by its reference (`MADE_UP`).
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from payments.amendments import note_action, put_under_review
from payments.history import open_discrepancy
from payments.models import (
    MADE_UP,
    Action,
    Delivery,
    Discrepancy,
    Reason,
    Source,
    Status,
    Transaction,
    TransactionEvent,
)
from payments.review import resolve
from payments.signals import unannounced
from payments.transitions import transition
from shop.models import UNMISTAKABLE, Order, Product
from shop.orders import place_order, take_step

PAYMENTS = 120
BUSY_HOURS = (0, 0, 0, 0, 0, 1, 2, 5, 8, 9, 9, 10, 14, 12, 9, 8, 9, 12, 14, 11, 8, 5, 2, 0)  # weights, from midnight
LEFT_TO_PACK = 4  # orders that are still waiting

Fate = Callable[["Life"], None]


@dataclass
class Life:
    """One payment on its way through yesterday; `at` moves on."""

    payment: Transaction
    at: datetime
    dice: random.Random

    def later(self, least: float, most: float) -> None:
        """Let between `least` and `most` seconds pass."""
        self.at += timedelta(seconds=self.dice.uniform(least, most))

    def receipt(self) -> str:
        return "S" + "".join(self.dice.choice("ABCDEFGHJKLMNPQRTUVWXYZ0123456789") for _ in range(9))


def seed_history(staff: AbstractBaseUser | None = None) -> int:
    """Fill an empty simulator with yesterday; return how many payments that made. Where there are any: none."""
    products = list(Product.objects.filter(price__lte=4_000, is_active=True).values_list("sku", flat=True))
    if not settings.SIMULATOR or not products or Transaction.objects.exists():
        return 0
    dice = random.Random(254)  # noqa: S311 - the same day every time
    with _silence(), unannounced(), atomic():  # silence until after the commit, of which the log is told
        lives = [_live(at, products, dice) for at in _moments(dice)]
        _settle_odd_ones(lives, dice)
        _fulfil()
        if staff:
            _let_staff_work(staff)
    return Transaction.objects.count()


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the log to what happens today."""
    loggers = [logging.getLogger(name) for name in ("payments", "shop")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _moments(dice: random.Random) -> list[datetime]:
    """Return when yesterday's customers came, in order."""
    yesterday = _midnight() - timedelta(days=1)
    hours = dice.choices(range(24), weights=BUSY_HOURS, k=PAYMENTS)
    return sorted(yesterday + timedelta(hours=hour, seconds=dice.uniform(0, 3_500)) for hour in hours)


# One payment ----------------------------------------------------------------------------------------------------


def _live(at: datetime, products: list[str], dice: random.Random) -> Life:
    chosen = dice.sample(products, k=min(len(products), dice.choice((1, 1, 2, 3))))
    items = [(sku, dice.choice((1, 1, 1, 2, 3))) for sku in chosen]
    order = place_order(items)
    Order.objects.filter(pk=order.pk).update(created_at=at - timedelta(seconds=dice.uniform(20, 200)))
    life = _prompt(order, at, f"2547{dice.randrange(10_000_000, 99_999_999)}", dice)
    fate = dice.choices([fate for fate, _weight in FATES], weights=[weight for _fate, weight in FATES])[0]
    fate(life)
    return life


def _prompt(order: Order, at: datetime, phone_number: str, dice: random.Random) -> Life:
    payment = Transaction.objects.create(
        order=order,
        environment=settings.MPESA_ENVIRONMENT,
        business_short_code=settings.MPESA_SHORTCODE,
        phone_number=phone_number,
        amount=order.amount_due,
        account_reference=MADE_UP + "".join(secrets.choice(UNMISTAKABLE) for _ in range(8)),
        merchant_request_id=f"{dice.randrange(10_000, 99_999)}-{dice.randrange(10**7, 10**8)}-1",
        checkout_request_id=f"ws_CO_{at:%d%m%Y%H%M%S}{phone_number}",
        prompted_at=at + timedelta(seconds=dice.uniform(0.3, 1.4)),
        expires_at=at + timedelta(seconds=settings.MPESA_EXPIRE_AFTER_SECONDS),
    )
    Transaction.objects.filter(pk=payment.pk).update(created_at=at)
    return Life(payment, at, dice)


def _end(life: Life, status: Status, source: Source, **told: Any) -> None:
    """Change the payment through the one door, then put that change where it belongs in time."""
    transition(life.payment.pk, status, source=source, **told)
    is_paid, order = status == Status.COMPLETED, life.payment.order_id
    moments = {"completed_at": life.at} if is_paid else {"failed_at": life.at}
    Transaction.objects.filter(pk=life.payment.pk).update(updated_at=life.at, check_after=None, **moments)
    _put_back(life)
    if is_paid:
        Order.objects.filter(pk=order, paid_at__gt=life.at).update(paid_at=life.at)
    _deliver(life)


def _put_back(life: Life) -> None:
    """Move what was just written about the payment to the moment of this life."""
    order, written_now = life.payment.order_id, _midnight()
    events = TransactionEvent.objects.filter(transaction__order=order, created_at__gt=written_now)
    events.update(created_at=life.at)
    Discrepancy.objects.filter(transaction__order=order, opened_at__gt=written_now).update(opened_at=life.at)


def _midnight() -> datetime:
    """Return when today began: what is made up lies before, what was written just now after."""
    return timezone.make_aware(datetime.combine(timezone.localdate(), time.min))


def _deliver(life: Life) -> None:
    """Let the customer's page have seen it, as most do."""
    life.payment.refresh_from_db()
    watched = life.dice.random() < 0.9
    committed = life.at + timedelta(seconds=life.dice.uniform(0.004, 0.03))
    sent = committed + timedelta(seconds=life.dice.uniform(0.001, 0.02))
    seen = {"sent_at": sent, "painted_at": sent + timedelta(seconds=life.dice.uniform(0.02, 0.4)), "channel": "socket"}
    told = {"received_at": life.at} if life.payment.settled_by == Source.CALLBACK else {}
    moments: dict[str, Any] = {"version": life.payment.version, "committed_at": committed, "watched": watched}
    Delivery.objects.update_or_create(pk=life.payment.pk, defaults={**moments, **told, **(seen if watched else {})})


# What became of them --------------------------------------------------------------------------------------------


def _pays(life: Life) -> None:
    life.later(4, 26)
    _success(life, Source.CALLBACK)


def _success(life: Life, source: Source) -> None:
    receipt = life.receipt() if source == Source.CALLBACK else None
    told = {"result_code": "0", "result_desc": "The service request is processed successfully."}
    _end(life, Status.COMPLETED, source, mpesa_receipt_number=receipt, **told)


def _pays_unheard(life: Life) -> None:
    life.later(21, 34)
    _success(life, Source.QUERY)


def _fails(code: str, reason: Reason, desc: str, least: float, most: float) -> Fate:
    def fail(life: Life) -> None:
        life.later(least, most)
        _end(life, Status.FAILED, Source.CALLBACK, reason=reason, result_code=code, result_desc=desc)

    return fail


def _expires(life: Life) -> None:
    life.at = life.payment.expires_at
    _end(life, Status.FAILED, Source.EXPIRY, reason=Reason.EXPIRED)


def _pays_late(life: Life) -> None:
    _expires(life)
    life.later(30, 400)
    _success(life, Source.CALLBACK)


FATES: tuple[tuple[Fate, int], ...] = (
    (_pays, 150),
    (_pays_unheard, 6),
    (_fails("1032", Reason.CANCELLED, "Request cancelled by user", 5, 30), 14),
    (_fails("1", Reason.INSUFFICIENT_FUNDS, "The balance is insufficient for the transaction.", 6, 25), 7),
    (_fails("2001", Reason.WRONG_PIN, "The initiator information is invalid.", 8, 35), 4),
    (_fails("1037", Reason.NO_RESPONSE, "DS timeout user cannot be reached.", 60, 65), 8),
    (_fails("1001", Reason.BUSY, "Unable to lock subscriber", 1, 3), 2),
    (_expires, 3),
    (_pays_late, 2),
)


# What a person has to see to ------------------------------------------------------------------------------------


def _settle_odd_ones(lives: list[Life], dice: random.Random) -> None:
    """Let one customer hear nothing, one pay twice, and one amount differ."""
    noon, evening = lives[len(lives) // 2].at, lives[-1].at
    _expires(_another(noon - timedelta(minutes=9), dice))
    first = _another(noon, dice)
    _expires(first)
    _pay_twice(first, dice)
    _differ(_another(evening, dice))


def _another(at: datetime, dice: random.Random) -> Life:
    return _prompt(place_order([_any_item()]), at, f"2547{dice.randrange(10_000_000, 99_999_999)}", dice)


def _differ(odd: Life) -> None:
    """A callback names another amount: staff have to decide."""
    odd.later(9, 12)
    told = {"asked": odd.payment.amount, "told": str(odd.payment.amount - 10)}
    open_discrepancy(odd.payment, Discrepancy.Kind.AMOUNT_DIFFERS, **told)
    put_under_review(odd.payment.pk, source=Source.CALLBACK, note="Amount differs")
    _put_back(odd)
    odd.at = odd.payment.expires_at
    _end(odd, Status.FAILED, Source.EXPIRY, reason=Reason.UNDER_REVIEW)


def _any_item() -> tuple[str, int]:
    return Product.objects.filter(price__lte=4_000, is_active=True).values_list("sku", flat=True)[0], 1


def _pay_twice(first: Life, dice: random.Random) -> None:
    """A customer who heard nothing pays again, and then the first payment arrives, too."""
    second = _prompt(first.payment.order, first.at + timedelta(seconds=40), first.payment.phone_number, dice)
    _pays(second)
    first.at = second.at + timedelta(seconds=50)
    _success(first, Source.CALLBACK)


def _fulfil() -> None:
    """Let most of what is paid be packed and handed over, half an hour after it was paid."""
    paid = Order.objects.filter(status=Order.Status.PAID).order_by("paid_at").values_list("pk", flat=True)
    for order_id in list(paid)[:-LEFT_TO_PACK]:
        take_step(order_id, Order.Fulfilment.PACKED)
        take_step(order_id, Order.Fulfilment.HANDED_OVER)
    half_an_hour = F("paid_at") + timedelta(minutes=30)
    Order.objects.exclude(packed_at=None).update(packed_at=half_an_hour, handed_over_at=half_an_hour)


def _let_staff_work(staff: AbstractBaseUser) -> None:
    """Let somebody have seen to the oldest late payment, and have left a note."""
    late = Discrepancy.objects.filter(kind=Discrepancy.Kind.LATE, resolved_at=None).order_by("opened_at").first()
    if late:
        note_action(late.transaction, Action.NOTE, by=staff, note="Called: the phone had no signal. Is happy now.")
        resolve(late, by=staff, why="Customer was called; order sent")
        then = late.opened_at + timedelta(minutes=20)
        TransactionEvent.objects.filter(by=staff.pk).update(created_at=then)
        Discrepancy.objects.filter(pk=late.pk).update(resolved_at=then)
