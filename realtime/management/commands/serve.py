"""Everything from a database to a working shop in one process: what `make run` runs."""

from __future__ import annotations

from realtime.server import Server  # isort:skip - before anything that may import Twisted

import fcntl
import gc
import hashlib
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, call_command
from django.db import OperationalError, connection, connections

from commands import refuse_read_only_file
from payments.checks import refuse_wrong_settings
from payments.demo.history import seed_history
from realtime import background
from realtime.management.migrating import migrate
from shop import demo

PATIENCE = 50  # questions to /readyz before we say that we wait, and wait more calmly
STARTING = 0x9A90  # the advisory lock that all servers of one database take; any number, but the same
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listened on, and then reached by the loopback


class Command(BaseCommand):
    help = "Migrate, seed the simulator's shop, collect static files and serve on HOST:PORT until SIGTERM or Ctrl-C."
    requires_system_checks: list[str] = []  # `manage.py check` runs them; here they would slow every start

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop_quietly)
        # A shell has what it starts in its background ignore this one: whoever then asked by it would wait for ever.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            prepare()
            problem = self._serve()
        except ImproperlyConfigured as wrong:
            problem = str(wrong)
        except OperationalError as error:
            problem = f"DATABASE_URL names a database that does not answer: {str(error).strip()}"
        except KeyboardInterrupt:
            sys.exit(0)
        if problem:
            sys.exit(problem)  # to stderr, with exit status 1

    def _serve(self) -> str:
        """Serve until a signal; return why it could not, or nothing."""
        from asgi import application  # WhiteNoise looks for its files at this import: not before they are collected

        gc.collect()
        gc.freeze()  # what is loaded now stays: no need to walk it again while customers wait
        server = Server(application, host=settings.HOST, port=settings.PORT, ready_callable=_announce_when_ready)
        server.run()
        # A second SIGTERM, from a terminal and from make, must not turn a clean end into a failure.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if server.left_behind:
            background.stop()
            os._exit(0)  # threads that still wait for the loop that has ended would never end themselves
        return server.problem


def prepare() -> None:
    """Bring database and static files to where this release needs them; servers that start at once take turns."""
    refuse_wrong_settings()
    with _one_starter_at_a_time(), _alone_in_postgresql():
        refuse_read_only_file()
        migrate()
        if settings.SIMULATOR:
            demo.seed_catalogue()
            staff = demo.seed_staff()
            if settings.DEMO_HISTORY:
                seed_history(staff)
        _collect_static()
    connections.close_all()


def _stop_quietly(signal_number: int, frame: Any) -> None:
    sys.exit(0)


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


@contextmanager
def _one_starter_at_a_time() -> Iterator[None]:
    """Keep two servers that start together from migrating, seeding or collecting into each other."""
    settings.STATIC_ROOT.parent.mkdir(parents=True, exist_ok=True)
    with open(settings.STATIC_ROOT.parent / "start.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _alone_in_postgresql() -> Iterator[None]:
    """Keep servers of other machines out too; no statement has a time limit until the end, a migration may be long."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [STARTING])
        yield
        cursor.execute("SELECT pg_advisory_unlock(%s)", [STARTING])
        cursor.execute("RESET statement_timeout")


def _collect_static() -> None:
    """Hash and compress the static files, when any of them has changed since the last time."""
    stamp: Path = settings.STATIC_ROOT.parent / "static.sources"
    sources = _sources_of_static()
    if (settings.STATIC_ROOT / "staticfiles.json").is_file() and stamp.is_file() and stamp.read_text() == sources:
        return
    _say("Collecting static files ...")
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(sources)


def _sources_of_static() -> str:
    """Return a digest over name, size and time of every static file."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list(None):
            status = os.stat(storage.path(name))
            digest.update(f"{storage.path(name)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _announce_when_ready() -> None:
    threading.Thread(target=_announce, name="announce", daemon=True).start()


def _announce() -> None:
    """Ask our own /readyz, which also starts what runs beside the requests, and print where everything is."""
    asked = 0
    while (answer := _readiness()) != 200:
        asked += 1
        if asked == PATIENCE:
            print(f"Not ready yet: /readyz answers {answer}.", file=sys.stderr, flush=True)
        time.sleep(0.1 if asked < PATIENCE else 1)
    shown = [("Shop", "/"), ("Staff", "/admin/"), ("API", "/api/schema/")]
    if settings.SIMULATOR:
        shown[1:1] = [("Phone", "/simulator/phone/"), ("Demo", "/demo/")]
    _say(f"{settings.SHOP_NAME} is open.", *(f"  {name:6}{settings.PUBLIC_BASE_URL}{path}" for name, path in shown))
    if settings.SIMULATOR:
        _say("Staff login: {} / {}".format(*demo.staff_login()))


def _readiness() -> int | str:
    """Return the status that /readyz answers here, or why it does not."""
    here = ANY_ADDRESS.get(settings.HOST.strip("[]"), settings.HOST.strip("[]"))
    client = http.client.HTTPConnection(here, settings.PORT, timeout=5)
    try:
        client.request("GET", "/readyz", headers={"Host": urlsplit(settings.PUBLIC_BASE_URL).netloc})
        return client.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        client.close()
