"""What has to be done once before workers start: `manage.py prepare`, the one-shot of a deployment."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, CommandError

from realtime.management.commands.serve import prepare


class Command(BaseCommand):
    help = "Migrate, collect the static files and, in the simulator, seed the shop; safe to run again and at once."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            prepare()
        except ImproperlyConfigured as wrong:
            raise CommandError(str(wrong)) from wrong
