"""A release is rolled out: the code before it and the new one serve side by side, on one database that is migrated.

The old release is a true one: the newest commit of this repository that lacks the last two migrations.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.client import Shop
from tests.fake_daraja import running_daraja
from tests.production.load import CONVERGED_WITHIN, Visit, callbacks, prepared
from tests.production.pages import open_pages
from tests.production.stack import nginx_in_front
from tests.server import REPOSITORY, RunningServer
from tests.services import directory_of_services, free_port, running_services

pytestmark = [pytest.mark.long, pytest.mark.services]

MIGRATIONS = ("payments/migrations", "realtime/migrations", "shop/migrations")
BEHIND = 2  # migrations
RATE = 10.0  # callbacks a second


def _git(*arguments: str) -> bytes:
    told = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True)
    assert told.returncode == 0, f"git {arguments[0]}: {told.stderr.decode()}"
    return told.stdout


def _migrations_of(commit: str) -> set[str]:
    return set(_git("ls-tree", "-r", "--name-only", commit, "--", *MIGRATIONS).decode().split())


def _old_release() -> str:
    """Return the newest commit whose database lacks the last migrations and has no other."""
    is_shallow = _git("rev-parse", "--is-shallow-repository").strip() == b"true"
    assert not is_shallow, "This clone has no history to take an old release from; run: git fetch --unshallow"
    now = {str(path.relative_to(REPOSITORY)) for folder in MIGRATIONS for path in (REPOSITORY / folder).glob("*.py")}
    for commit in _git("log", "--format=%H", "--", *MIGRATIONS).decode().split():
        then = _migrations_of(f"{commit}^")
        if then < now and len(now - then) >= BEHIND:
            return f"{commit}^"
    raise AssertionError("No commit has fewer migrations than there are now.")


@pytest.fixture(scope="module")
def old_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", _old_release()))) as files:
        files.extractall(project, filter="data")
    return project


@contextmanager
def _release(directory: Path, project: Path, **settings: str) -> Iterator[RunningServer]:
    directory.mkdir()
    server = RunningServer(directory, command="worker", **settings)
    server.project = project
    try:
        yield server
    finally:
        server.stop()


def test_old_and_new_code_settle_each_others_payments_while_the_database_is_migrated(old_project: Path) -> None:
    port = free_port()
    with (
        directory_of_services() as directory,
        running_services(durable=True) as urls,
        running_daraja() as (daraja, daraja_url),
    ):
        settings = {
            **urls,
            "ENV_FILE": str(directory / ".env"),
            "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
            "TRUSTED_PROXIES": "127.0.0.1",
            "DARAJA_BASE_URL": daraja_url,
            "RATE_LIMITS": "off",
            "MPESA_QUERY_AFTER_SECONDS": "3600",  # what a callback does not settle stays unsettled, and is seen
            "MPESA_EXPIRE_AFTER_SECONDS": "7200",
        }
        with (
            _release(directory / "old", old_project, **settings) as old,
            _release(directory / "new", REPOSITORY, **settings) as new,
        ):
            nginx = nginx_in_front(directory, port, [old.port, new.port])
            old.prepare()
            old.start()
            nginx.start()
            try:
                before = prepared([Shop(old.base_url)], daraja, 100)
                with open_pages(f"http://127.0.0.1:{port}", [visit.id for visit in before]) as pages:
                    with callbacks(before, rate=RATE) as load:
                        new.prepare()  # under the old worker's feet
                        new.start()
                        during = prepared([Shop(old.base_url), Shop(new.base_url)], daraja, 40)
                    assert load.refused == []
                    assert pages.wait([visit.id for visit in before], within=CONVERGED_WITHIN) == []
                _settle_at_the_other(during, old, new)
                old.stop()
                _all_are_paid(f"http://127.0.0.1:{port}", before + during)
            finally:
                nginx.end()
            assert "Traceback" not in old.output + new.output


def _settle_at_the_other(visits: list[Visit], old: RunningServer, new: RunningServer) -> None:
    """Give each callback to the worker that did not begin its payment; each has its page at the one that did."""
    taking_turns = {old.base_url: visits[::2], new.base_url: visits[1::2]}
    for here, there in ((old, new), (new, old)):
        mine = taking_turns[here.base_url]
        with open_pages(here.base_url, [visit.id for visit in mine]) as pages:
            for visit in mine:
                path = visit.push.callback_url.partition("/payments/")[2]
                url = f"{there.base_url}/payments/{path}"
                assert visit.push.post(visit.push.callback(), url=url).status_code == 200
            assert pages.wait([visit.id for visit in mine], within=CONVERGED_WITHIN) == []


def _all_are_paid(base_url: str, visits: list[Visit]) -> None:
    shop = Shop(base_url)

    def outcome(visit: Visit) -> str:
        answer = shop.get("/payments/status/", params={"transaction_id": visit.id})
        if answer.status_code != 200:
            return f"{answer.status_code}: {answer.text[:200]}"
        document = answer.json()
        order = shop.order_now(document["order_id"])
        return f"{document['status']} {order['status']} {order['amount_paid'] == order['amount']}"

    with ThreadPoolExecutor(4) as auditors:
        assert set(auditors.map(outcome, visits)) == {"COMPLETED PAID True"}
