"""What keeps the asking within bounds: the shared token, the budget of questions, the switch for prompts."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from payments.phone_numbers import mask


class DarajaToken(models.Model):
    """The OAuth token that all processes share; a new one kills the last, so only one process may fetch it.

    `cache_key` is a digest of environment, base URL and consumer key. Not in the admin.
    """

    cache_key = models.CharField(max_length=64, primary_key=True)
    access_token = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField(null=True)
    refreshing_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.cache_key[:12]


class QueryBudget(models.Model):
    """A token bucket for questions to Daraja, shared by all workers; one row per environment and purpose."""

    name = models.CharField(max_length=40, primary_key=True)
    tokens = models.FloatField()
    refilled_at = models.DateTimeField()
    silent_until = models.DateTimeField(null=True, help_text=_("Daraja said 429: nobody asks before this"))

    def __str__(self) -> str:
        return self.name


class PromptGate(models.Model):
    """The staff's switch for all prompts of an environment, and the row on which those who want one queue."""

    environment = models.CharField(max_length=10, primary_key=True)
    paused = models.BooleanField(_("No prompts"), default=False, help_text=_("While this is set nobody is asked"))
    why = models.CharField(_("Why"), max_length=250, blank=True, help_text=_("For the staff; customers do not read it"))
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("switch for prompts")
        verbose_name_plural = _("switch for prompts")

    def __str__(self) -> str:
        state = _("No prompts") if self.paused else _("Prompts are sent")  # xgettext does not look into f-strings
        return f"{self.environment}: {state}"


class UnwantedPhone(models.Model):
    """A phone that never wants a prompt. Whoever asks for one hears nothing but "too often"."""

    phone_number = models.CharField(_("Phone number"), max_length=12, unique=True)
    why = models.CharField(_("Why"), max_length=250, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("phone that wants no prompts")
        verbose_name_plural = _("phones that want no prompts")

    def __str__(self) -> str:
        return mask(self.phone_number)
