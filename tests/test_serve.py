"""`manage.py serve`: it starts on nothing, refuses what is wrong in words, and stops without losing anything."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command

from tests.client import Shop, as_stored, new_phone_number, next_document
from tests.fake_daraja import Answer, FakeDaraja, running_daraja
from tests.patience import PATIENCE
from tests.server import REPOSITORY, RunningServer, running_server
from tests.services import free_port

REFUSED_WITHIN = 20  # seconds


def serve(directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to refuse."""
    environment = {**os.environ, "ENV_FILE": str(directory / ".env"), "PORT": str(free_port()), **settings}
    command = [sys.executable, "manage.py", "serve"]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=REFUSED_WITHIN, check=False
    )


def refusal(directory: Path, **settings: str) -> list[str]:
    """Return the sentences that a refused start prints, and nothing else."""
    ended = serve(directory, **settings)
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()


def test_the_sandbox_without_settings_is_refused_with_a_sentence_for_each(tmp_path: Path) -> None:
    sentences = refusal(tmp_path, MPESA_ENVIRONMENT="sandbox")
    missing = ["SECRET_KEY", "CALLBACK_SECRET", "MPESA_CONSUMER_KEY", "MPESA_CONSUMER_SECRET", "MPESA_SHORTCODE"]
    assert [sentence.split()[0] for sentence in sentences] == [*missing, "MPESA_PASSKEY"]
    assert all(sentence.endswith(".") for sentence in sentences)
    assert not (tmp_path / ".env").exists()


WRONG = {
    "MPESA_ENVIRONMENT": "live",
    "DEBUG": "perhaps",
    "PORT": "http",
    "PUBLIC_BASE_URL": "shop.example",
    "CSRF_TRUSTED_ORIGINS": "shop.example",
    "TRUSTED_PROXIES": "the proxy",
    "MPESA_CALLBACK_IPS": "safaricom",
    "DARAJA_BASE_URL": "daraja.example",
    "DATABASE_URL": "mysql://root@127.0.0.1/shop",
    "REDIS_URL": "http://127.0.0.1",
    "SECRET_KEY": "short",
    "CALLBACK_SECRET": "make-another-one-apart-from-the-first-and-keep-it",
    "MPESA_TILL_NUMBER": "my till",
    "MPESA_EXPIRE_AFTER_SECONDS": "soon",
    "RATE_LIMITS": "some",
    "LOG_FORMAT": "xml",
}


def test_every_wrong_value_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    sentences = refusal(tmp_path, **WRONG)
    assert sorted(sentence.split()[0] for sentence in sentences) == sorted(WRONG)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PUBLIC_BASE_URL", "https://shop.example"), ("HOST", "203.0.113.7"), ("DATABASE_URL", "shop.sqlite3")],
)
def test_a_place_that_cannot_be_used_is_refused(tmp_path: Path, name: str, value: str) -> None:
    (sentence,) = refusal(tmp_path, **{name: value})
    assert sentence.startswith(name)


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = serve(tmp_path, PORT=str(other.getsockname()[1]))
    assert ended.returncode == 1
    assert ended.stderr.strip().count("\n") == 0
    assert "PORT" in ended.stderr


@pytest.mark.services
def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    url = f"postgres://papo:tell-nobody@127.0.0.1:{free_port()}/papo"
    ended = serve(tmp_path, DATABASE_URL=url)
    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr.splitlines()[-1] + ended.stderr
    assert "Traceback" not in ended.stderr
    assert "tell-nobody" not in ended.stderr


@pytest.fixture(scope="module")
def daraja_of_its_own() -> Iterator[tuple[FakeDaraja, str]]:
    with running_daraja() as found:
        yield found


@pytest.fixture(scope="module")
def _server_of_its_own(
    daraja_of_its_own: tuple[FakeDaraja, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp("own")
    with running_server(directory, DARAJA_BASE_URL=daraja_of_its_own[1], RATE_LIMITS="off") as server:
        yield server


@pytest.fixture
def own_server(
    _server_of_its_own: RunningServer, daraja_of_its_own: tuple[FakeDaraja, str]
) -> tuple[RunningServer, FakeDaraja]:
    """A server that a test may stop, running again, and its Daraja."""
    daraja_of_its_own[0].behave()
    if _server_of_its_own.process is None:
        _server_of_its_own.start()
    return _server_of_its_own, daraja_of_its_own[0]


def test_a_start_prints_where_everything_is(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        login = wait_for_login(server)
        shop = Shop(server.base_url)
        for path in re.findall(rf"{server.base_url}(/\S*)", server.output):
            assert shop.get(path).status_code in {200, 302}, path
        assert _may_log_in(server.base_url, *login)


def wait_for_login(server: RunningServer) -> tuple[str, str]:
    give_up = time.monotonic() + PATIENCE
    while not (found := re.search(r"^Staff login: (\S+) / (\S+)$", server.output, re.MULTILINE)):
        assert time.monotonic() < give_up, server.output
        time.sleep(0.05)
    return found[1], found[2]


def _may_log_in(base_url: str, name: str, password: str) -> bool:
    with requests.Session() as browser:
        browser.get(f"{base_url}/admin/login/", timeout=10)
        form = {"username": name, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post(f"{base_url}/admin/login/?next=/admin/", data=form, allow_redirects=False, timeout=10)
        return answer.status_code == 302 and answer.headers["Location"] == "/admin/"


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        made = (tmp_path / ".env").read_text()
        server.restart()
        assert (tmp_path / ".env").read_text() == made
        assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
        assert made.count("=") == 2


def test_preparing_refuses_in_the_same_words(settings: Any) -> None:
    settings.SETTINGS_PROBLEMS = ["PORT must be a number."]
    with pytest.raises(CommandError, match=r"^PORT must be a number\.$"):
        call_command("prepare")


@contextmanager
def _disk_of_its_own(directory: Path) -> Iterator[Callable[[str], None]]:
    """Yield what makes a new directory read-only ("ro") and writable again ("rw"); for root a file system."""
    directory.mkdir()
    if os.geteuid():
        yield lambda how: _change_modes(directory, may_write=how == "rw")
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "papo", str(directory)], check=True)
    try:
        yield lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(directory)], check=True) and None
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _change_modes(directory: Path, *, may_write: bool) -> None:
    for path in (directory, *directory.iterdir()):
        path.chmod((0o500 if path.is_dir() else 0o400) | (0o200 if may_write else 0))


