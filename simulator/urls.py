"""The simulator's routes: Daraja's own below the mount, the handset page, the control API."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from simulator import control, daraja, operator_control, operator_views, pages, paybill_views

urlpatterns: list[URLPattern] = [
    path("oauth/v1/generate", daraja.generate_token),
    path("mpesa/stkpush/v1/processrequest", daraja.process_request),
    path("mpesa/stkpushquery/v1/query", daraja.query),
    path("mpesa/c2b/v1/registerurl", paybill_views.register_url),
    path("mpesa/c2b/v2/registerurl", paybill_views.register_url),
    path("mpesa/reversal/v1/request", operator_views.reversal),
    path("mpesa/transactionstatus/v1/query", operator_views.transaction_status),
    path("pulltransactions/v1/register", operator_views.pull_register),
    path("pulltransactions/v1/query", operator_views.pull_query),
    path("certificate.cer", operator_views.certificate),
    re_path(r"^(?P<path>(?:oauth|mpesa|pulltransactions)/.*)$", daraja.not_found),
    path("phone/", pages.phones, name="simulator_phones"),
    path("phone/live/", pages.phones_live, name="simulator_phones_live"),
    path("phone/<str:number>/", pages.phone, name="simulator_phone"),
    path("phone/<str:number>/live/", pages.phone_live, name="simulator_phone_live"),
    path("phone/<str:number>/answer/", pages.answer, name="simulator_answer"),
    path("phone/<str:number>/pay/", paybill_views.pay, name="simulator_pay"),
    path("phone/<str:number>/change/", pages.change, name="simulator_change"),
    re_path(r"^assets/(?P<path>simulator\.(?:css|js))$", pages.asset, name="simulator_asset"),
    path("api/", control.totals),
    path("api/ledger/", control.ledger),
    path("api/reversals/", operator_control.reversals),
    path("api/statement/", operator_control.statement_file),
    path("api/statement/planted/", operator_control.planted),
    path("api/operator/<str:kind>/", operator_control.operator),
    path("api/scenarios/", control.scenarios),
    path("api/default/", control.default),
    path("api/reset/", control.reset),
    path("api/phones/<str:number>/", control.phone),
    path("api/c2b/", paybill_views.c2b),
    path("api/phones/<str:number>/pay/", paybill_views.pay_by_script),
    path("api/phones/<str:number>/answer/", control.answer),
]
