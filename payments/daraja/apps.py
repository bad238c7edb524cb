"""django-daraja's own application, told which key type its table has: it does not say, and Django would migrate it."""

from __future__ import annotations

from django_daraja.apps import DjangoDarajaConfig


class DarajaConfig(DjangoDarajaConfig):
    default_auto_field = "django.db.models.AutoField"
