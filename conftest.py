"""The suite's own surroundings: nothing of the developer's environment or `.env` reaches a test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRATCH = Path(tempfile.mkdtemp(prefix="papo-test-"))
REPOSITORY = Path(__file__).resolve().parent


def _names_of_settings() -> set[str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    return {line.lstrip("# ").split("=", 1)[0] for line in lines if "=" in line}


def _isolate_settings() -> None:
    """Forget every setting of the caller, except the database and Redis that tests/services.py started for us."""
    given_by_services = {"DATABASE_URL", "REDIS_URL"} if os.environ.get("PAPO_TEST_SERVICES") else set()
    for name in _names_of_settings() - given_by_services:
        os.environ.pop(name, None)
    os.environ["ENV_FILE"] = str(SCRATCH / ".env")


def _set_up_django() -> None:
    """Load the settings only now: named in pyproject.toml, pytest-django would load them before this file is read."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    import django

    django.setup()


_isolate_settings()
_set_up_django()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test is a failed one: nothing is missing")


def pytest_configure(config: pytest.Config) -> None:
    """Serve static files by their plain names: the hashed ones exist only after collectstatic."""
    from django.conf import settings

    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STATIC_ROOT = SCRATCH / "static"
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.CALLBACK_SPOOL_DIR = SCRATCH / "spool"
    settings.SIMULATOR_RECORD = SCRATCH / "simulator.sqlite3"


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--fail-on-skip") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Put SQLite's test database into a file: one in memory is a different one in every thread."""
    from django.db import connections

    database = connections["default"].settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = str(SCRATCH / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Throw the connections that threads left open off the test database, or PostgreSQL could not drop it."""
    yield
    from django.db import connection

    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _english_and_no_memory_of_other_tests() -> Iterator[None]:
    """Start every test with an empty cache and in the default language; both outlive a request."""
    from django.core.cache import cache
    from django.utils import translation

    cache.clear()
    with translation.override("en"):
        yield
