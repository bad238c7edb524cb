"""How often a phone may be asked for money: what keeps the shop from being used to pester people.

Pushes are counted from the payments themselves, which are written before Daraja is asked. Whoever wants one queues
on the row of `PromptGate` until its own payment is committed, so no number of workers gets past a limit together.
What the limits of a phone say, and the list of phones that want no prompts, read alike: a stranger who types a
number learns no more about it than "too often".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from payments.models import Channel, PromptGate, Reason, Source, Status, Transaction, UnwantedPhone, payments_of
from payments.reasons import SAME_AMOUNT_AGAIN
from shop.limits import Limit, address_digest, digest, seconds_until
from shop.models import Order

DAY = timedelta(hours=24)
PER_PHONE = (Limit(3, timedelta(minutes=10)), Limit(6, DAY))
PER_ORDER = Limit(3, timedelta(minutes=10))
PER_SESSION = Limit(5, timedelta(minutes=10))
PER_ADDRESS = Limit(100, timedelta(minutes=10))  # many customers share one: carriers put them behind NAT
REFUSED_ON_THE_PHONE = frozenset({Reason.CANCELLED, Reason.NO_RESPONSE})
IN_A_ROW = timedelta(hours=1)  # two refusals further apart are two visits, not one nuisance
AFTER_TWO_REFUSALS = timedelta(minutes=15)
WHILE_PAUSED = 300  # seconds: staff pause for minutes, not for moments

# Daraja was out of reach: no phone rang, so this counts neither for the phone nor for its owner.
_NEVER_SENT = Q(status=Status.FAILED, reason=Reason.NOT_SENT, failed_by=Source.PUSH, result_code="")


@dataclass(frozen=True)
class Asker:
    """Who asks for a prompt: digests, empty where there is nothing to count by."""

    address: str = ""
    session: str = ""

    @classmethod
    def of(cls, *, address: str | None, session_key: str | None) -> Asker:
        return cls(address_digest(address or ""), digest(session_key or ""))


@dataclass(frozen=True)
class Refusal:
    """No prompt now; `retry_after`: seconds."""

    code: str
    detail: str
    retry_after: int


def take_turn() -> Refusal | None:
    """Queue for a prompt, until the end of this transaction; return why nobody gets one, or None.

    Call it after the order is locked and before anything is counted.
    """
    gates = PromptGate.objects.select_for_update() if settings.RATE_LIMITS else PromptGate.objects.all()
    if not gates.get_or_create(environment=settings.MPESA_ENVIRONMENT)[0].paused:
        return None
    paused = _("Payments are paused for the moment. Nothing was sent, and your order is kept. Try again later.")
    return Refusal("paused", paused, WHILE_PAUSED)


def refusal(order: Order, phone_number: str, asker: Asker) -> Refusal | None:
    """Return why this prompt must not be sent now, or None; exact for whoever has taken their turn."""
    moments = [*_unlimited_at(order, phone_number, _latest_pushes(phone_number)), *_free_for(asker)]
    wait = max((seconds_until(moment) for moment in moments), default=0)
    if not wait:
        return None
    often = _("There were too many payment requests for now. Nothing was sent. Wait a little, then try again.")
    return Refusal("too_often", often, wait)


def free_at(order: Order, phone_number: str) -> list[datetime]:
    """Return from when on this phone may be asked for this order: a moment for each rule that says something."""
    latest = _latest_pushes(phone_number)
    busy = [push.expires_at for push in latest if push.status == Status.PENDING and push.order_id != order.pk]
    return busy + _unlimited_at(order, phone_number, latest)


def _prompts_of(order: Order) -> QuerySet[Transaction]:
    return payments_of(order).filter(channel=Channel.STK).exclude(_NEVER_SENT)


def order_free_at(order: Order) -> list[datetime]:
    """Return from when on this order may have one prompt more, whatever the phone."""
    return _nth(_prompts_of(order), PER_ORDER) if settings.RATE_LIMITS else []


def _unlimited_at(order: Order, phone_number: str, latest: list[Transaction]) -> list[datetime]:
    """Return what the limits say, without the prompt that is open elsewhere: that has a refusal of its own."""
    moments = [_never(phone_number)] if UnwantedPhone.objects.filter(phone_number=phone_number).exists() else []
    if settings.RATE_LIMITS:
        moments += order_free_at(order)
        moments += [
            latest[limit.most - 1].created_at + limit.within for limit in PER_PHONE if len(latest) >= limit.most
        ]
        moments += _after_same_amount(latest, order.amount_due)
        moments += _after_refusals(latest[:2])
    return moments


def _never(phone_number: str) -> datetime:
    """Return a moment as the limit of a day would give: it comes closer, and when it is reached it is a day away."""
    started = int(digest(phone_number), 16) % int(DAY.total_seconds())
    now = timezone.now()
    return now + DAY - timedelta(seconds=(now.timestamp() - started) % DAY.total_seconds())


def _latest_pushes(phone_number: str) -> list[Transaction]:
    """Return the newest of a day, as many as any limit of a phone counts."""
    today = _pushes().filter(phone_number=phone_number, created_at__gt=timezone.now() - DAY).exclude(_NEVER_SENT)
    return list(today.order_by("-created_at")[: max(limit.most for limit in PER_PHONE)])


def _after_same_amount(latest: list[Transaction], amount: int) -> list[datetime]:
    """M-PESA refuses the same amount from the same phone within two minutes."""
    return [push.completed_at + SAME_AMOUNT_AGAIN for push in latest if push.completed_at and push.amount == amount]


def _after_refusals(last_two: list[Transaction]) -> list[datetime]:
    """Whoever cancels or ignores two prompts in a row did not ask for them, or needs time."""
    moments = [push.failed_at for push in last_two if push.failed_at and push.reason in REFUSED_ON_THE_PHONE]
    in_a_row = len(moments) == 2 and max(moments) - min(moments) < IN_A_ROW
    return [max(moments) + AFTER_TWO_REFUSALS] if in_a_row else []


def _free_for(asker: Asker) -> list[datetime]:
    """Return from when on this caller, and anybody at all, may have a prompt sent."""
    if not settings.RATE_LIMITS:
        return []
    moments = _nth(_pushes(), Limit(settings.PUSHES_PER_SECOND, timedelta(seconds=1)))
    if asker.address:
        moments += _nth(_pushes().filter(asked_from=asker.address), PER_ADDRESS)
    if asker.session:
        moments += _nth(_pushes().filter(asked_in=asker.session).exclude(_NEVER_SENT), PER_SESSION)
    return moments


def _pushes() -> QuerySet[Transaction]:
    return Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT, channel=Channel.STK)


def _nth(pushes: QuerySet[Transaction], limit: Limit) -> list[datetime]:
    """Return when the limit allows one more push: when the oldest of the newest `most` falls out of its window."""
    recent = pushes.filter(created_at__gt=timezone.now() - limit.within).order_by("-created_at")
    oldest = recent.values_list("created_at", flat=True)[limit.most - 1 : limit.most]
    return [moment + limit.within for moment in oldest]
