"""The server under attack, its memory, and its database as the judge reads it."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.abuse.rig.caller import Caller
from tests.abuse.rig.tally import Tally
from tests.fake_daraja import FakeDaraja, running_daraja
from tests.server import RunningServer
from tests.services import running_services

if TYPE_CHECKING:
    from payments.models import Transaction
    from shop.models import Order

# What is never told to anybody; each is planted, and looked for in every answer and in the log.
CANARIES = {
    "MPESA_CONSUMER_SECRET": "canary-consumer-secret-7d1f0a",
    "MPESA_PASSKEY": "canary-passkey-52c9e8",
    "MPESA_INITIATOR_PASSWORD": "canary-initiator-9b3d44",
    "SECRET_KEY": "canary-secret-key-0123456789abcdefghijklmnop",
    "CALLBACK_SECRET": "canary-callback-secret-0123456789abcdefghij",
    "C2B_PATH_SECRET": "canary-path-secret-0123456789abcdefghijklmn",
}
NEVER_LOGGED = r"\b[0-9a-f]{32}\.[0-9a-f]{32}\b|ws_CO_\d+|\b254[17]\d{8}\b"  # tokens, Daraja's ids, whole phones
HIDDEN = {  # the reconciler's notes and what staff read; a hint may move them
    *("check_after", "checks", "queried_code", "queried_at", "hinted_at", "watched_at", "updated_at"),
}


def settings_of(directory: Path, daraja_url: str, *, limited: bool) -> dict[str, str]:
    """Return what server and judge share. `limited`: with rate limits, behind a proxy, which is us."""
    return {
        **CANARIES,
        "ENV_FILE": str(directory / ".env"),
        "MPESA_CONSUMER_KEY": "abuse",
        "MPESA_SHORTCODE": "174379",
        "MPESA_INITIATOR_NAME": "abuse",
        "DARAJA_BASE_URL": daraja_url,
        "DARAJA_TIMEOUT_SECONDS": "30",  # a busy machine is no fault of Daraja's
        "MPESA_QUERY_AFTER_SECONDS": "3600",  # what no input settles stays as it is, and is seen
        "MPESA_EXPIRE_AFTER_SECONDS": "86400",
        "EMAIL_URL": f"filemail:///{directory / 'mail'}",
        "RATE_LIMITS": "on" if limited else "off",
        **({"TRUSTED_PROXIES": "127.0.0.1", "PUSHES_PER_SECOND": "1000"} if limited else {}),
    }


class Target:
    """One running server; everything in `judge_*` and below reads its database directly."""

    def __init__(self, server: RunningServer, daraja: FakeDaraja) -> None:
        self.server, self.daraja = server, daraja
        self.base_url = server.base_url
        self._pool: list[Transaction] = []
        self._log_read = 0

    def caller(self, address: str = "") -> Caller:
        return Caller(self.base_url, address=address)

    def tally(self) -> Tally:
        return Tally(secrets=[value.encode() for value in CANARIES.values()])

    @property
    def pid(self) -> int:
        assert self.server.process is not None
        return self.server.process.pid

    def memory(self) -> int:
        """Return what the process holds now, in KiB."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """Return the most that it has held since `forget_peak`, in KiB."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found, name
        return int(found[1])

    def look_into_log(self, tally: Tally) -> None:
        """Count what the server itself calls a failure, and secrets that it wrote down, since the last look."""
        text = self.server.output[self._log_read :]
        self._log_read += len(text)
        for line in re.findall(r"^Traceback.*|.*\[error.*", text, re.MULTILINE)[:50]:
            tally.error(f"in the log: {line}")
        for secret in [*CANARIES.values(), *re.findall(NEVER_LOGGED, text)]:
            if secret in text:
                tally.change(f"in the log: {secret}")

    # What is there to be attacked

    def payment(self) -> Transaction:
        """Return a payment that waits for its customer, of 1,500 KES."""
        if not self._pool:
            self._pool = make_payments(200)
        return self._pool.pop()

    def order(self) -> Order:
        from tests.factories import make_order

        return make_order(customer_name="Canary Wanjiku", customer_email="canary@example.com")


def make_payments(number: int) -> list[Transaction]:
    from django.db.transaction import atomic

    from tests.factories import make_order, make_product, make_transaction

    with atomic():
        product = make_product()
        return [make_transaction(order=make_order(product=product), phone_number=new_phone()) for _ in range(number)]


def new_phone() -> str:
    return f"2547{secrets.randbelow(10**8):08d}"


def state_of(pks: list[Any]) -> list[Any]:
    """Return all that an attacker would like to change about payments and their orders."""
    from payments.models import Transaction
    from shop.models import Order

    fields = [field.attname for field in Transaction._meta.concrete_fields if field.attname not in HIDDEN]
    payments = Transaction.objects.filter(pk__in=pks).order_by("pk")
    orders = Order.objects.filter(transactions__in=pks).order_by("pk")
    return [*payments.values(*fields), *orders.values()]


@contextmanager
def running_target(
    directory: Path, *, services: bool, limited: bool, program: list[str] | None = None
) -> Iterator[Target]:
    """Yield a server: the production worker on PostgreSQL and Redis with `services`, else `serve` on SQLite."""
    with ExitStack() as stack:
        daraja, daraja_url = stack.enter_context(running_daraja())
        urls = stack.enter_context(running_services()) if services else {}
        settings = {**settings_of(directory, daraja_url, limited=limited), **urls}
        server = RunningServer(directory, command="worker" if services else "serve", **settings)
        os.environ.pop("REDIS_URL", None)
        os.environ.update(server.settings)
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        server.prepare()
        if program:
            server.program = program
        stack.callback(server.stop)  # of one that does not become ready too
        server.start()
        import django

        django.setup()
        stack.callback(_let_go)
        yield Target(server, daraja)


def _let_go() -> None:
    from django.db import connections

    connections.close_all()
    pool = getattr(connections["default"], "pool", None)
    if pool is not None:
        connections["default"].close_pool()
