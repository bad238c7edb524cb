"""What staff look for: one box and a few filters, read from a URL. Board, list and export narrow by these same rules.

Every way to find something has an index behind it, in the order in which staff read: the newest first. A term is
read by its shape (an id, a phone, an amount, a code), so that one look-up answers it.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.models import Channel, Reason, Source, Status, Transaction
from payments.phone_numbers import InvalidPhoneNumber, normalise_phone_number
from shop.models import LARGEST_AMOUNT, Order

PARAMETERS = ("q", "status", "reason", "source", "from", "to", "least", "most", "touched")
NEWEST_FIRST = ("-created_at", "-pk")
# Views that the desk needs every day; each is nothing but a URL.
SAVED_VIEWS: tuple[tuple[str | Promise, str], ...] = (
    (gettext_lazy("Waiting"), "status=PENDING"),
    (gettext_lazy("Under review"), "reason=under_review"),
    (gettext_lazy("Nobody answered"), "reason=expired"),
    (gettext_lazy("Confirmed by query"), "status=COMPLETED&source=query"),
    (gettext_lazy("Seen to by staff"), "touched=yes"),
)

_AMOUNT = re.compile(r"(?:KES|KSH)?[ .]*([0-9]{1,3}(?:[, ][0-9]{3})+|[0-9]{1,7})(?:\.00|/[=-])?", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9._\-]{1,100}", re.ASCII)
_ORDER_NUMBER_LENGTH = 8
_CHOICES = {"status": Status.values, "reason": Reason.values, "source": Source.values, "touched": ["yes"]}

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Search:
    """What is looked for; amounts in whole KES. A filter that cannot be read finds nothing, and is named."""

    term: str = ""
    status: str = ""
    reason: str = ""
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    least: int | None = None
    most: int | None = None
    touched: bool = False
    unreadable: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, Any]) -> Search:
        """Read the parameters of a GET request; what is none of ours is left alone."""
        given = {name: str(query[name]).strip() for name in PARAMETERS if str(query.get(name) or "").strip()}
        wrong = [name for name, choices in _CHOICES.items() if name in given and given[name] not in choices]
        since, until = _day(given, "from", wrong), _day(given, "to", wrong)
        return cls(
            term=given.get("q", ""),
            status=given.get("status", ""),
            reason=given.get("reason", ""),
            source=given.get("source", ""),
            since=since,
            until=until + timedelta(days=1) if until else None,
            least=_amount(given, "least", wrong),
            most=_amount(given, "most", wrong),
            touched="touched" in given,
            unreadable=tuple(wrong),
            given=given,
        )

    def payments(self) -> QuerySet[Transaction]:
        """Return the payments of this environment that are meant, the newest first."""
        mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT)
        return self.narrow(mine).order_by(*NEWEST_FIRST)

    def narrow(self, rows: QuerySet[Row], *, payment: str = "") -> QuerySet[Row]:
        """Keep the rows that are meant; `payment` is the way from a row to its payment, as `transaction__`."""
        if self.unreadable:
            return rows.none()
        if self.term:
            rows = rows.filter(named(self.term, payment=payment))
        return rows.filter(**{f"{payment}{name}": value for name, value in self._conditions().items()})

    def _conditions(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "status": self.status,
            "reason": self.reason,
            "settled_by": self.source,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "amount__gte": self.least,
            "amount__lte": self.most,
        }
        conditions = {name: value for name, value in wanted.items() if value not in ("", None)}
        return conditions | ({"touched": True} if self.touched else {})

    @property
    def problem(self) -> str:
        """Say which filters could not be read; empty when all could."""
        told = _("Not readable, so nothing is found: %(filters)s.") % {"filters": ", ".join(self.unreadable)}
        return told if self.unreadable else ""

    @property
    def query_string(self) -> str:
        """The search as a URL carries it: what can be saved, shared and exported."""
        return urlencode(self.given)


def _day(given: dict[str, str], name: str, wrong: list[str]) -> datetime | None:
    """Return when a day begins where the shop is."""
    if name not in given:
        return None
    try:
        day = parse_date(given[name])
    except ValueError:  # the 31st of February
        day = None
    if day is None or not 2000 <= day.year <= 9000:
        wrong.append(name)
        return None
    return timezone.make_aware(datetime.combine(day, time.min))


def _amount(given: dict[str, str], name: str, wrong: list[str]) -> int | None:
    amount = read_amount(given.get(name, ""))
    if amount is None and name in given:
        wrong.append(name)
    return amount


def read_amount(typed: str) -> int | None:
    """Return whole KES as people write them (`1500`, `KES 1,500`, `1500.00`, `1,500/=`), or None."""
    found = _AMOUNT.fullmatch(typed.strip())
    amount = int(found[1].replace(",", "").replace(" ", "")) if found else 0
    return amount if 1 <= amount <= LARGEST_AMOUNT else None


def named(term: str, *, payment: str = "") -> Q:
    """Return what a term names: our ids, a phone in any form, an amount, or a code of the order's or M-PESA's."""
    term = term.strip()
    with contextlib.suppress(InvalidPhoneNumber):
        return Q(**{f"{payment}phone_number": normalise_phone_number(term)})
    amount = read_amount(term)
    if amount is not None:
        return Q(**{f"{payment}amount": amount})
    return Q(**{f"{payment}pk__in": _of_code(term)})


def _of_code(term: str) -> list[uuid.UUID]:
    """Return the payments that an id or a code names: at most a handful.

    They are looked up first, each way by its own index: PostgreSQL would walk the whole table for an OR of them.
    """
    if not _CODE.fullmatch(term.replace(" ", "")):
        return []  # PostgreSQL refuses some characters with an error of its own
    mine = Transaction.objects.filter(environment=settings.MPESA_ENVIRONMENT).order_by().values("pk")
    first, *others = (mine.filter(way) for way in _ways(term))
    return [row["pk"] for row in first.union(*others, all=True)]


def _ways(term: str) -> list[Q]:
    with contextlib.suppress(ValueError):
        return [Q(pk=uuid.UUID(term)), Q(order_id=uuid.UUID(term))]
    compact = term.replace("-", "").replace(" ", "").upper()
    ways = [
        Q(mpesa_receipt_number=compact),
        Q(account_reference=compact, channel=Channel.STK),  # what was typed by hand names an order, or nothing
        Q(checkout_request_id=term),
        Q(merchant_request_id=term),
    ]
    if len(compact) == _ORDER_NUMBER_LENGTH:
        order_id = Order.objects.filter(account_number=compact).values_list("pk", flat=True).first()
        ways += [Q(order_id=order_id)] if order_id else []
    return ways
