"""https as deploy/nginx/ ends it: redirects, HSTS, secure cookies, wss, and no header of a caller believed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import psycopg
import pytest
import requests
from websockets.exceptions import InvalidStatus

from tests.client import Shop, next_document
from tests.production.load import Visit
from tests.production.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.services]
HSTS = "max-age=31536000; includeSubDomains; preload"


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])


def test_plain_http_is_sent_to_https_with_path_and_query(stack: Stack) -> None:
    plain = Shop(f"http://127.0.0.1:{stack.plain_port}")
    for answer in (plain.get("/cart/?x=1"), plain.post("/payments/stk-push/?x=1", json={})):
        path = "/cart/?x=1" if answer.request.method == "GET" else "/payments/stk-push/?x=1"
        assert (answer.status_code, answer.headers["Location"]) == (308, f"https://127.0.0.1{path}")


def test_every_answer_tells_browsers_to_stay_with_https(stack: Stack) -> None:
    shop = Shop(stack.base_url)
    for path in ("/", "/api/products/", "/healthz", "/nowhere/"):
        assert shop.get(path).headers["Strict-Transport-Security"] == HSTS, path


def test_cookies_travel_over_https_alone(stack: Stack) -> None:
    visitor = requests.Session()
    assert visitor.get(f"{stack.base_url}/admin/login/", timeout=10).status_code == 200
    assert visitor.cookies
    for cookie in visitor.cookies:
        assert cookie.secure, cookie.name


def test_a_caller_can_neither_end_https_nor_choose_an_address(
    stack: Stack, begin: Callable[[int], list[Visit]]
) -> None:
    forged = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "196.201.214.200"}
    assert Shop(stack.base_url, **forged).get("/api/products/").status_code == 200
    (visit,) = begin(1)
    url = visit.push.callback_url
    assert url.startswith(stack.base_url)
    assert requests.post(url, json=visit.push.callback(), headers=forged, timeout=10).status_code == 200
    with psycopg.connect(stack.database_url) as database:
        query = "SELECT host(remote_address) FROM payments_callback WHERE transaction_id = %s"
        assert database.execute(query, [visit.id]).fetchall() == [("127.0.0.1",)]


def test_a_page_hears_of_its_payment_over_wss(stack: Stack, begin: Callable[[int], list[Visit]]) -> None:
    (visit,) = begin(1)
    with Shop(stack.base_url).socket(visit.id, ssl=_trusting(), origin=stack.base_url) as socket:
        assert next_document(socket)["status"] == "PENDING"
        assert visit.push.succeed().status_code == 200
        assert next_document(socket)["status"] == "COMPLETED"


def test_a_page_of_the_plain_shop_is_a_stranger(stack: Stack, begin: Callable[[int], list[Visit]]) -> None:
    (visit,) = begin(1)
    with pytest.raises(InvalidStatus) as refused:
        Shop(stack.base_url).socket(visit.id, ssl=_trusting(), origin=stack.base_url.replace("https", "http"))
    assert refused.value.response.status_code == 403


def test_nobody_outside_reads_the_metrics(stack: Stack) -> None:
    assert Shop(stack.base_url).get("/metrics").status_code == 404


def test_no_log_of_nginx_holds_a_secret_path(stack: Stack, begin: Callable[[int], list[Visit]]) -> None:
    """Neither of a callback that was taken, nor of one that found no worker: errors are logged with the request."""
    (visit,) = begin(1)
    secret = f"{stack.base_url}/payments/c2b/{'0' * 32}/confirmation/"
    Shop(stack.base_url).get("/api/products/")
    for worker in stack.workers:
        worker.stop()
    for url in (visit.push.callback_url, secret):
        assert requests.post(url, json={}, timeout=20).status_code == 502
    for worker in stack.workers:
        worker.start()
    assert visit.push.succeed().status_code == 200
    logged = "".join((stack.directory / name).read_text() for name in ("access.log", "nginx.log", "nginx.out"))
    assert "/api/products/" in logged
    assert "/payments/callback/" not in logged
    assert "/payments/c2b/" not in logged
