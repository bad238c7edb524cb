"""Who of the staff did what, in Django's own log: beside the payment's history, and by person."""

from __future__ import annotations

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model


def log_action(by: AbstractBaseUser, what: Model, message: str) -> None:
    """Write a line into the log that the admin shows of a person and of a thing."""
    LogEntry.objects.log_actions(by.pk, [what], CHANGE, change_message=message)
