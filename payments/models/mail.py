"""The outbox: letters that are to leave, each written in the transaction of whatever they tell of."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def this_environment() -> str:
    return str(settings.MPESA_ENVIRONMENT)


class Mail(models.Model):
    """One letter. `key` names its occasion, so that each occasion writes once however often it is told.

    `send_after` is the queue: empty once the letter has left, or has failed too often.
    """

    environment = models.CharField(max_length=10, default=this_environment)
    key = models.CharField(max_length=120, help_text=_("What it is about, such as receipt:0b9c…"))
    to = models.EmailField(_("To"))
    subject = models.CharField(_("Subject"), max_length=200)
    body = models.TextField(_("Text"))
    created_at = models.DateTimeField(auto_now_add=True)
    send_after = models.DateTimeField(null=True, default=timezone.now, db_index=True)
    sent_at = models.DateTimeField(_("Sent"), null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=250, blank=True, help_text=_("Why the last attempt failed"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [models.UniqueConstraint(fields=["environment", "key"], name="mail_once_per_occasion")]

    def __str__(self) -> str:
        return self.key
