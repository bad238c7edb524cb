"""The routes of a payment: ask for it, look at it, poll it, and Daraja's callback about it."""

from __future__ import annotations

from payments.views.by_hand import api_by_hand, paid_by_hand
from payments.views.c2b import c2b_confirmation, c2b_validation
from payments.views.callbacks import callback, mpesa_stk_push_callback
from payments.views.order_news import order_news
from payments.views.page import check, payment, receipt
from payments.views.push import STKPushView
from payments.views.results import conversation_result
from payments.views.service import healthz, metrics, readyz, schema
from payments.views.status import api_order, payment_status

__all__ = [
    "STKPushView",
    "api_by_hand",
    "api_order",
    "c2b_confirmation",
    "c2b_validation",
    "callback",
    "check",
    "conversation_result",
    "healthz",
    "metrics",
    "mpesa_stk_push_callback",
    "order_news",
    "paid_by_hand",
    "payment",
    "payment_status",
    "readyz",
    "receipt",
    "schema",
]
