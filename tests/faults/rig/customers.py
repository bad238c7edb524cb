"""Customers who buy, pay and watch while something is broken; they do what people do: click again after an error."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
import uuid
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.faults.rig.chromium import RealPage
from tests.faults.rig.cluster import Cluster
from tests.faults.rig.history import History
from tests.faults.rig.pages import Page

PATIENCE = 75.0  # seconds that a customer goes on clicking; a key whose worker has died is free after 60
AGAIN_AFTER = 0.7  # seconds
IDS = {"MerchantRequestID": "merchant_request_id", "CheckoutRequestID": "checkout_request_id"}
_numbers = itertools.count(1)


@dataclass
class Customer:
    """One person with one phone and one order; `plan`: what the simulator's phone and network do."""

    phone_number: str
    plan: dict[str, str]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    order_id: str = ""
    transaction_id: str = ""
    is_forger: bool = False
    was_accepted: bool = False  # the shop had Daraja's id
    answers: list[int] = field(default_factory=list)  # the statuses that the shop answered with
    page: Page | RealPage | None = None
    watching: Future[None] | None = None


class Customers:
    """All customers of one run."""

    def __init__(self, cluster: Cluster, history: History, seed: int, *, sockets_suffice: bool = True) -> None:
        self.sockets_suffice, self._turn = sockets_suffice, itertools.count()
        self.cluster, self.history, self.seed = cluster, history, seed
        self.dice = random.Random(seed)
        self.all: list[Customer] = []
        self._threads: list[threading.Thread] = []

    def send(self, plans: list[dict[str, str]], *, over: float) -> None:
        """Let one customer for each plan come in, spread evenly over so many seconds; returns at once."""
        for index, plan in enumerate(plans):
            plan = dict(plan)
            is_forger = bool(plan.pop("forges", ""))
            customer = Customer(f"25479{next(_numbers):07d}", plan, is_forger=is_forger)
            self.all.append(customer)
            start = self.dice.uniform(0, over) if index else 0.0
            thread = threading.Thread(target=self._buy, args=(customer, start), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _buy(self, customer: Customer, start: float) -> None:
        self.cluster.simulate(f"phones/{customer.phone_number}/", **customer.plan)
        time.sleep(start)
        items = {"items": [{"sku": "unga-2kg", "quantity": 1}]}
        customer.order_id = self._insist(customer, "/api/orders/", items, "order_id").get("order_id", "")
        push = {"order_id": customer.order_id, "phone_number": customer.phone_number}
        answer = self._insist(customer, "/payments/stk-push/", push, "transaction_id")
        customer.transaction_id = answer.get("transaction_id", "")
        customer.was_accepted = bool(answer.get("checkout_request_id"))
        if customer.transaction_id:
            self._watch(customer)
        if customer.is_forger and "checkout_request_id" in answer:
            self._forge(customer, answer)

    def _forge(self, customer: Customer, pushed: dict[str, Any]) -> None:
        """Tell the shop that it was paid, with all that a customer can know."""
        items = [{"Name": "Amount", "Value": pushed["amount"]}, {"Name": "MpesaReceiptNumber", "Value": "UFORGED001"}]
        told = {name: pushed[key] for name, key in IDS.items()}
        body = {"Body": {"stkCallback": {**told, "ResultCode": 0, "CallbackMetadata": {"Item": items}}}}
        headers = {"X-Forwarded-For": "196.201.214.200"}
        answer = requests.post(
            f"{self.cluster.base_url}/mpesa/stk_push_callback/", json=body, headers=headers, timeout=10
        )
        self.history.note(customer.phone_number, "forged", status=answer.status_code)

    def _insist(self, customer: Customer, path: str, body: dict[str, Any], wanted: str) -> dict[str, Any]:
        """Post until something answers with `wanted`; the same key makes every repetition harmless."""
        give_up = time.monotonic() + PATIENCE
        headers = {"Idempotency-Key": f"{customer.key}{path}"}
        while time.monotonic() < give_up:
            try:
                answer = requests.post(f"{self.cluster.base_url}{path}", json=body, headers=headers, timeout=10)
            except requests.RequestException as error:
                self.history.note(customer.phone_number, "no answer", path=path, error=type(error).__name__)
            else:
                self.history.note(customer.phone_number, "answer", path=path, status=answer.status_code)
                document = _document(answer)
                if document.get("code") != "outcome_unknown":  # its 503 is Daraja's silence, and no fault of the shop
                    customer.answers.append(answer.status_code)
                if wanted in document and document.get("code") != "daraja_unreachable":
                    return document
                if document.get("code") == "order_paid" and (payment := self._paid_meanwhile(customer)):
                    return payment
            time.sleep(AGAIN_AFTER)
        return {}

    def _paid_meanwhile(self, customer: Customer) -> dict[str, Any]:
        """Return the payment that paid the order, as its page would show: its prompt went out, its answer was lost.

        Empty where nobody answers just now.
        """
        url = f"{self.cluster.base_url}/api/orders/{customer.order_id}/"
        with suppress(requests.RequestException):
            return next(iter(_document(requests.get(url, timeout=10)).get("payments", ())), {})
        return {}

    def _watch(self, customer: Customer) -> None:
        customer.page = page = self._new_page(customer.transaction_id)
        customer.watching = asyncio.run_coroutine_threadsafe(page.live(), self.cluster.network.loop)

    def _new_page(self, transaction_id: str) -> Page | RealPage:
        if self.cluster.chromium:
            return RealPage(self.cluster.chromium, self.cluster.base_url, transaction_id, self.history)
        polls = not self.sockets_suffice or next(self._turn) % 3 != 0
        return Page(self.cluster.base_url, transaction_id, self.history, self.seed, polls=polls)

    def wait(self) -> None:
        """Return when everybody has bought or given up."""
        for thread in self._threads:
            thread.join(timeout=PATIENCE * 2)

    def come_back(self) -> None:
        """Have all pages look again, as a browser whose network is back makes them."""
        for customer in self.all:
            if customer.page:
                self.cluster.network.loop.call_soon_threadsafe(customer.page.come_back)

    def leave(self) -> None:
        for customer in self.all:
            if customer.watching:
                customer.watching.cancel()


def _document(answer: requests.Response) -> dict[str, Any]:
    try:
        return dict(answer.json())
    except ValueError:
        return {}
