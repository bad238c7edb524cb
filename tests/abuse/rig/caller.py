"""A stranger's connection: fast, kept alive, and free to write what no library would."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

PATIENCE = 30  # seconds
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """`status` is None where the server ended the connection instead of answering."""

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def header(self, name: str) -> str:
        """Return a header, whichever case the server writes it in."""
        return self.headers.get(name.lower(), "")

    @property
    def json(self) -> dict[str, Any]:
        with suppress(ValueError):
            value = json.loads(self.body)
            return value if isinstance(value, dict) else {}
        return {}


class Caller:
    """One client. `address`: claimed in X-Forwarded-For, for a server that trusts us as its proxy."""

    def __init__(self, base_url: str, *, address: str = "") -> None:
        self._netloc = urlsplit(base_url).netloc
        self._connection = http.client.HTTPConnection(self._netloc, timeout=PATIENCE)
        self.address = address
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        return self.send("POST", path, body, {"Content-Type": "application/json", **headers})

    def post_json(self, path: str, body: Any, **headers: str) -> Answer:
        return self.post(path, json.dumps(body).encode(), **headers)

    def post_form(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Post a form as a page of ours would, with the token of its cookie."""
        fields = {"csrfmiddlewaretoken": self.cookies.get("csrftoken", ""), **fields}
        data = urlencode(fields, errors="replace").encode()
        return self.send("POST", path, data, {"Content-Type": FORM, **headers})

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send one request, once more where a kept connection turns out to have ended."""
        given = {**({"X-Forwarded-For": self.address} if self.address else {}), **(headers or {})}
        if self.cookies:
            given.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        given = {name.replace("_", "-"): value for name, value in given.items()}
        for _attempt in range(2):
            with suppress(OSError, http.client.HTTPException):
                return self._exchange(method, path, body, given)
            self._connection.close()
        return Answer(None)

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        began = time.perf_counter()
        encoded: Any = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        self._connection.request(method, path, body or None, encoded)
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, content, headers, seconds)
