"""One token for all, fetched by one at a time: with Daraja, a new token kills the last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from payments.daraja import access_token
from payments.daraja.access_token import Grant, cache_key, current
from payments.daraja.client import DarajaError, DarajaRefused, DarajaThrottled, DarajaUnreachable
from payments.models import DarajaToken, Reason
from payments.tests.fake_daraja import OAUTH, PUSH, FakeDaraja, Handler, ask, push, running_daraja

REPOSITORY = Path(__file__).resolve().parents[2]
TWELVE = 12


@pytest.fixture
def daraja(settings: Any) -> Iterator[FakeDaraja]:
    with running_daraja(settings) as server:
        yield server


def at_once(work: Callable[[], Any], threads: int = TWELVE) -> list[Any]:
    """Run `work` in so many threads that start together; return results and errors alike."""
    start = threading.Barrier(threads)

    def run() -> Any:
        start.wait()
        try:
            return work()
        except DarajaError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(run) for _number in range(threads)]]


def keep(token: str, *, seconds: float = 3000, claimed_ago: float | None = None) -> None:
    """Put a token into the shared row, valid for so long, and claimed so long ago."""
    now = timezone.now()
    claimed = None if claimed_ago is None else now - timedelta(seconds=claimed_ago)
    values = {"access_token": token, "expires_at": now + timedelta(seconds=seconds), "refreshing_since": claimed}
    DarajaToken.objects.update_or_create(cache_key=cache_key(), defaults=values)


# One token, many callers ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twelve_pushes_at_once_share_one_new_token(daraja: FakeDaraja) -> None:
    results = at_once(push)
    assert {type(result).__name__ for result in results} == {"PushAccepted"}
    assert daraja.counts == {OAUTH: 1, PUSH: TWELVE}


@pytest.mark.django_db(transaction=True)
def test_twelve_pushes_at_once_replace_one_stale_token(daraja: FakeDaraja) -> None:
    keep("a-token-that-daraja-forgot")
    results = at_once(push)
    assert {type(result).__name__ for result in results} == {"PushAccepted"}
    assert daraja.counts[OAUTH] == 1


@pytest.mark.django_db(transaction=True)
def test_pushes_and_queries_at_once_share_the_token(daraja: FakeDaraja) -> None:
    calls = iter([push, ask] * TWELVE)
    results = at_once(lambda: next(calls)())
    assert {type(result).__name__ for result in results} == {"PushAccepted", "QueryAnswer"}
    assert daraja.counts[OAUTH] == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_one_refresher_the_tokens_kill_each_other(
    daraja: FakeDaraja, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above prove something only if this happens: everybody fetches, and only the last token lives."""
    monkeypatch.setattr(access_token, "current", lambda fetch, rejected="": fetch().access_token)
    fetched = threading.Barrier(TWELVE)
    fetch_token = daraja.oauth

    def oauth(handler: Handler) -> None:
        fetch_token(handler)
        if daraja.tokens_given <= TWELVE:
            fetched.wait(5)

    daraja.answers[OAUTH] = oauth
    at_once(push)
    assert daraja.counts[OAUTH] > TWELVE


WORKER = """
import json, sys, threading
import django
django.setup()
from django.conf import settings
from django.db import connection, connections
from payments.tests.fake_daraja import push
vars(settings._wrapped).update(json.loads(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
results = []
def work():
    try:
        results.append(type(push()).__name__)
    except Exception as error:
        results.append(repr(error))
    connection.close()
threads = [threading.Thread(target=work) for _number in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(results), flush=True)
"""


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)


def start_worker(settings: Any) -> subprocess.Popen[str]:
    names = ["DARAJA_BASE_URL", "MPESA_CONSUMER_KEY", "MPESA_CONSUMER_SECRET", "MPESA_SHORTCODE", "MPESA_PASSKEY"]
    given = json.dumps({name: getattr(settings, name) for name in names})
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "settings"}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, given],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stale", [False, True])
def test_twelve_pushes_from_three_processes_share_one_token(daraja: FakeDaraja, settings: Any, stale: bool) -> None:
    if stale:
        keep("a-token-that-daraja-forgot")
    workers = [start_worker(settings) for _number in range(3)]
    assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["ready\n"] * 3
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    results = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    assert results == [["PushAccepted"] * 4] * 3
    assert daraja.counts[OAUTH] == 1


