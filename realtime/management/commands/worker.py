"""One production worker: `manage.py worker`; as many as you like, each on a PORT of its own behind a proxy."""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand

from commands import refuse_read_only_file
from payments.checks import refuse_wrong_settings


class Command(BaseCommand):
    help = "Serve on HOST:PORT with uvicorn until SIGTERM; `manage.py prepare` has been run before."
    requires_system_checks: list[str] = []  # `manage.py check` runs them; here they would slow every start

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_wrong_settings()
            refuse_read_only_file()
        except ImproperlyConfigured as wrong:
            sys.exit(str(wrong))
        from asgi import application
        from realtime import worker

        worker.serve(application)
