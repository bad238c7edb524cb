"""What `manage.py doctor` looks at: each examination says what is well, or what is wrong and what to do about it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import redis
import requests
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from commands import missing_migrations
from environment import is_private_origin
from payments import spool
from payments.callback_token import callback_url
from payments.daraja import client
from payments.daraja.errors import DarajaError, DarajaRefused

LARGEST_SKEW = timedelta(seconds=30)  # Daraja refuses a password whose time is far from its own
PATIENCE = 10  # seconds for an answer from outside


@dataclass(frozen=True)
class Finding:
    """`advice`: what to do, empty when all is well."""

    about: str
    text: str
    advice: str = ""

    @property
    def is_well(self) -> bool:
        return not self.advice


def examine() -> Iterator[Finding]:
    """Yield a finding for each examination; one that cannot be made is a finding too."""
    for about, examination in EXAMINATIONS.items():
        try:
            text, advice = examination()
        except Exception as error:
            text, advice = (
                f"could not be examined: {type(error).__name__}",
                "See the log; the other findings may say why.",
            )
        yield Finding(about, text, advice)


Answer = tuple[str, str]  # what was found, what to do


def _settings() -> Answer:
    if settings.SETTINGS_PROBLEMS:
        return " ".join(settings.SETTINGS_PROBLEMS), "Correct these in the environment or in .env."
    return f"{settings.MPESA_ENVIRONMENT}, {settings.PUBLIC_BASE_URL}", ""


def _database() -> Answer:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_TIMESTAMP")
            row = cursor.fetchone()
        missing = missing_migrations()
    except DatabaseError as error:
        return f"does not answer ({type(error).__name__})", "Start it, and compare DATABASE_URL with where it listens."
    if missing:
        return f"{missing} migrations are missing", "Run: python manage.py prepare"
    return _clock("its clock", _as_utc(row[0] if row else ""), "Let NTP set the clocks of both machines.")


def _as_utc(moment: object) -> datetime:
    found = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _clock(whose: str, moment: datetime, advice: str) -> Answer:
    skew = abs(timezone.now() - moment)
    if skew > LARGEST_SKEW:
        return f"{whose} is {skew.total_seconds():.0f} s away from ours", advice
    return f"answers; {whose} agrees with ours", ""


def _redis() -> Answer:
    if not settings.REDIS_URLS:
        return "none: messages stay inside one process", ""
    for number, url in enumerate(settings.REDIS_URLS, start=1):
        try:
            policy = _policy_of(url)
        except redis.RedisError as error:
            text = f"host {number} of {len(settings.REDIS_URLS)} does not answer ({type(error).__name__})"
            return text, "Start it, and compare REDIS_URL with where it listens."
        if policy not in {"noeviction", ""}:
            return f"evicts keys ({policy})", "Give it maxmemory-policy noeviction: an evicted group leaves pages deaf."
    return f"{len(settings.REDIS_URLS)} answer", ""


def _policy_of(url: str) -> str:
    """Return what a Redis does when it is full, empty where it does not say, as rented ones do not."""
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as server:
        server.ping()
        try:
            return str(server.config_get("maxmemory-policy").get("maxmemory-policy", ""))
        except redis.ResponseError:
            return ""


def _spool() -> Answer:
    directory = Path(settings.CALLBACK_SPOOL_DIR)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f"doctor.{uuid.uuid4().hex}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return f"cannot be written ({error.strerror})", "Give CALLBACK_SPOOL_DIR a directory of the shop's user."
    if found := spool.left():
        return f"holds records that another release wrote: {found}", "Start that release again; leave the files there."
    return "can be written", ""


def _daraja() -> Answer:
    try:
        answer = requests.head(settings.DARAJA_BASE_URL, timeout=PATIENCE, allow_redirects=False)
        client.check_credentials()
    except requests.RequestException as error:
        return f"cannot be reached ({type(error).__name__})", "Let this machine reach DARAJA_BASE_URL, port 443."
    except DarajaRefused:
        return (
            "refuses us a token",
            "Compare MPESA_CONSUMER_KEY and MPESA_CONSUMER_SECRET with the app of this environment.",
        )
    except DarajaError as error:  # the database is away too, where the token is kept
        return f"gives no token ({type(error).__name__})", "Mend what is wrong above, then ask again in a minute."
    if "Date" not in answer.headers:
        return "gives a token", ""
    moment = parsedate_to_datetime(answer.headers["Date"])
    text, advice = _clock("its clock", moment, "Let NTP set this machine's clock.")
    return f"gives a token; {text}", advice


def _callbacks() -> Answer:
    if is_private_origin(settings.PUBLIC_BASE_URL) and not settings.SIMULATOR:
        return (
            "PUBLIC_BASE_URL is private",
            "Give it the https origin that Safaricom reaches; ngrok will do for a trial.",
        )
    if urlsplit(settings.PUBLIC_BASE_URL).scheme != "https" and not settings.SIMULATOR:
        return "PUBLIC_BASE_URL is not https", "Safaricom calls back over https only; give nginx a certificate."
    url = callback_url(uuid.uuid4())[:-3] + "zz/"  # nobody's token: it must come as far as our own 404
    try:
        answer = requests.post(url, json={}, timeout=PATIENCE, allow_redirects=False)
    except requests.RequestException as error:
        return (
            f"do not arrive ({type(error).__name__})",
            "Start the shop; then compare DNS, firewall, certificate and nginx with PUBLIC_BASE_URL.",
        )
    if answer.status_code != 404 or "problem+json" not in answer.headers.get("Content-Type", ""):
        return (
            f"end elsewhere: {answer.status_code}",
            "Something before the shop answers; let it pass /payments/callback/.",
        )
    return "arrive", ""


EXAMINATIONS: dict[str, Callable[[], Answer]] = {
    "settings": _settings,
    "database": _database,
    "redis": _redis,
    "spool": _spool,
    "daraja": _daraja,
    "callbacks": _callbacks,
}
