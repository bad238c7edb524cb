"""The receipt of a paid payment: a page to keep, its QR code, and a letter to whoever gave an address.

Every success of an order with an address writes one letter, in the transaction that records the money. So a success
that no page has seen is told by e-mail, and nobody is told twice.
"""

from __future__ import annotations

import segno
import structlog
from django.conf import settings
from django.db.transaction import atomic
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from payments import mail
from payments.documents import facts
from payments.models import Transaction
from payments.screen import screen

log = structlog.get_logger(__name__)


def receipt_url(payment: Transaction) -> str:
    """Return the address of the receipt as customers reach it, whatever host this request was sent to."""
    return f"{settings.PUBLIC_BASE_URL}{reverse('receipt', args=[payment.pk])}"


def qr_code(url: str) -> SafeString:
    """Return a QR code as inline SVG without a style, dark on white in every colour scheme: cameras expect that."""
    code = segno.make(url, error="m", micro=False)
    return mark_safe(code.svg_inline(border=3, omitsize=True, dark="#000", light="#fff", svgclass=None, lineclass=None))  # noqa: S308 - no input of anybody is in it


def letter_key(payment: Transaction) -> str:
    return f"receipt:{payment.pk}"


def write_letter(payment: Transaction) -> None:
    """Write the e-mail receipt of a payment that has just been COMPLETED, in its order's language; never raises.

    Called inside the payment's transaction: with it the letter stands or falls.
    """
    order = payment.order
    if not order.customer_email:
        return
    try:
        # A savepoint: a query that fails in here must not take the payment with it on PostgreSQL.
        with atomic(), translation.override(order.language):
            order.refresh_from_db()  # it was read before its money was counted
            subject, body = _letter(payment)
            mail.enqueue(key=letter_key(payment), to=order.customer_email, subject=subject, body=body)
    except Exception:
        log.exception("receipt.not_written", transaction_id=str(payment.pk))


def _letter(payment: Transaction) -> tuple[str, str]:
    shown = screen(facts(payment))
    subject = _("Receipt %(receipt)s: KES %(amount)s to %(shop)s") % {
        "receipt": shown["mpesa_receipt_number"] or shown["order_number"],
        "amount": f"{payment.amount:,}",
        "shop": settings.SHOP_NAME,
    }
    context = {
        "payment": shown,
        "lines": payment.order.lines.all(),
        "url": receipt_url(payment),
        "shop_contact": settings.SHOP_CONTACT,
    }
    return subject, render_to_string("payments/receipt.txt", context)
