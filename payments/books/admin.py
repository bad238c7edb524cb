"""The staff's pages for the books: what differs, what was read, a day's two sums, the takings. No JavaScript."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.admin.common import ReadOnly, ask_reason, reason_given, user_of
from payments.admin.evidence import StillOpen
from payments.audit import log_action
from payments.books import takings
from payments.books.compare import compare
from payments.books.day import bounds, load_day
from payments.books.sheets import sheet
from payments.books.statement import StatementError, import_statement
from payments.models import Finding, Movement, Reading

LARGEST_STATEMENT = 1_000_000  # bytes, some five thousand lines: what a body may hold (middleware.LARGEST_BODY)
TOO_LARGE = gettext_lazy("More than 1 MB: import it with manage.py import_statement.")
LONGEST_REPORT = 400  # days
READINGS_SHOWN = 10
LONGEST_IMPORT = timedelta(hours=1)  # one that runs for longer has been cut off
FINDING_HEAD = ("Opened", "Happened", "Kind", "Receipt", "Ours (KES)", "M-PESA (KES)", "Note", "Payment", "Resolution")


class Day(forms.Form):
    """Which day a page is about; nonsense is today."""

    day = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))


class Span(forms.Form):
    """From which day until which; nonsense is the last seven days."""

    first = forms.DateField(label=gettext_lazy("From"), widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label=gettext_lazy("Until"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("first") and given.get("last"):
            days = (given["last"] - given["first"]).days
            if not 0 <= days < LONGEST_REPORT:
                raise forms.ValidationError(_("Choose a first and a last day, at most 400 days apart."))
        return given


class Statement(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("Statement (CSV)"),
        widget=forms.FileInput(attrs={"data-largest": LARGEST_STATEMENT, "data-too-large": TOO_LARGE}),  # books.js
    )

    def clean_file(self) -> UploadedFile:
        """Refuse what is too large, as books.js does before it is sent; the command takes any size."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > LARGEST_STATEMENT:
            raise forms.ValidationError(TOO_LARGE)
        return file


def resolve_finding(finding: Finding, *, by: AbstractBaseUser, why: str) -> bool:
    """Note what a difference was; once."""
    unresolved = Finding.objects.filter(pk=finding.pk, resolved_at=None)
    if not unresolved.update(resolved_at=timezone.now(), resolved_by=by.pk, resolution=why[:250]):
        return False
    log_action(by, finding, f"Resolved: {why}")
    return True


@admin.register(Finding)
class FindingAdmin(ReadOnly):
    list_display = ("happened_at", "kind", "receipt", "ours", "theirs", "transaction", "note", "resolution")
    list_filter = (StillOpen, "kind", "environment", "happened_at")
    list_select_related = ("transaction",)
    actions = ("resolve_with_reason",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, many = super().get_search_results(request, queryset, search_term)
        return found | queryset.filter(receipt=search_term.strip().upper()), many

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.resolve_discrepancy")

    @admin.action(description=gettext_lazy("Resolve with a reason …"), permissions=["resolve"])
    def resolve_with_reason(self, request: HttpRequest, queryset: QuerySet[Finding]) -> HttpResponse | None:
        why = reason_given(request)
        if not why:
            return ask_reason(self, request, queryset, "resolve_with_reason", _("Resolve these findings"))
        done = sum(resolve_finding(finding, by=user_of(request), why=why) for finding in queryset)
        messages.success(request, _("%(done)d findings were resolved.") % {"done": done})
        return None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("books/", view(self.books), name="payments_books"),
            path("books/findings.csv", view(self.findings_csv), name="payments_findings_csv"),
            path("takings/", view(self.takings), name="payments_takings"),
            path("takings/<str:report>.csv", view(self.takings_csv), name="payments_takings_csv"),
            *super().get_urls(),
        ]

    def books(self, request: HttpRequest) -> HttpResponse:
        """Show a day's two sums and what differs; take a statement."""
        self._check(request)
        form = Statement(request.POST or None, request.FILES or None)
        if request.method == "POST":
            if not self.has_resolve_permission(request):
                raise PermissionDenied
            if form.is_valid() and _take(request, form.cleaned_data["file"]):
                return HttpResponseRedirect(request.get_full_path(), status=303)
        day = load_day(_day(request))
        context = {
            "title": _("Books"),
            "day": day,
            "before": day.date - timedelta(days=1),
            "after": day.date + timedelta(days=1),
            "findings": day.findings.select_related("transaction")[:200],
            "readings": Reading.objects.select_related("started_by")[:READINGS_SHOWN],
            "running": Reading.objects.filter(state="running", started_at__gt=timezone.now() - LONGEST_IMPORT).exists(),
            "form": form,
            "may_import": self.has_resolve_permission(request),
        }
        return self._page(request, "payments/admin/books.html", context)

    def findings_csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """Return the findings of the days asked for."""
        self._check(request)
        first, last = _span(request)[1:]
        found = Finding.objects.filter(happened_at__gte=bounds(first)[0], happened_at__lt=bounds(last)[1])
        rows = (_finding_row(finding) for finding in found.order_by("happened_at", "pk").iterator(500))
        return sheet(f"findings-{first}-{last}.csv", FINDING_HEAD, rows)

    def takings(self, request: HttpRequest) -> HttpResponse:
        """Show what was taken by day, product and hour."""
        self._check(request)
        form, first, last = _span(request)
        days = takings.by_day(first, last)
        context = {
            "title": _("Takings"),
            "form": form,
            "first": first,
            "last": last,
            "days": days,
            "payments": sum(row.payments for row in days),
            "amount": sum(row.amount for row in days),
            "refunded": sum(row.refunded for row in days),
            "products": takings.by_product(first, last),
            "hours": takings.by_hour(first, last),
        }
        return self._page(request, "payments/admin/takings.html", context)

    def takings_csv(self, request: HttpRequest, report: str) -> HttpResponse | StreamingHttpResponse:
        """Return one of the reports, or every payment for the accountant."""
        self._check(request)
        _form, first, last = _span(request)
        name = f"{report}-{first}-{last}.csv"
        if report == "accountant":
            return sheet(name, takings.ACCOUNTANT, takings.accountant_lines(first, last))
        reports = {"days": takings.by_day, "products": takings.by_product, "hours": takings.by_hour}
        if report not in reports:
            return HttpResponse(status=404)
        return sheet(name, ("Name", "Count", "KES", "Sent back (KES)"), reports[report](first, last))

    def _check(self, request: HttpRequest) -> None:
        if not request.user.has_perm("payments.view_finding"):
            raise PermissionDenied

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        response = TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})
        response.headers["Cache-Control"] = "no-store"
        return response


