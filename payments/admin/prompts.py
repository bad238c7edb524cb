"""The switch for all prompts, and the phones that want none."""

from __future__ import annotations

import contextlib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from payments.models import PromptGate, UnwantedPhone
from payments.phone_numbers import LONGEST_TYPED, InvalidPhoneNumber, normalise_phone_number


class PromptGateForm(forms.ModelForm):
    class Meta:
        model = PromptGate
        fields = ("paused", "why")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("paused") and not str(given.get("why", "")).strip():
            self.add_error("why", _("Say why: others will wonder."))
        return given


@admin.register(PromptGate)
class PromptGateAdmin(admin.ModelAdmin):
    """The switch that stops every prompt, for when something is wrong."""

    form = PromptGateForm
    list_display = ("environment", "paused", "why", "changed_at")
    readonly_fields = ("environment", "changed_at")
    fields = ("environment", "paused", "why", "changed_at")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # The row is made by the first prompt; staff must be able to switch before that too.
        PromptGate.objects.get_or_create(environment=settings.MPESA_ENVIRONMENT)
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UnwantedPhoneForm(forms.ModelForm):
    phone_number = forms.CharField(label=_("Phone number"), max_length=LONGEST_TYPED)

    class Meta:
        model = UnwantedPhone
        fields = ("phone_number", "why")

    def clean_phone_number(self) -> str:
        """Take the number in any form that people write it in."""
        try:
            return normalise_phone_number(self.cleaned_data["phone_number"])
        except InvalidPhoneNumber:
            raise forms.ValidationError(_("Enter a Safaricom number, like 0712 345 678.")) from None


@admin.register(UnwantedPhone)
class UnwantedPhoneAdmin(admin.ModelAdmin):
    form = UnwantedPhoneForm
    list_display = ("__str__", "why", "created_at")
    search_fields = ("why",)
    search_help_text = _("The phone in any form, or the reason")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UnwantedPhone], search_term: str
    ) -> tuple[QuerySet[UnwantedPhone], bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        with contextlib.suppress(InvalidPhoneNumber):
            found |= queryset.filter(phone_number=normalise_phone_number(search_term))
        return found, may_have_duplicates
