"""Customers for the demo: they order and pay through the running shop's own HTTP, at a steady rate.

Every customer has a phone and an address of its own below 127.0.0.0/8, so the shop's limits stay in force and are
met by nobody. What the phones do is chosen beforehand through the simulator's control API.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

AT_ONCE = 32  # customers who are asking at the same moment; who comes when all are busy goes away
TIMEOUT = 30  # seconds

# How often what happens: the fields of the simulator's plan for a phone.
OUTCOMES: tuple[tuple[int, dict[str, str]], ...] = (
    (78, {"outcome": "paid"}),
    (3, {"outcome": "paid", "delivery": "lost"}),
    (2, {"outcome": "paid", "delivery": "twice"}),
    (1, {"outcome": "paid", "delivery": "wrong_amount"}),
    (6, {"outcome": "cancelled"}),
    (3, {"outcome": "insufficient_funds"}),
    (2, {"outcome": "wrong_pin"}),
    (3, {"outcome": "no_response"}),
    (1, {"outcome": "silent"}),
    (1, {"push": "system_busy"}),
)


class ShopRefuses(Exception):
    """The shop cannot be used for a load; the text says why and what to do."""


class Customers:
    """Those who come to the shop at `base_url`; `came` counts what became of them."""

    def __init__(self, base_url: str, *, seed: int | None = None) -> None:
        where = urlsplit(base_url)
        self.host, self.port = where.hostname or "127.0.0.1", where.port or 80
        self.came: Counter[str] = Counter()
        self._dice = random.Random(seed)  # noqa: S311 - nothing is to be kept secret
        self._numbers = itertools.count(self._dice.randrange(1_000_000))
        self._skus = self._cheap_goods()

    def _cheap_goods(self) -> list[str]:
        try:
            status, goods = self._ask("GET", "/api/products/")
        except OSError as error:
            raise ShopRefuses(f"No shop answers at {self.host}:{self.port}; start it with `make run`.") from error
        if status != 200:
            raise ShopRefuses(f"The shop answers {status}; `python manage.py doctor` says what is wrong.")
        if not goods:
            raise ShopRefuses("The shop sells nothing; `python manage.py seed_demo` fills its shelf.")
        return [product["sku"] for product in goods if product["price"] <= 4_000] or [goods[0]["sku"]]

    def come(self, *, rate: float, seconds: float, stop: threading.Event) -> Counter[str]:
        """Send `rate` customers a second for so long, or until `stop`; return what became of them."""
        room = threading.Semaphore(AT_ONCE)
        begun = time.monotonic()
        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="customer") as crowd:
            for number in range(int(rate * seconds)):
                if stop.wait(max(0.0, begun + number / rate - time.monotonic())):
                    break
                if room.acquire(blocking=False):
                    crowd.submit(self._visit, room.release)
                else:
                    self.came["went away: the shop was too slow"] += 1
        return self.came

    def _visit(self, leave: Callable[[], None]) -> None:
        try:
            self.came[self._buy()] += 1
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            self.came[f"lost: {type(error).__name__}"] += 1
        finally:
            leave()

    def _buy(self) -> str:
        """Order something and ask for the prompt; return what the shop said."""
        number = next(self._numbers)
        phone_number, address = f"2547{90_000_000 + number % 10_000_000:08d}", _address(number)
        plan = self._dice.choices([plan for _, plan in OUTCOMES], weights=[weight for weight, _ in OUTCOMES])[0]
        self._ask("POST", f"/simulator/api/phones/{phone_number}/", plan, address)
        items = [{"sku": self._dice.choice(self._skus), "quantity": self._dice.choice((1, 1, 2))}]
        status, order = self._ask("POST", "/api/orders/", {"items": items}, address)
        if status != 201:
            return f"order refused: {order.get('code', status)}"
        wanted = {"order_id": order["order_id"], "phone_number": phone_number}
        status, payment = self._ask("POST", "/payments/stk-push/", wanted, address)
        return "prompted" if status == 201 else f"prompt refused: {payment.get('code', status)}"

    def _ask(self, method: str, path: str, body: Any = None, address: str | None = None) -> tuple[int, Any]:
        source = (address, 0) if address else None
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT, source_address=source)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()


def _address(number: int) -> str:
    """Return an address of the loopback network, another one for every customer; Linux answers for all of them."""
    return f"127.{1 + number // 62_500 % 200}.{number // 250 % 250}.{1 + number % 250}"
