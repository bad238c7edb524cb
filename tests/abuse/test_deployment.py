"""A shop with all its settings: nothing is unsafe, and what travels by https only says so."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import REPOSITORY

ASKED = """
import json
from django.conf import settings
from django.test import Client
names = ["SESSION", "CSRF", "LANGUAGE"]
secure = [getattr(settings, f"{name}_COOKIE_{flag}") for name in names for flag in ("SECURE", "HTTPONLY")]
told = Client(SERVER_NAME="shop.example").get("/healthz", secure=True)
sent = Client(SERVER_NAME="shop.example").get("/cart/")
told = {"secure": secure, "hsts": told["Strict-Transport-Security"], "policy": told["Content-Security-Policy"]}
print(json.dumps({**told, "sent": [sent.status_code, sent["Location"]]}))
"""


def _manage(directory: Path, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
    given = {
        "MPESA_ENVIRONMENT": "production", "PUBLIC_BASE_URL": "https://shop.example", "MPESA_SHORTCODE": "600310",
        "MPESA_CONSUMER_KEY": "key", "MPESA_CONSUMER_SECRET": "secret", "MPESA_PASSKEY": "passkey",
        "MPESA_INITIATOR_NAME": "papo", "MPESA_INITIATOR_PASSWORD": "password", "MPESA_CERTIFICATE_FILE": "x.cer",
        "EMAIL_URL": "smtp://localhost", "DATABASE_URL": f"sqlite:///{directory / 'shop.sqlite3'}",
        "ENV_FILE": str(directory / ".env"), "TRUSTED_PROXIES": "127.0.0.1",
    }  # fmt: skip
    keys = ("SECRET_KEY", "CALLBACK_SECRET", "C2B_PATH_SECRET", "METRICS_TOKEN")
    environment = {**os.environ, **given, **{name: secrets.token_hex(32) for name in keys}, **changed}
    for name in ("REDIS_URL", "DJANGO_SETTINGS_MODULE"):
        environment.pop(name, None)
    program = [sys.executable, "manage.py", *command]
    return subprocess.run(program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_check_deploy_has_nothing_to_say(tmp_path: Path) -> None:
    ran = _manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert "no issues" in ran.stdout


@pytest.mark.parametrize(
    ("short_code", "told"),
    [("1234", "papo.W017"), ("12345678", "digits and nothing else, 7 at most"), ("60031O", "digits and nothing else")],
)
def test_a_short_code_that_cannot_be_right_is_told(tmp_path: Path, short_code: str, told: str) -> None:
    """One that is only short starts all the same: it is for M-PESA to refuse."""
    ran = _manage(tmp_path, "check", "--deploy", MPESA_SHORTCODE=short_code)
    assert (told in ran.stderr, ran.returncode) == (True, 0 if short_code == "1234" else 1), ran.stderr


def test_with_https_everything_is_secure(tmp_path: Path) -> None:
    ran = _manage(tmp_path, "shell", "--verbosity", "0", "--command", ASKED)
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    assert all(told["secure"])
    assert told["hsts"] == "max-age=31536000; includeSubDomains; preload"
    assert told["sent"] == [301, "https://shop.example/cart/"]
    assert "wss://shop.example" in told["policy"]
    assert "ws://" not in told["policy"]
