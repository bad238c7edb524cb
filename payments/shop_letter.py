"""The shop's own letter about a paid order: written with the payment, once per order and address."""

from __future__ import annotations

import hashlib

import structlog
from django.conf import settings
from django.db.transaction import atomic
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from payments import mail
from payments.models import Transaction
from payments.phone_numbers import mask_local

log = structlog.get_logger(__name__)


def write(payment: Transaction) -> None:
    """Write to ORDER_EMAILS that the payment's order is paid; never raises.

    Called inside the payment's transaction: with it the letter stands or falls. What is sold at the counter is
    handed over already, so nobody is told.
    """
    if not settings.ORDER_EMAILS or payment.is_made_up or hasattr(payment.order, "counter_sale"):
        return
    try:
        # A savepoint: a query that fails in here must not take the payment with it on PostgreSQL.
        with atomic(), translation.override(settings.LANGUAGE_CODE):
            subject, body = _letter(payment)
            for address in settings.ORDER_EMAILS:
                mail.enqueue(key=_key(payment, address), to=address, subject=subject, body=body)
    except Exception:
        log.exception("shop_letter.not_written", order_id=str(payment.order_id))


def _key(payment: Transaction, address: str) -> str:
    return f"order:{payment.order_id}:{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def _letter(payment: Transaction) -> tuple[str, str]:
    order = payment.order
    values = {"number": order.number, "amount": f"{order.amount:,}"}
    context = {
        "order": order,
        "lines": order.lines.all(),
        "phone": mask_local(payment.phone_number),
        "url": f"{settings.PUBLIC_BASE_URL}{reverse('order_desk')}",
    }
    subject = _("Order %(number)s is paid: KES %(amount)s") % values
    return subject, render_to_string("payments/shop_letter.txt", context)
