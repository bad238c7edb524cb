"""Callbacks at a steady rate through nginx, with an open page for every payment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from tests.client import Shop, as_stored, new_phone_number
from tests.fake_daraja import FakeDaraja, Push

CONVERGED_WITHIN = 5.0  # seconds after the server or Redis is back, or after the callback's own answer


@dataclass
class Visit:
    """One payment: its prompt, what its callback was answered, and when."""

    id: str
    push: Push
    status: int | None = None
    answered_at: float = 0.0


@dataclass
class Load:
    visits: list[Visit] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[str]:
        return [f"{visit.id}: {visit.status}" for visit in self.visits if visit.status != 200] + self.faults


def prepared(shop: Shop, daraja: FakeDaraja, count: int) -> list[Visit]:
    """Begin so many payments; each has its prompt on a phone of its own."""

    def begin(_number: int) -> Visit:
        phone_number = new_phone_number()
        answer = shop.push(shop.order()["order_id"], phone_number)
        assert answer.status_code == 201, answer.text
        return Visit(answer.json()["transaction_id"], daraja.push_for(as_stored(phone_number)))

    with ThreadPoolExecutor(8) as customers:
        return list(customers.map(begin, range(count)))


@contextmanager
def callbacks(visits: list[Visit], *, rate: float) -> Iterator[Load]:
    """Post the callbacks of `visits`, `rate` a second, while the body does its harm; ends when all are answered."""
    load = Load(visits)
    with ThreadPoolExecutor(32) as safaricom:
        sender = threading.Thread(target=_send, args=(load, safaricom, rate))
        sender.start()
        try:
            yield load
        finally:
            sender.join()


def _send(load: Load, safaricom: ThreadPoolExecutor, rate: float) -> None:
    begin = time.monotonic()
    for number, visit in enumerate(load.visits):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        safaricom.submit(_post, load, visit)


def _post(load: Load, visit: Visit) -> None:
    try:
        visit.status = visit.push.succeed().status_code
    except requests.RequestException as error:  # Safaricom would have told nobody again
        load.faults.append(f"{visit.id}: {type(error).__name__}")
    visit.answered_at = time.monotonic()
