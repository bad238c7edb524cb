"""What goes wrong below our own code: HTTP and WebSocket as attackers and broken proxies write them."""

from __future__ import annotations

import random
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.abuse.raw import connect, handshake, open_socket, statuses, talk
from tests.abuse.wire import HANDSHAKES, REQUESTS, START, UNDERSTOOD, against_the_rules, foreign_origins, frames
from tests.client import Shop, next_document
from tests.conftest import Payment

SEED = 6455
ACCEPTED = 0.5  # seconds of silence, from which a socket has been opened


def _answers(shop: Shop, request: bytes, **patience: float) -> list[int]:
    return statuses(talk(shop.base_url, request, **patience)[0])


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_against_the_rules_is_refused_and_smuggles_nothing(shop: Shop, name: str) -> None:
    host = urlsplit(shop.base_url).netloc
    answers = _answers(shop, against_the_rules(name, START.format(host=host), host))
    assert len(answers) <= 1
    assert set(answers) <= UNDERSTOOD
    assert shop.get("/healthz").status_code == 200


def test_a_body_that_stops_half_way_holds_up_nobody(shop: Shop) -> None:
    host = urlsplit(shop.base_url).netloc
    slow = [connect(shop.base_url) for _connection in range(30)]
    for connection in slow:
        connection.sendall((START.format(host=host) + "Content-Length: 5000\r\n\r\n{").encode())
    assert shop.get("/api/products/", timeout=5).status_code == 200
    for connection in slow:
        connection.close()


# Sockets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [60, pytest.param(2_000, marks=pytest.mark.long)])
def test_frames_against_the_rules_hurt_nobody_else(shop: Shop, payment: Payment, attempts: int) -> None:
    dice = random.Random(SEED)
    with shop.socket(payment.id) as bystander:
        next_document(bystander)
        for _attempt in range(attempts):
            with open_socket(shop.base_url, f"/ws/payments/{payment.id}/") as connection, suppress(OSError):
                connection.sendall(frames(dice))
        payment.push.succeed()
        assert next_document(bystander)["status"] == "COMPLETED"
    assert shop.get("/healthz").status_code == 200


@pytest.mark.parametrize("headers", HANDSHAKES, ids=range(len(HANDSHAKES)))
def test_an_odd_handshake_is_answered_or_refused(shop: Shop, payment: Payment, headers: tuple[str, ...]) -> None:
    request = handshake(f"/ws/payments/{payment.id}/", urlsplit(shop.base_url).netloc, *headers)
    assert all(status < 500 for status in _answers(shop, request, patience=ACCEPTED))
    assert shop.get("/healthz").status_code == 200


def test_none_of_twelve_foreign_origins_gets_a_socket(shop: Shop, payment: Payment) -> None:
    host = urlsplit(shop.base_url).netloc
    for origin in foreign_origins(host.split(":")[1]):
        request = handshake(f"/ws/payments/{payment.id}/", host, f"Origin: {origin}")
        assert _answers(shop, request) in ([400], [403]), origin  # 400 where it is no origin at all
