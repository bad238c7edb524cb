"""Callbacks at a steady rate through nginx."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import requests

from tests.client import Shop, as_stored, new_phone_number
from tests.fake_daraja import FakeDaraja, Push

CONVERGED_WITHIN = 5.0  # seconds after the server or Redis is back, or after the callback's own answer


@dataclass
class Visit:
    """One payment: its prompt, and when its first callback was answered."""

    id: str
    push: Push
    is_sent: bool = False
    answered_at: float = 0.0

    @cached_property
    def body(self) -> dict[str, Any]:
        """The callback; a repeated one is the same to the letter."""
        return self.push.callback()


@dataclass
class Load:
    """`visits`: those whose callback was sent; `refused`: what was not answered 200; `rate`: callbacks a second."""

    visits: list[Visit] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rate: float = 0.0
    is_over: threading.Event = field(default_factory=threading.Event)


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

    Ends when all are answered; without `all_of_them` it lasts as long as the harm, and begins again with the first
    when that takes longer than they do, as Safaricom repeats itself.
    """
    load = Load()
    with ThreadPoolExecutor(64) as safaricom:
        sent = visits if all_of_them else itertools.cycle(visits)
        sender = threading.Thread(target=_send, args=(load, sent, safaricom, rate))
        sender.start()
        try:
            yield load
        finally:
            if not all_of_them:
                load.is_over.set()
            sender.join()


def _send(load: Load, visits: Iterable[Visit], safaricom: ThreadPoolExecutor, rate: float) -> None:
    begin, number = time.monotonic(), 0
    for number, visit in enumerate(visits):
        if load.is_over.wait(max(0.0, begin + number / rate - time.monotonic())):
            break
        if not visit.is_sent:
            visit.is_sent = True
            load.visits.append(visit)
        safaricom.submit(_post, load, visit)
    load.rate = number / (time.monotonic() - begin)


def _post(load: Load, visit: Visit) -> None:
    try:
        status = visit.push.post(visit.body).status_code
        if status != 200:
            load.refused.append(f"{visit.id}: {status}")
    except requests.RequestException as error:  # Safaricom would have told nobody again
        load.refused.append(f"{visit.id}: {type(error).__name__}")
    visit.answered_at = visit.answered_at or time.monotonic()
