"""What our commands say, in one line, when the database is not ready for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor


class DatabaseCommand(BaseCommand):
    """A command that needs the database as this release has it."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except DatabaseError:
            _refuse_unready_database()
            raise


def _refuse_unready_database() -> None:
    try:
        refuse_missing_migrations()
    except DatabaseError as error:
        why = str(error).strip().partition("\n")[0]
        raise CommandError(f"DATABASE_URL names a database that does not answer: {why}") from error


def refuse_read_only_file() -> None:
    """Raise ImproperlyConfigured for a file of SQLite's that cannot be written, before a server holds it open.

    One connection that opens it while its disk is read-only makes all later ones of the process read-only, too, for as
    long as any is open, also when the disk is well again. Who ends at once instead is started again by its supervisor.
    """
    if connection.vendor != "sqlite":
        return
    file = Path(connection.settings_dict["NAME"])
    for path in (file.parent, file):  # beside it SQLite keeps what is not yet in it
        if path.exists() and not os.access(path, os.W_OK):
            raise ImproperlyConfigured(f"DATABASE_URL needs {path}, which cannot be written.")


def refuse_missing_migrations() -> None:
    """Raise CommandError, with what to do, for a database without this release's migrations."""
    if missing := missing_migrations():
        raise CommandError(f"The database lacks {missing} migrations. Run: python manage.py migrate")


def missing_migrations() -> int:
    """Return how many migrations of this release the database lacks; raises DatabaseError when it does not answer."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
