"""Guessing the staff's passwords, and sessions that were somebody else's."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.test import Client

import passwords

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
RIGHT = "right-and-long"


@pytest.fixture(autouse=True)
def _boss() -> None:
    get_user_model().objects.create_superuser("boss", "", RIGHT)


def _try(client: Client, password: str = "wrong", *, name: str = "boss", **options: Any) -> Any:
    return client.post(LOGIN, {"username": name, "password": password}, **options)


def test_the_sixth_wrong_password_is_refused_whatever_it_is(client: Client) -> None:
    for _attempt in range(5):
        _try(client)
    answer = _try(client, RIGHT)
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "15 minutes" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_the_refusal_is_the_same_page_for_a_script_with_no_cors_header(client: Client) -> None:
    for _attempt in range(6):
        answer = _try(client, HTTP_X_REQUESTED_WITH="XMLHttpRequest")
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "Access-Control-Allow-Origin" not in answer
    assert "boss" not in answer.content.decode()


def test_the_addresses_of_one_customer_are_counted_as_one(client: Client) -> None:
    answers = [_try(client, REMOTE_ADDR=f"2c0f:fe38:2100:1::{n}").status_code for n in range(1, 7)]
    assert answers[-1] == 429
    assert _try(client, RIGHT, REMOTE_ADDR="2c0f:fe38:2100:2::1").status_code == 302


def test_a_name_that_nobody_has_is_refused_in_the_same_words(client: Client) -> None:
    known, unknown = _try(client), _try(client, name="nobody")
    words = "Please enter the correct username and password"
    assert words in known.content.decode()
    assert words in unknown.content.decode()


def test_a_login_changes_the_session(client: Client) -> None:
    client.post("/cart/add/", {"sku": "x"})
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = str(before)
    _try(client, RIGHT)
    assert client.session.session_key not in {None, before}


def test_a_logout_ends_the_session_everywhere(client: Client) -> None:
    _try(client, RIGHT)
    thief = Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert thief.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    assert thief.get("/admin/").status_code == 302


def test_a_guess_waits_for_its_turn_and_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed, closed = threading.Event(), threading.Event()
    monkeypatch.setattr(passwords, "connection", SimpleNamespace(in_atomic_block=False, close=closed.set))
    guess = threading.Thread(target=lambda: make_password("a guess") and hashed.set())
    for _turn in range(passwords.AT_ONCE):
        passwords._turn.acquire()
    guess.start()
    assert closed.wait(10)
    assert not hashed.wait(0.3)
    for _turn in range(passwords.AT_ONCE):
        passwords._turn.release()
    assert hashed.wait(60)
    guess.join()


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http:///evil.example"],
)
def test_nobody_is_sent_on_to_another_site(client: Client, target: str) -> None:
    logged_in = client.post(LOGIN, {"username": "boss", "password": RIGHT, "next": target})
    language = client.post("/i18n/setlang/", {"language": "sw", "next": target})
    switched = client.post("/i18n/setlang/", {"language": "sw"}, headers={"Referer": target})
    for answer in (logged_in, language, switched):
        assert "evil" not in answer["Location"]
        assert answer["Location"].startswith("/")
