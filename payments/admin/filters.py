"""The list's filters: the same names in the URL, and the same rules, as on the board and in the export."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from payments.models import Reason, Source, Status, Transaction
from payments.search import Search


class OneOf(admin.SimpleListFilter):
    """A choice among a few values."""

    choices_shown: Any = ()

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return list(self.choices_shown)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Transaction]) -> QuerySet[Transaction]:
        value = self.value()
        return Search.of({self.parameter_name or "": value}).narrow(queryset) if value else queryset


class StatusIs(OneOf):
    title, parameter_name, choices_shown = _("status"), "status", Status.choices


class ReasonIs(OneOf):
    title, parameter_name, choices_shown = _("reason"), "reason", Reason.choices


class SourceIs(OneOf):
    title, parameter_name, choices_shown = _("told by"), "source", Source.choices


class StaffTouched(OneOf):
    title, parameter_name, choices_shown = _("staff"), "touched", [("yes", _("Seen to by staff"))]


class Between(admin.ListFilter):
    """Two fields to type into; both, one or none may be given."""

    template = "payments/admin/between.html"
    names: tuple[str, str]
    labels: tuple[Any, Any] = (_("From"), _("To"))
    kind = "number"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: ModelAdmin[Any]
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.kept = {name: value for name, value in request.GET.items() if name not in {*self.names, "p", "e"}}
        for name in self.names:
            given = params.pop(name, None)
            self.used_parameters[name] = given[-1] if isinstance(given, list) else given or ""

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def choices(self, changelist: ChangeList) -> Any:
        """Give the template its two fields, and what else the URL says."""
        fields = [
            {"name": name, "label": label, "value": self.used_parameters[name], "kind": self.kind}
            for name, label in zip(self.names, self.labels, strict=True)
        ]
        return [{"fields": fields, "kept": sorted(self.kept.items())}]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return Search.of(self.used_parameters).narrow(queryset)


class Days(Between):
    title, names, kind = _("day"), ("from", "to"), "date"


class Amounts(Between):
    title, names = _("amount, KES"), ("least", "most")


LIST_FILTERS = (StatusIs, ReasonIs, SourceIs, StaffTouched, Days, Amounts)
