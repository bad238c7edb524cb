"""What the staff's pages share: lists that nobody edits, tables, moments and bodies as people may see them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from logs import redact
from payments.models import Callback, Confirmation, ConversationResult, Discrepancy
from payments.search import named, read_amount
from shop.models import LARGEST_AMOUNT

SHOWN_OF_BODY = 2_000  # characters
MOST_COUNTED = 10_000  # rows; counting a million takes longer than anybody turns pages


class BoundedPaginator(Paginator):
    """Counts no further than anybody turns pages; who looks for something older narrows the list."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by()[:MOST_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class AmountField(forms.CharField):
    """Whole KES as people write them: `1500`, `KES 1,500`, `1,500/=`."""

    def __init__(self, *, autofocus: bool = False, **options: Any) -> None:
        attributes = {"inputmode": "numeric", "autocomplete": "off", **({"autofocus": True} if autofocus else {})}
        super().__init__(max_length=20, widget=forms.TextInput(attrs=attributes), **options)

    def clean(self, value: Any) -> int:
        amount = read_amount(super().clean(value))
        if amount is None:
            most = f"{LARGEST_AMOUNT:,}"
            raise forms.ValidationError(gettext("The amount must be from KES 1 to KES %(most)s.") % {"most": most})
        return amount


class ReadOnly(admin.ModelAdmin):
    """Listed, searched and read; never added to, changed or deleted.

    Found by whatever names a payment or its order; `payment` is the way to it.
    """

    payment = "transaction__"
    search_fields = ("pk",)  # shows the box; what a term means is read by `named`
    search_help_text = _("Order, receipt, phone in any form, amount, M-PESA's ids, or our id")
    paginator = BoundedPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return queryset.filter(named(term, payment=self.payment)) if term else queryset, False


def user_of(request: HttpRequest) -> AbstractBaseUser:
    """Return who is logged in; whoever is not does nothing here."""
    if not isinstance(request.user, AbstractBaseUser):
        raise PermissionDenied
    return request.user


def shown_moment(moment: datetime) -> str:
    return date_format(localtime(moment), "j M Y, H:i:s")


def body_text(callback: Callback | Confirmation | ConversationResult) -> str:
    """Return what was posted as staff may read it: redacted, and not endless."""
    return redact(bytes(callback.body).decode(errors="replace"))[:SHOWN_OF_BODY]


def folded_body(callback: Callback | Confirmation | ConversationResult) -> SafeString:
    return format_html("<details><summary>{}</summary><pre>{}</pre></details>", _("Show"), body_text(callback))


def shown_evidence(found: Discrepancy) -> str:
    """Return the evidence as staff may read it: Daraja's ids end with the payer's number."""
    return redact(json.dumps(found.evidence, ensure_ascii=False))


def reason_given(request: HttpRequest) -> str:
    return str(request.POST.get("why", "")).strip() if request.POST.get("decided") else ""


def ask_reason(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any], action: str, title: Any
) -> HttpResponse:
    """Show the page on which staff say why; without a reason nothing happens."""
    if not request.user.has_perm("payments.resolve_discrepancy"):
        raise PermissionDenied
    context = {**model_admin.admin_site.each_context(request), "title": title, "chosen": queryset, "action": action}
    return TemplateResponse(request, "payments/admin_reason.html", context)
