"""Callbacks at a steady rate through nginx."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
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
    """`visits`: those whose callback was sent; `rate`: how many a second that were in the end."""

    visits: list[Visit] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    rate: float = 0.0
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def refused(self) -> list[str]:
        return [f"{visit.id}: {visit.status}" for visit in self.visits if visit.status != 200] + self.faults


def prepared(shops: Sequence[Shop], daraja: FakeDaraja, count: int) -> list[Visit]:
    """Begin so many payments; each has its prompt on a phone of its own."""
    taking_turns = itertools.cycle(shops)

    def begin(_number: int) -> Visit:
        shop, phone_number = next(taking_turns), new_phone_number()
        answer = shop.push(shop.order()["order_id"], phone_number)
        assert answer.status_code == 201, answer.text
        return Visit(answer.json()["transaction_id"], daraja.push_for(as_stored(phone_number)))

    with ThreadPoolExecutor(8) as customers:
        return list(customers.map(begin, range(count)))


@contextmanager
def callbacks(visits: Sequence[Visit], *, rate: float, all_of_them: bool = True) -> Iterator[Load]:
    """Post the callbacks of `visits`, `rate` a second, while the body does its harm.

    Ends when all are answered; without `all_of_them` the sending ends with the harm, which they must outlast.
    """
    load = Load()
    with ThreadPoolExecutor(64) as safaricom:
        sender = threading.Thread(target=_send, args=(load, visits, safaricom, rate))
        sender.start()
        try:
            yield load
            assert all_of_them or sender.is_alive(), "the harm lasted longer than the load"
        finally:
            if not all_of_them:
                load.is_over.set()
            sender.join()


def _send(load: Load, visits: Sequence[Visit], safaricom: ThreadPoolExecutor, rate: float) -> None:
    begin = time.monotonic()
    for number, visit in enumerate(visits):
        if load.is_over.wait(max(0.0, begin + number / rate - time.monotonic())):
            break
        load.visits.append(visit)
        safaricom.submit(_post, load, visit)
    load.rate = len(load.visits) / (time.monotonic() - begin)


def _post(load: Load, visit: Visit) -> None:
    try:
        visit.status = visit.push.succeed().status_code
    except requests.RequestException as error:  # Safaricom would have told nobody again
        load.faults.append(f"{visit.id}: {type(error).__name__}")
    visit.answered_at = time.monotonic()