def test_it_does_not_begin_on_a_read_only_disk_and_begins_when_that_is_well_again(tmp_path: Path) -> None:
    """Begun, it could never write: SQLite's connections of one process share what the first of them found."""
    with _disk_of_its_own(tmp_path / "disk") as remount:
        server = RunningServer(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path / 'disk' / 'shop.sqlite3'}")
        server.start().kill()
        remount("ro")
        server.start(wait=False)
        assert server.process is not None
        assert server.process.wait(timeout=REFUSED_WITHIN) == 1
        assert ", which cannot be written." in server.output
        remount("rw")
        server.start()
        assert Shop(server.base_url).order()["order_id"]
        assert server.stop() == 0


def test_sigterm_and_sigint_end_it_well(own_server: tuple[RunningServer, FakeDaraja]) -> None:
    server, _ = own_server
    assert server.stop() == 0
    server.start()
    assert server.process is not None
    server.process.send_signal(2)
    assert server.process.wait(timeout=PATIENCE) == 0
    server.process = None
    assert "Traceback" not in server.output


def test_sigterm_does_not_wait_for_those_who_wait(own_server: tuple[RunningServer, FakeDaraja]) -> None:
    server, _ = own_server
    shop = Shop(server.base_url)
    transaction_id = shop.push(shop.order()["order_id"], new_phone_number()).json()["transaction_id"]
    with shop.socket(transaction_id) as socket, ThreadPoolExecutor(1) as poller:
        next_document(socket)
        poller.submit(
            requests.get, f"{server.base_url}/payments/status/?transaction_id={transaction_id}&since=1&wait=25"
        )
        time.sleep(0.3)
        stopped_at = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - stopped_at < 20


def test_a_push_that_is_running_at_sigterm_is_finished(own_server: tuple[RunningServer, FakeDaraja]) -> None:
    server, daraja = own_server
    shop, phone_number = Shop(server.base_url), new_phone_number()
    daraja.on_push = lambda push: threading.Event().wait(1) and None
    order_id = shop.order()["order_id"]
    with ThreadPoolExecutor(1) as customer:
        asked = customer.submit(shop.push, order_id, phone_number)
        daraja.push_for(as_stored(phone_number))
        assert server.stop() == 0
        assert asked.result(timeout=PATIENCE).status_code == 201


def test_a_payment_survives_a_restart(own_server: tuple[RunningServer, FakeDaraja]) -> None:
    server, daraja = own_server
    shop, phone_number = Shop(server.base_url), new_phone_number()
    transaction_id = shop.push(shop.order()["order_id"], phone_number).json()["transaction_id"]
    push = daraja.push_for(as_stored(phone_number))
    server.restart()
    assert shop.status(transaction_id)["status"] == "PENDING"
    with shop.socket(transaction_id) as socket:
        next_document(socket)
        push.succeed()
        assert next_document(socket)["status"] == "COMPLETED"


def test_a_push_killed_on_its_way_is_pending_and_its_callback_completes_it(
    own_server: tuple[RunningServer, FakeDaraja],
) -> None:
    server, daraja = own_server
    shop, phone_number = Shop(server.base_url), new_phone_number()
    daraja.on_push = lambda push: Answer(after=3, drops=True)
    order_id = shop.order()["order_id"]
    with ThreadPoolExecutor(1) as customer:
        customer.submit(shop.push, order_id, phone_number)
        push = daraja.push_for(as_stored(phone_number))
        server.kill()
    server.start()
    assert shop.order_now(order_id)["status"] == "OPEN"
    push.succeed()
    assert shop.order_now(order_id)["status"] == "PAID"


def test_logs_hold_no_token_no_checkout_id_and_no_phone_number(own_server: tuple[RunningServer, FakeDaraja]) -> None:
    server, daraja = own_server
    shop, phone_number = Shop(server.base_url), new_phone_number()
    shop.push(shop.order()["order_id"], phone_number)
    push = daraja.push_for(as_stored(phone_number))
    push.post(b"{")
    shop.get(push.callback_url.removeprefix(server.base_url))
    push.succeed()
    token = push.callback_url.rstrip("/").rpartition("/")[2]
    for secret in (token, token.partition(".")[2], push.checkout_request_id, phone_number[1:]):
        assert secret not in server.output