# When it is fetched ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_token_is_used_until_a_minute_before_its_end(daraja: FakeDaraja) -> None:
    push()
    row = DarajaToken.objects.get()
    assert row.expires_at
    assert 3500 < (row.expires_at - timezone.now()).total_seconds() < 3540
    row.expires_at = timezone.now()
    row.save()
    push()
    assert daraja.counts[OAUTH] == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [("3599", 3539), (3599, 3539), ("20", 10), (20.0, 10), (None, 3539), ("soon", 3539), (-5, 3539), ("1e9", 3539)],
)
def test_a_lifetime_is_a_string_or_a_number_or_the_usual_hour(
    daraja: FakeDaraja, expires_in: Any, seconds: float
) -> None:
    daraja.expires_in = expires_in
    push()
    row = DarajaToken.objects.get()
    assert row.expires_at
    assert (row.expires_at - timezone.now()).total_seconds() == pytest.approx(seconds, abs=5)


@pytest.mark.django_db
def test_another_environment_address_or_key_has_its_own_token(daraja: FakeDaraja, settings: Any) -> None:
    push()
    keys = {cache_key()}
    for name, value in {
        "MPESA_ENVIRONMENT": "sandbox",
        "MPESA_CONSUMER_KEY": "b",
        "DARAJA_BASE_URL": "http://x",
    }.items():
        setattr(settings, name, value)
        keys.add(cache_key())
    assert len(keys) == 4
    assert current(lambda: Grant("fresh", 3599)) == "fresh"


@pytest.mark.django_db
def test_a_rejected_token_is_fetched_again_only_while_it_is_the_cached_one() -> None:
    keep("newer")
    assert current(lambda: pytest.fail("fetched"), rejected="older") == "newer"
    assert current(lambda: Grant("newest", 3599), rejected="newer") == "newest"


@pytest.mark.django_db
def test_a_token_refused_twice_is_our_fault_and_not_tried_for_ever(daraja: FakeDaraja) -> None:
    daraja.say(PUSH, 404, {"requestId": "1", "errorCode": "404.001.03", "errorMessage": "Invalid Access Token"})
    with pytest.raises(DarajaRefused) as refusal:
        push()
    assert refusal.value.reason == Reason.OUR_FAULT
    assert daraja.counts == {OAUTH: 2, PUSH: 2}


# Who fetches it -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_claim_of_a_process_that_died_is_taken_over(daraja: FakeDaraja) -> None:
    keep("", claimed_ago=60)
    assert push()


@pytest.mark.django_db
def test_a_claim_from_the_future_is_taken_over(daraja: FakeDaraja) -> None:
    """A clock that was set back must not stop the shop for hours."""
    keep("", claimed_ago=-3600)
    assert push()


@pytest.mark.django_db
def test_a_claim_that_lives_is_respected(daraja: FakeDaraja, settings: Any) -> None:
    keep("", claimed_ago=0)
    assert not access_token._claim(access_token._row(), timezone.now())


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_another_process_takes_its_token() -> None:
    keep("", claimed_ago=0)
    other = threading.Timer(0.3, lambda: (keep("theirs"), connection.close()))
    other.start()
    started = time.monotonic()
    assert current(lambda: pytest.fail("fetched")) == "theirs"
    assert time.monotonic() - started > 0.2
    other.join()


@pytest.mark.django_db
def test_who_lost_the_claim_does_not_overwrite_a_newer_token() -> None:
    def slow_fetch() -> Grant:
        keep("theirs")
        return Grant("ours", 3599)

    assert current(slow_fetch) == "ours"
    assert DarajaToken.objects.get().access_token == "theirs"


@pytest.mark.django_db
def test_the_last_moment_before_the_claim_is_looked_at_again() -> None:
    keep("", seconds=0)
    seen = access_token._row()
    keep("theirs")
    assert not access_token._claim(seen, timezone.now())


