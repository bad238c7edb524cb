"""The routes of contract and page; machines may leave the trailing slash away and are never redirected."""

from __future__ import annotations

from django.urls import path, re_path

from payments import views

urlpatterns = [
    re_path(r"^payments/stk-push/?$", views.STKPushView.as_view(), name="stk_push"),
    re_path(r"^payments/status/?$", views.payment_status, name="payment_status"),
    re_path(r"^payments/callback/(?P<token>[^/]+)/?$", views.callback, name="callback"),
    re_path(
        r"^payments/callback/(?P<route>result|timeout)/(?P<token>[^/]+)/?$",
        views.conversation_result,
        name="conversation_result",
    ),
    re_path(r"^mpesa/stk_push_callback(?:/(?P<token>[^/]+))?/?$", views.mpesa_stk_push_callback, name="seed_callback"),
    re_path(r"^payments/c2b/(?P<segment>[^/]+)/confirmation/?$", views.c2b_confirmation, name="c2b_confirmation"),
    re_path(r"^payments/c2b/(?P<segment>[^/]+)/validation/?$", views.c2b_validation, name="c2b_validation"),
    path("payments/by-hand/<uuid:order_id>/", views.paid_by_hand, name="paid_by_hand"),
    path("payments/news/<uuid:order_id>/", views.order_news, name="order_news"),
    path("payments/<uuid:transaction_id>/", views.payment, name="payment"),
    path("payments/<uuid:transaction_id>/check/", views.check, name="payment_check"),
    path("payments/<uuid:transaction_id>/receipt/", views.receipt, name="receipt"),
    re_path(r"^api/orders/(?P<order_id>[^/]+)/by-hand/?$", views.api_by_hand, name="api_by_hand"),
    re_path(r"^api/orders/(?P<order_id>[^/]+)/?$", views.api_order, name="api_order"),
    re_path(r"^api/schema/?$", views.schema, name="schema"),
    re_path(r"^healthz/?$", views.healthz, name="healthz"),
    re_path(r"^readyz/?$", views.readyz, name="readyz"),
    re_path(r"^metrics/?$", views.metrics, name="metrics"),
]
