"""What is wrong with the set-up, in words: `manage.py check` shows it all, and a server refuses to start on errors."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.urls import URLPattern, URLResolver, get_resolver

from payments.models import Transaction

SANDBOX_PASSKEY_START = "bfb279f9aa9bdbcf158e97dd71a467cd"
FILTERED_WORDS = ("m-pesa", "mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query")
PLAIN = "Without https there are no secure cookies, no HSTS and no redirect to https; each follows from this setting."
LAYER_BLOCKING_READ = 5  # seconds, of channels_redis
QUERY_BEFORE_EXPIRY = 15  # seconds
SHORTEST_SHORT_CODE = 5  # digits, by Daraja's documents


def refuse_wrong_settings() -> None:
    """Raise `ImproperlyConfigured` with one sentence per wrong setting, each naming its variable."""
    if settings.SETTINGS_PROBLEMS:
        raise ImproperlyConfigured("\n".join(settings.SETTINGS_PROBLEMS))


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report every value that the settings could not read or must refuse."""
    return [Error(sentence, id="papo.E001") for sentence in settings.SETTINGS_PROBLEMS]


@register()
def check_waiting_times(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn when payments expire before Daraja has been asked and has had time to answer."""
    if settings.MPESA_EXPIRE_AFTER_SECONDS >= settings.MPESA_QUERY_AFTER_SECONDS + QUERY_BEFORE_EXPIRY:
        return []
    return [
        checks.Warning(
            "MPESA_EXPIRE_AFTER_SECONDS is less than MPESA_QUERY_AFTER_SECONDS + 15: "
            "payments would expire before M-PESA has been asked in time.",
            id="papo.W001",
        )
    ]


@register()
def check_redis_timeout(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a socket timeout that ends the layer's own blocking read: idle pages would lose their socket."""
    hosts = settings.CHANNEL_LAYERS["default"].get("CONFIG", {}).get("hosts", [])
    short = [host for host in hosts if _socket_timeout(host) <= LAYER_BLOCKING_READ]
    message = "CHANNEL_LAYERS: socket_timeout must be above 5 s, or idle sockets are closed every few seconds."
    return [Error(message, id="papo.E002") for _host in short]


def _socket_timeout(host: object) -> float:
    """Return the seconds that redis-py waits on a host's socket: 5 where nothing is said, for ever where it is None."""
    told = host.get("socket_timeout", LAYER_BLOCKING_READ) if isinstance(host, dict) else LAYER_BLOCKING_READ
    return math.inf if told is None else float(told)


@register()
def check_workers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of several processes that cannot hear each other: a page may then learn of a change a second late."""
    workers = os.environ.get("WEB_CONCURRENCY", "")  # as uvicorn and gunicorn read it
    in_memory = settings.CHANNEL_LAYERS["default"]["BACKEND"].endswith("InMemoryChannelLayer")
    if not (in_memory and workers.isdecimal() and int(workers) > 1):
        return []
    sentence = f"WEB_CONCURRENCY is {workers} without REDIS_URL: a change reaches other workers' pages a second late."
    return [checks.Warning(sentence, id="papo.W002")]


@register()
def check_daraja_urls(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse django-daraja's own routes: they push and pay out real money on a plain GET."""
    if not _includes_daraja(get_resolver()):
        return []
    message = "urls.py includes django_daraja.urls, whose views move real money for anybody who opens them."
    return [Error(message, id="papo.E003")]


def _includes_daraja(resolver: URLResolver) -> bool:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver) and _includes_daraja(pattern):
            return True
        if isinstance(pattern, URLPattern) and (pattern.callback.__module__ or "").startswith("django_daraja"):
            return True
    return False


