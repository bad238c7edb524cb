"""The export: what it will hold, how far it is, and the file itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from payments.admin.common import user_of
from payments.desk.export import KEPT_FOR, begin, lines
from payments.models import Export
from payments.search import Search


class ExportForm(forms.Form):
    """Whether whole phone numbers and names go into the file, and then why."""

    with_pii = forms.BooleanField(label=gettext_lazy("With whole phone numbers and names"), required=False)
    why = forms.CharField(
        label=gettext_lazy("Why?"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Needed with whole numbers; it is written down with your name."),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("with_pii") and not given.get("why"):
            self.add_error("why", _("Say what the numbers and names are needed for."))
        return given


def _check(request: HttpRequest, *, with_pii: bool = False) -> None:
    names = ["payments.view_transaction", *(["payments.export_pii"] if with_pii else [])]
    if not request.user.has_perms(names):
        raise PermissionDenied


@require_http_methods(["GET", "HEAD", "POST"])
def export(request: HttpRequest) -> HttpResponse:
    """Show what the filters of the URL find, and begin the export of it."""
    _check(request)
    search, form = Search.of(request.GET), ExportForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        _check(request, with_pii=said["with_pii"])
        begun = begin(search, by=user_of(request), with_pii=said["with_pii"], why=said["why"])
        return HttpResponseRedirect(reverse("export_progress", args=[begun.pk]), status=303)
    context = {
        **admin.site.each_context(request),
        "title": _("Export payments"),
        "search": search,
        "payments": search.payments().count(),
        "form": form,
        "may_see_pii": request.user.has_perm("payments.export_pii"),
    }
    return render(request, "payments/admin/export.html", context, status=400 if form.errors else 200)


@require_GET
def progress(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Show how far an export is; to the page's own script only the part that changes."""
    context: dict[str, Any] = {"export": _own(request, export_id)}
    if request.headers.get("X-Fragment"):
        return render(request, "payments/admin/_export.html", context)
    context |= {**admin.site.each_context(request), "title": _("Export payments")}
    return render(request, "payments/admin/export_progress.html", context)


@require_POST
def file(request: HttpRequest, export_id: UUID) -> StreamingHttpResponse:
    """Stream the file to the person who asked for it, while that person still may have it."""
    export = _own(request, export_id)
    _check(request, with_pii=export.with_pii)
    Export.objects.filter(pk=export.pk).update(written=0, finished_at=None)
    export.written, export.finished_at = 0, None
    response = StreamingHttpResponse(lines(export), content_type="text/csv; charset=utf-8")
    name = f"payments-{localtime(export.created_at):%Y-%m-%d-%H%M}.csv"
    response.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    response.headers["Cache-Control"] = "no-store"
    return response


def _own(request: HttpRequest, export_id: UUID) -> Export:
    """Return an export of this person's own that is not too old."""
    _check(request)
    mine = Export.objects.filter(by=user_of(request).pk, created_at__gt=timezone.now() - KEPT_FOR)
    found = mine.filter(pk=export_id).first()
    if found is None:
        raise Http404
    return found