# When it cannot be had ------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, {"errorCode": "400.008.01", "errorMessage": "Invalid Authentication passed"}),
        (400, {"errorCode": "400.008.02", "errorMessage": "Invalid grant type passed"}),
        (401, b""),
        (401, b"<html>Unauthorized</html>"),
        (401, {"fault": {"faultstring": "x", "detail": {"errorcode": "oauth.v2.InvalidClientIdentifier"}}}),
    ],
)
def test_wrong_credentials_are_our_fault(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(OAUTH, status, body)
    with pytest.raises(DarajaRefused) as refusal:
        push()
    assert refusal.value.reason == Reason.OUR_FAULT
    assert daraja.counts == {OAUTH: 1}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (503, b"<html>Service Unavailable</html>"),
        (403, b"<html>Request Rejected</html>"),
        (400, b"<html>Bad Request</html>"),
        (500, {"errorCode": "500.003.1001", "errorMessage": "Internal Server Error"}),
        (302, b""),
        (200, b""),
        (200, {}),
        (200, {"access_token": None}),
        (200, {"access_token": "with space"}),
        (200, {"access_token": "line\r\nbreak"}),
        (200, {"access_token": "x" * 256}),
        (200, {"access_token": "tökèn"}),
    ],
)
def test_without_a_usable_token_nothing_is_sent(daraja: FakeDaraja, status: int, body: Any) -> None:
    daraja.say(OAUTH, status, body)
    with pytest.raises(DarajaUnreachable):
        push()
    assert daraja.counts == {OAUTH: 1}


@pytest.mark.django_db
def test_too_many_tokens_is_throttling(daraja: FakeDaraja) -> None:
    daraja.say(OAUTH, 429, b"")
    with pytest.raises(DarajaThrottled):
        push()


@pytest.mark.django_db
def test_the_next_push_after_a_failed_fetch_tries_again_at_once(daraja: FakeDaraja) -> None:
    daraja.say(OAUTH, 503, b"")
    with pytest.raises(DarajaUnreachable):
        push()
    daraja.answers.clear()
    assert push()


@pytest.mark.django_db(transaction=True)
def test_those_who_waited_for_a_failed_fetch_share_its_failure(daraja: FakeDaraja) -> None:
    """One after the other they would wait for Daraja's timeout twelve times."""

    def fail_slowly(handler: Handler) -> None:
        time.sleep(0.4)
        handler.reply(503)

    daraja.answers[OAUTH] = fail_slowly
    results = at_once(push)
    assert {type(result) for result in results} == {DarajaUnreachable}
    assert daraja.counts[OAUTH] < TWELVE / 2


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_daraja_is_asked(daraja: FakeDaraja) -> None:
    """A second writer gets through while a token and a push are under way."""
    written: list[str] = []

    def write_meanwhile(kind: str, answer: Callable[[Handler], None]) -> Callable[[Handler], None]:
        def handle(handler: Handler) -> None:
            DarajaToken.objects.create(cache_key=kind)
            connection.close()
            written.append(kind)
            answer(handler)

        return handle

    daraja.answers = {OAUTH: write_meanwhile(OAUTH, daraja.oauth), PUSH: write_meanwhile(PUSH, daraja.push)}
    push()
    assert written == [OAUTH, PUSH]


@pytest.mark.django_db(transaction=True)
def test_no_database_connection_is_held_while_daraja_is_asked(daraja: FakeDaraja) -> None:
    """A pool of twenty would serve twenty waiting customers and nobody else."""
    mine = connections["default"]
    held: list[bool] = []

    def watching(answer: Callable[[Handler], None]) -> Callable[[Handler], None]:
        def handle(handler: Handler) -> None:
            held.append(mine.connection is not None)
            answer(handler)

        return handle

    daraja.answers = {OAUTH: watching(daraja.oauth), PUSH: watching(daraja.push)}
    push()
    daraja.living_token = "another"
    push()
    assert held == [False] * 5