@register(Tags.security, deploy=True)
def check_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Explain what must not be when real money is taken."""
    found = [*_check_public_base_url(), *_check_hosts(), *_check_secrets(), *_check_credentials()]
    found += [*_check_operator(), *_check_mail()]
    found += _check_by_hand()
    return [message for message in found if message]


def _check_by_hand() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if not settings.MPESA_INITIATOR_NAME:
        sentence = "MPESA_INITIATOR_NAME is empty: M-PESA cannot be asked, and what is paid by hand waits for staff."
        messages.append(checks.Warning(sentence, id="papo.W013"))
    if settings.C2B_PATH_SECRETS == settings.CALLBACK_SECRETS:
        sentence = (
            "C2B_PATH_SECRET is empty, so the path that Safaricom takes only once would change with CALLBACK_SECRET; "
            "give it a key of its own before register_c2b_urls."
        )
        messages.append(checks.Warning(sentence, id="papo.W014"))
    return messages


def _check_public_base_url() -> list[CheckMessage]:
    url = urlsplit(settings.PUBLIC_BASE_URL)
    words = [word for word in FILTERED_WORDS if word in settings.PUBLIC_BASE_URL.lower()]
    messages: list[CheckMessage] = []
    if settings.MPESA_ENVIRONMENT == "production" and url.scheme != "https":
        messages.append(Error(f"PUBLIC_BASE_URL must be https: Safaricom calls nothing else. {PLAIN}", id="papo.E010"))
    elif url.scheme != "https":
        messages.append(checks.Warning(f"PUBLIC_BASE_URL is plain http. {PLAIN}", id="papo.W016"))
    if words:
        sentence = f"PUBLIC_BASE_URL contains {', '.join(words)}, which Safaricom's gateway may filter."
        messages.append(checks.Warning(sentence, id="papo.W010"))
    if url.scheme == "https" and not settings.TRUSTED_PROXIES:
        sentence = (
            "TRUSTED_PROXIES is empty: behind a proxy that ends https, every page would be redirected for ever, "
            "and all customers would seem to have the proxy's address."
        )
        messages.append(checks.Warning(sentence, id="papo.W011"))
    return messages


def _check_hosts() -> list[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Error("ALLOWED_HOSTS must not be *: any name would reach the shop.", id="papo.E011")]


def _check_secrets() -> list[CheckMessage]:
    if settings.SECRET_KEY not in settings.CALLBACK_SECRETS:
        return []
    sentence = "CALLBACK_SECRET is SECRET_KEY: whoever learns the one could forge callbacks, too; make one of its own."
    return [Error(sentence, id="papo.E013")]


def _check_credentials() -> list[CheckMessage]:
    if settings.MPESA_ENVIRONMENT != "production":
        return []
    messages: list[CheckMessage] = []
    if settings.MPESA_PASSKEY.startswith(SANDBOX_PASSKEY_START):
        messages.append(Error("MPESA_PASSKEY is the sandbox's public one; production has its own.", id="papo.E012"))
    for name in ("MPESA_SHORTCODE", "MPESA_TILL_NUMBER"):
        if 0 < len(getattr(settings, name)) < SHORTEST_SHORT_CODE:
            sentence = f"{name} is shorter than Daraja's {SHORTEST_SHORT_CODE} digits: every prompt may be refused."
            messages.append(checks.Warning(sentence, id="papo.W017"))
    return messages


def _check_mail() -> list[CheckMessage]:
    if settings.SIMULATOR or not settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        return []
    sentence = "EMAIL_URL is not set: receipts, with their addresses, are written to the server's output only."
    return [checks.Warning(sentence, id="papo.W012")]


def _check_operator() -> list[CheckMessage]:
    """Warn of an API operator that is only half set up: every refund through M-PESA would be refused."""
    missing = [name for name in ("MPESA_INITIATOR_PASSWORD", "MPESA_CERTIFICATE_FILE") if not getattr(settings, name)]
    if settings.SIMULATOR or not settings.MPESA_INITIATOR_NAME or not missing:
        return []
    sentence = f"{' and '.join(missing)} missing: M-PESA can neither send money back nor be asked about a receipt."
    return [checks.Warning(sentence, id="papo.W015")]


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Look for what the simulator left in a database that now takes real money; only when databases are checked."""
    if settings.SIMULATOR or not databases:
        return []
    messages: list[CheckMessage] = []
    try:
        if Transaction.objects.filter(environment="simulator").exists():
            sentence = "The database holds payments of the simulator; give the real shop a database of its own."
            messages.append(checks.Warning(sentence, id="papo.W020"))
    except DatabaseError:
        pass  # not migrated yet: there is nothing to find
    return messages
