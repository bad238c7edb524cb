"""The rig in Daraja's place: true callbacks posted when, and as often as, a fault wants it."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.faults.many.ageing import age
from tests.faults.many.shoppers import Counter, Shopper
from tests.faults.many.ways import Post
from tests.faults.rig.cluster import Cluster

TIMEOUT = 15  # seconds
PAID_WITHIN = 60.0  # seconds after the push, on a busy machine


class Courier:
    """`answered`: the receipts of which a success was answered with 200."""

    def __init__(self, cluster: Cluster, counter: Counter, seed: int) -> None:
        self._cluster, self._counter, self._dice = cluster, counter, random.Random(seed)
        self._couriers = ThreadPoolExecutor(40, thread_name_prefix="courier")
        self.answered: set[str] = set()
        self.refused: list[str] = []  # answers that Safaricom would not have been content with

    def deliver(self, shopper: Shopper, prompt: int, posts: tuple[Post, ...]) -> None:
        """Wait until the phone has paid its prompt (the first is 0) and post what is to be posted, each at its time."""
        paid = self._paid_prompt(shopper, prompt)
        if paid is None:
            return  # the push never came to Daraja; the judge sees what became of the payment
        paid_at = time.monotonic()
        for post in posts:
            time.sleep(max(0.0, paid_at + self._dice.uniform(*post.after) - time.monotonic()))
            if post.ages:
                age(self._cluster, shopper.transaction_ids[prompt])
            body = _callback(paid, post.code)
            copies = [self._couriers.submit(self._post, paid, body) for _copy in range(post.copies)]
            statuses = [copy.result() for copy in copies]
            if post.code == 0 and 200 in statuses:
                self.answered.add(paid["receipt"])
            self.refused += [f"I7: a callback was answered {status}" for status in statuses if status != 200]

    def _paid_prompt(self, shopper: Shopper, prompt: int) -> dict[str, Any] | None:
        give_up = time.monotonic() + PAID_WITHIN
        while time.monotonic() < give_up:
            prompts = self._counter.simulate(f"phones/{shopper.phone_number}/")["prompts"][::-1]  # the oldest first
            if len(prompts) > prompt and prompts[prompt]["receipt"]:
                return dict(prompts[prompt])
            time.sleep(0.5)
        return None

    def _post(self, paid: dict[str, Any], body: dict[str, Any]) -> int | None:
        try:
            return requests.post(paid["callback_url"], json=body, timeout=TIMEOUT).status_code
        except requests.RequestException:
            return None


def _callback(paid: dict[str, Any], code: int) -> dict[str, Any]:
    """Return what Daraja posts of a paid prompt: a success, or with another code a contradiction."""
    told: dict[str, Any] = {
        "MerchantRequestID": paid["merchant_request_id"],
        "CheckoutRequestID": paid["checkout_request_id"],
        "ResultCode": code,
        "ResultDesc": "Request cancelled by user" if code else "The service request is processed successfully.",
    }
    if code == 0:
        items = {"Amount": float(paid["amount"]), "MpesaReceiptNumber": paid["receipt"]}
        items |= {"TransactionDate": int(time.strftime("%Y%m%d%H%M%S")), "PhoneNumber": int(paid["phone_number"])}
        told["CallbackMetadata"] = {"Item": [{"Name": name, "Value": value} for name, value in items.items()]}
    return {"Body": {"stkCallback": told}}
