"""The outbox as staff see it: what left, what waits for the mail server, and what was given up."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from payments.admin.common import ReadOnly
from payments.models import Mail


def masked_address(address: str) -> str:
    """Return an e-mail address as strangers may see it: a•••@example.com."""
    name, _at, host = address.rpartition("@")
    return f"{name[:1]}•••@{host}"


@admin.register(Mail)
class MailAdmin(ReadOnly):
    """Without text and full address: a letter is its reader's."""

    list_display = ("created_at", "subject", "address", "sent_at", "attempts", "error")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), ("send_after", admin.EmptyFieldListFilter))
    fields = ("key", "subject", "address", "created_at", "send_after", "sent_at", "attempts", "error")
    readonly_fields = fields
    search_help_text = _("Subject, or what the letter is about")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mail]:
        return super().get_queryset(request).filter(environment=settings.MPESA_ENVIRONMENT)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Mail], search_term: str
    ) -> tuple[QuerySet[Mail], bool]:
        term = search_term.strip()
        return queryset.filter(subject__icontains=term) | queryset.filter(key__icontains=term), False

    @admin.display(description=_("To"))
    def address(self, letter: Mail) -> str:
        return masked_address(letter.to)
