"""What a request names: an order or a payment by its unguessable id."""

from __future__ import annotations

import uuid

from django.http import HttpRequest
from django.utils.translation import gettext as _

from jsonhttp import Problem
from shop.limits import TooOften, count_unknown_id
from shop.limits import problem as too_often
from shop.models import Order


def order_named(request: HttpRequest, order_id: object) -> Order:
    if not isinstance(order_id, str):
        raise Problem(400, "order_id_missing", _("order_id must be the id of an order."), field="order_id")
    try:
        return Order.objects.get(pk=parse_uuid(order_id))
    except Order.DoesNotExist:
        refuse_guesser(request)
    except ValueError:
        pass  # not even an id, so nobody's guess
    raise Problem(404, "order_unknown", _("There is no such order."), field="order_id")


def refuse_guesser(request: HttpRequest) -> None:
    """Count an id that nobody has; raises `Problem` 429 for an address that asks for many of those."""
    try:
        count_unknown_id(request)
    except TooOften as refusal:
        raise too_often(refusal) from refusal


def parse_uuid(text: str) -> uuid.UUID:
    """Return the UUID that `text` spells; `uuid.UUID` alone takes braces, URNs and Arabic digits as well."""
    found = uuid.UUID(text)
    if str(found) != text.lower():
        raise ValueError(text)
    return found
