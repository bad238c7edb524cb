"""When a connection fails, the one question is whether anything was sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.daraja.access_token import cache_key
from payments.daraja.client import DarajaUnreachable, OutcomeUnknown
from payments.models import DarajaToken
from payments.tests.fake_daraja import (
    ACCEPTED,
    OAUTH,
    PUSH,
    QUERY,
    SETTLED,
    FakeDaraja,
    Handler,
    ask,
    push,
    running_daraja,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def daraja(settings: Any) -> Iterator[FakeDaraja]:
    with running_daraja(settings) as server:
        yield server


@pytest.fixture
def with_token(daraja: FakeDaraja) -> FakeDaraja:
    """Have a token already, so that the next failure is that of the push."""
    push()
    daraja.seen.clear()
    return daraja


def move(daraja: FakeDaraja, settings: Any, url: str) -> None:
    """Let the address change under the cached token: only the address of the push fails."""
    settings.DARAJA_BASE_URL = url
    in_an_hour = timezone.now() + timedelta(hours=1)
    DarajaToken.objects.create(cache_key=cache_key(), access_token=daraja.living_token, expires_at=in_an_hour)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_sent_nothing(with_token: FakeDaraja, settings: Any) -> None:
    move(with_token, settings, f"http://127.0.0.1:{a_free_port()}")
    with pytest.raises(DarajaUnreachable):
        push()


def test_an_unknown_host_was_sent_nothing(with_token: FakeDaraja, settings: Any) -> None:
    move(with_token, settings, "http://daraja.invalid")
    with pytest.raises(DarajaUnreachable):
        push()


def test_a_failed_tls_handshake_sent_nothing(with_token: FakeDaraja, settings: Any) -> None:
    move(with_token, settings, with_token.url.replace("http:", "https:"))
    with pytest.raises(DarajaUnreachable):
        push()
    assert with_token.counts[PUSH] == 0


def test_an_address_that_is_none_was_sent_nothing(with_token: FakeDaraja, settings: Any) -> None:
    move(with_token, settings, "http://")
    with pytest.raises(DarajaUnreachable):
        push()


def test_a_connection_that_never_opens_sent_nothing(with_token: FakeDaraja, settings: Any) -> None:
    """A full queue of connections makes the kernel drop ours, as a firewall does."""
    settings.DARAJA_CONNECT_TIMEOUT_SECONDS = 0.2
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        move(with_token, settings, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with pytest.raises(DarajaUnreachable, match="ConnectTimeout"):
            push()


def hang(handler: Handler) -> None:
    time.sleep(1.5)  # longer than the timeout of these tests
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def reset(handler: Handler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    handler.close_connection = True


def truncate(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b'{"ResponseCode": "0",')
    handler.close_connection = True


def chatter(handler: Handler) -> None:
    handler.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send a byte now and then, each within the read timeout, for half a minute."""
    handler.send_response(200)
    handler.end_headers()
    for _tenth in range(300):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def flood(handler: Handler) -> None:
    """Send without end: only the reader can stop it."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65_536)


LOST = [hang, hang_up, reset, truncate, chatter, drip, flood]


@pytest.mark.parametrize("lose", LOST)
def test_a_push_whose_answer_is_lost_is_unknown_and_not_repeated(
    with_token: FakeDaraja, settings: Any, lose: Any
) -> None:
    with_token.answers[PUSH] = lose
    with pytest.raises(OutcomeUnknown):
        push()
    assert with_token.counts == {PUSH: 1}


@pytest.mark.parametrize("lose", LOST)
def test_a_query_whose_answer_is_lost_is_unknown(with_token: FakeDaraja, lose: Any) -> None:
    with_token.answers[QUERY] = lose
    with pytest.raises(OutcomeUnknown):
        ask()
    assert with_token.counts == {QUERY: 1}


@pytest.mark.parametrize("lose", LOST)
def test_whatever_is_lost_before_the_push_sent_nothing(daraja: FakeDaraja, lose: Any) -> None:
    daraja.answers[OAUTH] = lose
    with pytest.raises(DarajaUnreachable):
        push()
    assert daraja.counts == {OAUTH: 1}


@pytest.mark.parametrize(("endless", "timeout"), [(drip, 0.3), (flood, 30)])
def test_an_endless_answer_is_cut_off(with_token: FakeDaraja, settings: Any, endless: Any, timeout: float) -> None:
    """By time when it trickles, by size when it pours; otherwise each would take half a minute."""
    settings.DARAJA_TIMEOUT_SECONDS = timeout
    with_token.answers[PUSH] = endless
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        push()
    assert time.monotonic() - started < 25


def test_a_slow_answer_within_the_timeout_is_waited_for(with_token: FakeDaraja) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.5)
        handler.reply(200, SETTLED)

    with_token.answers[QUERY] = slow
    assert ask().outcome == "success"


def test_a_connection_that_daraja_closed_meanwhile_is_opened_again(with_token: FakeDaraja) -> None:
    with_token.say(PUSH, 200, ACCEPTED, Connection="close")
    push()
    time.sleep(0.05)
    assert push().checkout_request_id == ACCEPTED["CheckoutRequestID"]
