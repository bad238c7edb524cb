"""The shop reaches its own simulator on the loopback, whatever stands in front of the shop."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from django.conf import settings as django_settings
from django.test import Client

TOKEN = "/simulator/oauth/v1/generate?grant_type=client_credentials"


def test_daraja_is_not_redirected_to_https_but_the_pages_are(settings):
    settings.SECURE_SSL_REDIRECT = True
    browser = Client()
    assert browser.get(TOKEN).status_code == 400
    assert browser.get("/simulator/phone/").status_code == 301


def _in_a_fresh_process(expression: str, tmp_path, **given: str):
    environment = {**os.environ, "ENV_FILE": str(tmp_path / ".env"), "ALLOWED_HOSTS": "shop.example", **given}
    code = f"import json, django, settings; django.setup(); import urls; print(json.dumps({expression}))"
    options = {"cwd": django_settings.BASE_DIR, "env": environment, "text": True, "timeout": 60}
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, **options).stdout)


def test_the_loopback_is_allowed_beside_the_hosts_that_are_given(tmp_path):
    hosts = _in_a_fresh_process("settings.ALLOWED_HOSTS", tmp_path)
    assert hosts == ["shop.example", "localhost", "127.0.0.1", "[::1]"]


def test_outside_the_simulator_there_is_no_route_and_no_other_host(tmp_path):
    given = {"MPESA_ENVIRONMENT": "sandbox", "SECRET_KEY": "k" * 40}
    expression = "[settings.ALLOWED_HOSTS, 'simulator' in str(urls.urlpatterns), 'admin' in str(urls.urlpatterns)]"
    assert _in_a_fresh_process(expression, tmp_path, **given) == [["shop.example"], False, True]
