"""`manage.py simulator` serves alone: without the shop's database, at both mounts, until SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from django.conf import settings as django_settings


def _start(tmp_path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "SIMULATOR_RECORD": str(tmp_path / "alone.sqlite3"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/never.sqlite3",
        "PUBLIC_BASE_URL": "https://127.0.0.1:8443",
    }
    command = [sys.executable, "manage.py", "simulator", *arguments]
    options = {"cwd": django_settings.BASE_DIR, "env": environment, "text": True}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Iterator[tuple[str, subprocess.Popen[str], object]]:
    directory = tmp_path_factory.mktemp("alone")
    process = _start(directory, "--port", "0")
    line = process.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert match, process.stderr.read()
    yield match[0], process, directory
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    process.stderr.close()


@pytest.mark.parametrize("mount", ["", "/simulator"])
def test_a_push_is_accepted_and_paid_at_either_mount(alone, daraja, shop, settings, mount):
    base, auth = f"{alone[0]}{mount}", (settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET)
    token = requests.get(f"{base}/oauth/v1/generate?grant_type=client_credentials", auth=auth, timeout=5).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    url = f"{base}/mpesa/stkpush/v1/processrequest"
    answer = requests.post(url, json=daraja.push_fields("254712000012"), headers=headers, timeout=5)
    assert answer.status_code == 200
    assert shop.wait_for(1)[0]["CheckoutRequestID"] == answer.json()["CheckoutRequestID"]


def test_the_pages_and_their_style_are_served_without_https(alone):
    page = requests.get(alone[0], timeout=5)
    assert page.url == f"{alone[0]}/phone/"
    style = re.search(r'href="(/[^"]+\.css)"', page.text)[1]
    assert requests.get(f"{alone[0]}{style}", timeout=5).status_code == 200


def test_the_shop_is_neither_served_nor_its_database_touched(alone):
    for path in ("/api/products/", "/admin/", "/healthz"):
        assert requests.get(f"{alone[0]}{path}", timeout=5).status_code == 404
    assert not (alone[2] / "never.sqlite3").exists()


def test_a_taken_port_is_said_in_words(alone, tmp_path):
    process = _start(tmp_path, "--port", alone[0].rsplit(":", 1)[1])
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Cannot listen on 127.0.0.1:" in errors
