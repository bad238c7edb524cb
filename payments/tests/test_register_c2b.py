"""Registering the URLs: explained first, done when asked, and honest about Safaricom's one time."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.c2b.path import confirmation_url
from payments.daraja import access_token, c2b
from payments.daraja.results import Answer


class Register:
    """Answers a registration, and remembers what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.answer = Answer(200, b'{"OriginatorCoversationID": "1-2-3", "ResponseCode": "0"}')
        monkeypatch.setattr(access_token, "current", lambda *_args, **_options: "token")
        monkeypatch.setattr(c2b.transport, "post", self._post)

    def _post(self, url: str, *, data: Any, headers: Any) -> Answer:
        self.asked.append((url, data))
        return self.answer


@pytest.fixture
def daraja(monkeypatch: pytest.MonkeyPatch) -> Register:
    return Register(monkeypatch)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("register_c2b_urls", *arguments, stdout=output)
    return output.getvalue()


def test_without_yes_it_only_explains(daraja: Register) -> None:
    shown = run()
    assert confirmation_url() in shown
    assert "ONCE" in shown
    assert daraja.asked == []


@pytest.mark.parametrize(("options", "word"), [([], "Completed"), (["--cancel-when-silent"], "Cancelled")])
def test_with_yes_the_urls_are_registered(daraja: Register, options: list[str], word: str) -> None:
    assert "Registered" in run("--yes", *options)
    ((url, data),) = daraja.asked
    assert url.endswith("/mpesa/c2b/v2/registerurl")
    assert (data["ResponseType"], data["ConfirmationURL"]) == (word, confirmation_url())


def test_the_second_time_it_says_where_they_are_changed(daraja: Register) -> None:
    daraja.answer = Answer(500, b'{"errorCode": "500.003.1001", "errorMessage": "Urls are already registered."}')
    with pytest.raises(CommandError, match="portal"):
        run("--yes")


def test_what_daraja_says_otherwise_is_told(daraja: Register) -> None:
    daraja.answer = Answer(400, b'{"errorCode": "400.002.02", "errorMessage": "Bad Request - Invalid ValidationURL"}')
    with pytest.raises(CommandError, match="Invalid ValidationURL"):
        run("--yes")
