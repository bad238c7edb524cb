"""Read the environment and `.env`, and keep what is wrong with them in words.

Nothing here raises on a bad value: every problem becomes one sentence that names its variable, so that
`manage.py check` can show all of them at once. The server and the commands refuse to start while there are any.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

T = TypeVar("T")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MINIMUM_SECRET_LENGTH = 32  # characters
TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


class Environment:
    """The variables of the process, then those of one `.env` file; `problems` holds one sentence per bad value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.names_read: set[str] = set()
        self._load()

    def _load(self) -> None:
        """Read the file under the variables of the process: the environment wins over `.env`."""
        self._values: dict[str, str] = {}
        if self.path.is_file():
            given = dict(os.environ)
            try:
                environ.Env.read_env(str(self.path), overwrite=True)
                self._values = dict(os.environ)
            finally:
                os.environ.clear()
                os.environ.update(given)
        self._values.update({name: value for name, value in os.environ.items() if value or name not in self._values})

    def text(self, name: str, default: str = "") -> str:
        self.names_read.add(name)
        return self._values.get(name, "").strip() or default

    def list(self, name: str, default: str = "") -> list[str]:
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the e-mail addresses that are listed; each that is none is a problem."""
        found = []
        for text in self.list(name):
            try:
                validate_email(text)
            except ValidationError:
                self.problems.append(f"{name} must hold e-mail addresses, not {text!r}.")
            else:
                found.append(text)
        return tuple(found)

    def networks(self, name: str) -> tuple[IPNetwork, ...]:
        """Return the addresses and networks that are listed; each that is neither is a problem."""
        found = []
        for text in self.list(name):
            try:
                found.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                self.problems.append(f"{name} must hold IP addresses or networks, not {text!r}.")
        return tuple(found)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.text(name, "on" if default else "off").lower()
        if value not in TRUE | FALSE:
            return self._refuse(f"{name} must be on or off, not {value!r}.", default)
        return value in TRUE

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            return self._refuse(f"{name} must be one of {', '.join(choices)}, not {value!r}.", choices[0])
        return value

    def number(self, name: str, default: int, *, least: int = 1, most: int = 10**9) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            return self._refuse(f"{name} must be a whole number from {least} to {most}, not {value!r}.", default)
        return int(value)

    def parsed(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        """Return `parse` of the value; a value it cannot read is a problem and the default stands in."""
        value = self.text(name, default)
        try:
            with warnings.catch_warnings(action="ignore"):  # the problem is told once, in our own sentence
                return parse(value)
        except Exception as error:
            return self._refuse(f"{name} cannot be read: {type(error).__name__}.", parse(default))

    def _refuse(self, sentence: str, fallback: T) -> T:
        self.problems.append(sentence)
        return fallback

    def generate_missing_secrets(self, *names: str) -> None:
        """Write a fresh secret into `.env` for every name that neither the environment nor the file gives.

        Two processes that start at once agree: the file is read again and replaced under a lock. Mode 0600.
        """
        if all(self.text(name) for name in names):
            return
        with open(f"{self.path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._load()
            missing = [name for name in names if not self.text(name)]
            if missing:
                self._append({name: secrets.token_urlsafe(48) for name in missing})
                self._load()

    def _append(self, values: dict[str, str]) -> None:
        before = self.path.read_text() if self.path.is_file() else ""
        kept = [line for line in before.splitlines() if line.strip() not in {f"{name}=" for name in values}]
        text = "\n".join([*kept, *(f"{name}={value}" for name, value in values.items()), ""])
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self.path)


def example_values(path: Path) -> set[str]:
    """Return every value that `.env.example` shows, so that none of them can be used as a secret."""
    if not path.is_file():
        return set()
    pairs = (line.lstrip("# ").split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {value.strip() for _, value in pairs if value.strip()}


def is_private_origin(url: str) -> bool:
    """Return whether the host of `url` is a loopback or private address, which no stranger can reach."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def is_origin(url: str) -> bool:
    """Return whether `url` is scheme, host and optional port, and nothing more."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and bare and port_is_valid


def is_listed(address: str | None, networks: Iterable[IPNetwork]) -> bool:
    """Return whether `address` lies in one of the networks; an IPv4 address is the same inside an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(mapped in network for network in networks)
