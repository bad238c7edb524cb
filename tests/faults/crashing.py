"""Processes that kill themselves at a named point: `python -m tests.faults.crashing`, one order a line on stdin.

The code under test knows nothing of it: the function at the point is replaced by one that ends the process with
SIGKILL before or after its work, as a power cut would. Whoever started it looks at what is left. One process loads
Django and forks for every order: a start from nothing would take a second of every test.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ACCEPTED_ID = "ws_CO_accepted"  # the CheckoutRequestID that Daraja gives inside the process


class Crasher:
    """The process that forks."""

    def __init__(self, process: subprocess.Popen[str], log: Any) -> None:
        self._process, self._log = process, log

    def crash(self, action: str, when: str, function: str, *, nth: int = 1, **facts: Any) -> None:
        """Run `action` in a process that dies `when` ("before", "after", "half-way") `function` does its work.

        `function`: module and name below `payments`, "inbox._store"; `nth`: at which of its calls. A process that
        lives on fails the test.
        """
        from django.conf import settings

        assert self._process.stdin
        assert self._process.stdout
        order = [action, when, function, nth, {**facts, "spool": settings.CALLBACK_SPOOL_DIR}]
        print(json.dumps(order, default=str), file=self._process.stdin, flush=True)
        status = self._process.stdout.readline().strip()
        assert status == str(-signal.SIGKILL), f"{action} did not die {when} {function}: {status} {self._output()}"

    def _output(self) -> str:
        self._log.seek(0)
        return str(self._log.read()[-3000:])


@contextmanager
def running_crasher() -> Iterator[Crasher]:
    """Yield the process, on the database of the tests."""
    from django.db import connection

    environment = {**os.environ, "DATABASE_URL": _database_url(connection.settings_dict)}
    command = [sys.executable, "-m", "tests.faults.crashing"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, cwd=REPOSITORY, text=True, stderr=log, **pipes) as process,
    ):
        yield Crasher(process, log)


def _database_url(database: dict[str, Any]) -> str:
    if database["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{database['NAME']}"
    return f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


# Inside the process ---------------------------------------------------------------------------------------------


def plant(when: str, function: str, nth: int) -> None:
    """Let this process die when `function` is called for the nth time; its module has been imported."""
    owner, name = _find(function)
    true, calls = getattr(owner, name), itertools.count(1)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < nth:
            return true(*args, **kwargs)
        if when == "half-way":
            return _HalfFile(true(*args, **kwargs))
        if when == "after":
            true(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def _find(function: str) -> tuple[Any, str]:
    """Return the object that holds the function, and its name there."""
    module, *path, name = function.split(".")
    owner: Any = sys.modules[f"payments.{module}"]
    for step in path:
        owner = getattr(owner, step)
    return owner, name


class _HalfFile:
    """A file of which a power cut takes the second half of what is written."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _take_callback(facts: dict[str, Any]) -> None:
    from payments import inbox

    inbox.receive(UUID(facts["transaction_id"]), facts["body"].encode(), "196.201.214.200")


def _take_callbacks_without_database(facts: dict[str, Any]) -> None:
    from django.db import OperationalError

    from payments import inbox

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("the database is away")

    true, inbox._take = inbox._take, refuse  # type: ignore[assignment]
    for transaction_id, body in facts["callbacks"]:
        inbox.receive(UUID(transaction_id), body.encode(), None)
    inbox._take = true


def _spool_and_replay(facts: dict[str, Any]) -> None:
    from payments import spool

    _take_callbacks_without_database(facts)
    spool.replay()


def _push(facts: dict[str, Any]) -> None:
    from payments.checkout import start_checkout
    from payments.daraja import client

    if not facts["dies_at_daraja"]:
        client.stk_push = lambda **asked: client.PushAccepted("29115-1-1", ACCEPTED_ID)
    start_checkout(UUID(facts["order_id"]), facts["phone_number"])


def _reconcile(facts: dict[str, Any]) -> None:
    from payments import reconciler
    from payments.daraja import client
    from payments.daraja.codes import reason_for

    outcome, code = facts["answer"]
    answer = client.QueryAnswer(outcome, code, "as Daraja says", reason_for(code))
    client.stk_query = lambda *, checkout_request_id: answer
    reconciler.run_pass()


def _send_refund(facts: dict[str, Any]) -> None:
    from django.conf import settings

    from payments import refunds
    from payments.models import Refund

    settings.DARAJA_BASE_URL, settings.PUBLIC_BASE_URL = facts["daraja"], facts["shop"]
    refunds.send(Refund.objects.get(pk=facts["refund"]))


ACTIONS: dict[str, Callable[[dict[str, Any]], None]] = {
    "callback": _take_callback,
    "spool": _take_callbacks_without_database,
    "spool and replay": _spool_and_replay,
    "push": _push,
    "reconcile": _reconcile,
    "send refund": _send_refund,
}


def _live(action: str, when: str, function: str, nth: int, facts: dict[str, Any]) -> None:
    from django.conf import settings

    settings.CALLBACK_SPOOL_DIR = Path(facts.pop("spool"))
    plant(when, function, nth)
    ACTIONS[action](facts)


def _fork(order: list[Any]) -> int:
    """Live in a process of its own and return how that ended: minus the signal, or the exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        _live(*order)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import django

    django.setup()
    from payments import checkout, inbox, reconciler, signals, spool, transitions  # noqa: F401 - found by name

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is logged is no answer
    for line in sys.stdin:
        print(_fork(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