def _take(request: HttpRequest, file: UploadedFile) -> bool:
    """Import an uploaded statement and compare; say what came of it."""
    try:
        reading = import_statement(cast(BinaryIO, file.file), name=file.name or "", by=user_of(request))
    except StatementError as error:
        messages.error(request, str(error))
        return False
    new = compare(reading)
    facts = {"rows": reading.read_rows, "new": reading.new_rows, "found": new}
    told = _("%(rows)d rows were read, %(new)d of them new; %(found)d new findings.")
    messages.success(request, told % facts)
    return True


def _day(request: HttpRequest) -> date:
    form = Day(request.GET)
    return (form.cleaned_data["day"] if form.is_valid() else None) or timezone.localdate()


def _span(request: HttpRequest) -> tuple[Span, date, date]:
    today = timezone.localdate()
    form = Span(request.GET) if request.GET else Span(initial={"first": today - timedelta(days=6), "last": today})
    if form.is_bound and form.is_valid():
        return form, form.cleaned_data["first"], form.cleaned_data["last"]
    return form, today - timedelta(days=6), today


def _shillings(cents: int | None) -> str:
    return "" if cents is None else f"{cents / 100:,.2f}"


def _finding_row(finding: Finding) -> tuple[Any, ...]:
    opened, happened = (timezone.localtime(moment) for moment in (finding.opened_at, finding.happened_at))
    return (
        *(f"{opened:%Y-%m-%d %H:%M}", f"{happened:%Y-%m-%d %H:%M:%S}", finding.get_kind_display(), finding.receipt),
        finding.ours if finding.ours is not None else "",
        "" if finding.theirs_cents is None else f"{finding.theirs_cents / 100:.2f}",
        *(finding.note, finding.transaction_id or "", finding.resolution),
    )


@admin.register(Reading)
class ReadingAdmin(ReadOnly):
    list_display = ("started_at", "source", "state", "name", "percent", "read_rows", "new_rows", "problem")
    list_filter = ("source", "state", "environment")
    search_help_text = gettext_lazy("The name of the file")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(name__icontains=search_term.strip()), False


@admin.register(Movement)
class MovementAdmin(ReadOnly):
    list_display = ("completed_at", "kind", "receipt", "paid_in", "withdrawn", "account_reference", "linked_receipt")
    list_filter = ("kind", "environment", "completed_at")
    search_help_text = gettext_lazy("Receipt or account number")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().upper()
        named = Q(receipt=term) | Q(linked_receipt=term) | Q(account_reference=term)
        return queryset.filter(named) if term else queryset, False

    @admin.display(description=gettext_lazy("Paid in"))
    def paid_in(self, movement: Movement) -> str:
        return _shillings(movement.cents_in)

    @admin.display(description=gettext_lazy("Withdrawn"))
    def withdrawn(self, movement: Movement) -> str:
        return _shillings(movement.cents_out)
