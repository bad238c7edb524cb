"""Customers without a page: they order, ask for a prompt, and click again after an error."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import urllib3

from tests.faults.rig.history import History

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 12)]  # nginx counts pushes and sockets by address
PATIENCE = 75.0  # seconds that a customer goes on clicking; a key whose worker has died is free after 60
AGAIN_AFTER = 0.7  # seconds
TIMEOUT = 35  # seconds, longer than a poll is held
ITEMS = {"items": [{"sku": "unga-2kg", "quantity": 1}]}


@dataclass
class Shopper:
    """One customer: a phone, an order, its payments in the order of their prompts, and what must not have been seen."""

    phone_number: str
    plan: dict[str, str]
    address: str = ADDRESSES[0]
    order_id: str = ""
    transaction_ids: list[str] = field(default_factory=list)
    was_accepted: bool = False  # the shop had Daraja's id of the last push
    violations: list[str] = field(default_factory=list)

    @property
    def transaction_id(self) -> str:
        return self.transaction_ids[-1] if self.transaction_ids else ""


class Counter:
    """Where shoppers buy. Every method blocks, for a thread of its own."""

    def __init__(self, base_url: str, simulator_url: str, history: History) -> None:
        self.base_url, self.simulator_url, self.history = base_url, simulator_url, history
        self._pools = {address: urllib3.PoolManager(source_address=(address, 0), maxsize=16) for address in ADDRESSES}

    def tell_phone(self, phone_number: str, plan: dict[str, str]) -> None:
        """Have the simulator's phone and network do what `plan` says."""
        self.simulate(f"phones/{phone_number}/", **plan)

    def simulate(self, path: str, **body: Any) -> dict[str, Any]:
        """Ask or tell the simulator; a GET without a body."""
        method, more = ("POST", {"json": body}) if body else ("GET", {})
        url = f"{self.simulator_url}/api/{path}"
        answer = self._pools[ADDRESSES[0]].request(method, url, timeout=TIMEOUT, **more)  # type: ignore[arg-type]
        assert answer.status == 200, answer.data
        return dict(json.loads(answer.data))

    def order(self, shopper: Shopper) -> None:
        shopper.order_id = self._insist(shopper, "/api/orders/", ITEMS, "order_id").get("order_id", "")

    def push(self, shopper: Shopper) -> None:
        """Ask for a prompt until there is an answer with a payment; the same key makes every repetition harmless.

        A phone may have paid before the answer to the first try was lost: then the order tells of the payment.
        """
        body = {"order_id": shopper.order_id, "phone_number": shopper.phone_number}
        answer = self._insist(shopper, "/payments/stk-push/", body, "transaction_id")
        if answer.get("code") == "order_paid":
            payments = self.ask("GET", shopper, f"/api/orders/{shopper.order_id}/").get("payments", [])
            shopper.transaction_ids = [payment["transaction_id"] for payment in payments]
            shopper.was_accepted = True
            return
        shopper.was_accepted = bool(answer.get("checkout_request_id"))
        if "transaction_id" in answer:
            shopper.transaction_ids.append(answer["transaction_id"])

    def _insist(self, shopper: Shopper, path: str, body: dict[str, Any], wanted: str) -> dict[str, Any]:
        give_up = time.monotonic() + PATIENCE
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        while time.monotonic() < give_up:
            document = self.ask("POST", shopper, path, json=body, headers=headers)
            if wanted in document and document.get("code") != "daraja_unreachable":
                return document
            if document.get("code") == "order_paid":
                return document
            time.sleep(AGAIN_AFTER)
        return {}

    def ask(self, method: str, shopper: Shopper, path: str, **more: Any) -> dict[str, Any]:
        """Return what the shop answers, nothing where it answers no JSON or not at all."""
        url = f"{self.base_url}{path}"
        try:
            answer = self._pools[shopper.address].request(method, url, timeout=TIMEOUT, retries=False, **more)
            self.history.note(shopper.phone_number, "answer", path=path.split("?")[0], status=answer.status)
            return dict(json.loads(answer.data)) if "json" in answer.headers.get("Content-Type", "") else {}
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            self.history.note(shopper.phone_number, "no answer", path=path, error=type(error).__name__)
            return {}
