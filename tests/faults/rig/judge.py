"""The judge: after healing, what the shop says against what phones really paid."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from payments.phone_numbers import mask
from tests.faults.rig.cluster import EXPIRE_AFTER, Cluster
from tests.faults.rig.customers import Customer, Customers
from tests.faults.rig.faults.fault import Fault
from tests.faults.rig.history import monotonic
from tests.faults.rig.pages import first_words

SECRETS = re.compile(r"ws_CO_\d|[0-9a-f]{32}\.[0-9a-f]{32}")
TOLD_BOTH = {"out_of_order", "contradicted"}  # deliveries of which a callback that tells of a failure is a part
REFUSALS = {400, 403, 404, 500, 503}  # not nginx's own 502 and 504: those say that no worker answered
SNAPSHOT_WITHIN = 5.0  # seconds in which a page is right after the server is back
WRONG_CLOCK = 1800.0  # seconds; a change that is further away was dated by a clock that was turned
CONVERGED_WITHIN = 10.0  # seconds, of every page after the end of any single fault
TERMINAL_WITHIN = EXPIRE_AFTER + 20.0  # seconds after healing: budget, passes and a loaded machine


@dataclass
class Verdict:
    """What one run showed; `convergence`: seconds from healing, or from the change or the
    opening of the page where that came later, for each page."""

    violations: list[str] = field(default_factory=list)
    convergence: list[float] = field(default_factory=list)
    payments: int = 0
    completed: int = 0
    paid: int = 0
    injections: int = 1  # how often something was broken
    unknowable: int = 0  # Daraja's id and every callback were lost: only the statement knows of the money


class Judge:
    """Reads the ledger and the shop's public routes, and nothing else."""

    def __init__(self, cluster: Cluster, customers: Customers, healed_at: float, fault: Fault) -> None:
        self.cluster, self.customers, self.healed_at, self.fault = cluster, customers, healed_at, fault
        self.verdict = Verdict()

    def decide(self) -> Verdict:
        documents = self._settled_documents()
        for customer in self.customers.all:
            if not customer.transaction_id:
                self._accuse(customer, "could not buy within the time that people have")
                continue
            self._compare(customer, documents[customer.transaction_id])
            self._look_at_answers(customer)
        self._look_late(documents)
        self._look_for_leaks()
        return self.verdict

    def _look_at_answers(self, customer: Customer) -> None:
        """I7: a true callback that reached us is never refused, unless nothing could keep it."""
        refused = [status for status in self._answers_to_callbacks(customer) if status in REFUSALS]
        if refused and not self.fault.may_refuse:
            self._accuse(customer, f"I7: a callback was answered {refused}")
        if self.fault.refuses_nobody and any(status >= 500 for status in customer.answers):
            self._accuse(customer, f"I7: the customer was answered {customer.answers}")
        if not self.fault.may_expire and customer.page and "expired" in customer.page.reasons:
            self._accuse(customer, "I6: expired, although everything was told in time")

    def _look_late(self, documents: dict[str, dict[str, Any]]) -> None:
        """Open one more page for each payment, without polls: its socket says the present version by itself."""
        for pause in self.fault.late_pages:
            time.sleep(pause)
            self._look_once_more(documents)

    def _look_once_more(self, documents: dict[str, dict[str, Any]]) -> None:
        late = asyncio.run_coroutine_threadsafe(
            first_words(self.cluster.base_url, list(documents), within=SNAPSHOT_WITHIN), self.cluster.network.loop
        ).result()
        for customer in self.customers.all:
            if customer.transaction_id and late[customer.transaction_id] != documents[customer.transaction_id].get(
                "version"
            ):
                self._accuse(customer, f"I5: a new page was told version {late[customer.transaction_id]}")

    def _look_for_leaks(self) -> None:
        """Look for whole phone numbers, CheckoutRequestIDs and callback tokens where they must not be."""
        logs = "\n".join(worker.output for worker in self.cluster.workers)
        if SECRETS.search(logs):
            self.verdict.violations.append("I9: a log holds a CheckoutRequestID or a callback token")
        for customer in self.customers.all:
            shown = json.dumps(customer.page.document) if customer.page else ""
            if customer.phone_number in logs or customer.phone_number in shown:
                self._accuse(customer, "I9: a whole phone number in a log or on a page")

    def _settled_documents(self) -> dict[str, dict[str, Any]]:
        """Wait until every payment has ended and everything that was paid is known, or time is up."""
        give_up = max(self.healed_at, time.monotonic()) + TERMINAL_WITHIN
        buyers = [customer for customer in self.customers.all if customer.transaction_id]
        waiting = buyers
        while waiting and time.monotonic() < give_up:
            is_quiet = not self.cluster.simulate("")["callbacks_waiting"]  # first: what comes after changes versions
            waiting = [customer for customer in waiting if not self._is_settled(customer, self._status(customer))]
            if not waiting and not is_quiet:
                waiting = buyers
            time.sleep(0.3)
        time.sleep(1.5)  # what is wrong may still come
        return {customer.transaction_id: self._status(customer) for customer in buyers}

    def _status(self, customer: Customer) -> dict[str, Any]:
        return self._get(f"/payments/status/?transaction_id={customer.transaction_id}")

    def _get(self, path: str) -> dict[str, Any]:
        for _attempt in range(20):
            try:
                answer = requests.get(f"{self.cluster.base_url}{path}", timeout=5)
                if answer.status_code == 200:
                    return dict(answer.json())
            except (requests.RequestException, ValueError):
                pass
            time.sleep(0.5)
        return {}

    def _ledger(self, customer: Customer) -> list[dict[str, Any]]:
        return list(self.cluster.simulate(f"ledger/?phone={customer.phone_number}")["payments"])

    def _is_settled(self, customer: Customer, document: dict[str, Any]) -> bool:
        if document.get("status") in {None, "PENDING"}:
            return False
        page_is_there = customer.page is not None and customer.page.version >= document["version"]
        if not page_is_there or document["status"] == "COMPLETED":
            return page_is_there and (bool(document["mpesa_receipt_number"]) or not self._was_told(customer))
        return not self._ledger(customer) or self._is_unknowable(customer)

    def _accuse(self, customer: Customer, what: str) -> None:
        self.verdict.violations.append(f"{what} ({customer.phone_number}, {customer.plan})")

    def _compare(self, customer: Customer, document: dict[str, Any]) -> None:
        paid = self._ledger(customer)
        self.verdict.payments += 1
        self.verdict.paid += len(paid)
        status = document.get("status")
        self.verdict.completed += status == "COMPLETED"
        if status in {None, "PENDING"}:
            self._accuse(customer, "I6: not ended in time")
        if paid and status == "FAILED" and self._is_unknowable(customer):
            self.verdict.unknowable += 1
        elif paid and status != "COMPLETED":
            self._accuse(customer, f"I1: paid, and the shop says {status} {document.get('reason')}")
        if status == "COMPLETED" and not paid:
            self._accuse(customer, "I2: completed without money")
        if status == "COMPLETED" and paid:
            self._compare_money(customer, document, paid[0])
        self._compare_page(customer, document)

    def _compare_money(self, customer: Customer, document: dict[str, Any], paid: dict[str, Any]) -> None:
        order = self._get(f"/api/orders/{customer.order_id}/")
        if document["amount"] != paid["amount"]:
            self._accuse(customer, "I2: another amount")
        if document["mpesa_receipt_number"] not in self._receipts_that_may_be_known(customer, paid["receipt"]):
            self._accuse(customer, f"I1: the receipt is {document['mpesa_receipt_number']}")
        if (order.get("status"), order.get("amount_paid")) != ("PAID", paid["amount"]):
            self._accuse(customer, f"I3: the order is {order.get('status')} with KES {order.get('amount_paid')}")

    def _receipts_that_may_be_known(self, customer: Customer, receipt: str) -> set[str | None]:
        """Return the one receipt; none at all only where no true callback was ever answered with 200."""
        return {receipt} if self._was_told(customer) else {receipt, None}

    def _was_told(self, customer: Customer) -> bool:
        """Return whether the shop has surely answered 200 to the success, not only to a failure that came with it."""
        statuses = self._answers_to_callbacks(customer)
        if customer.plan.get("delivery") in TOLD_BOTH:
            return bool(statuses) and set(statuses) == {200}
        return 200 in statuses

    def _answers_to_callbacks(self, customer: Customer) -> list[int | None]:
        prompts = self.cluster.simulate(f"phones/{customer.phone_number}/")["prompts"]
        return [sent["status"] for prompt in prompts for sent in prompt["callbacks"]]

    def _is_unknowable(self, customer: Customer) -> bool:
        """Return whether neither Daraja's id nor a callback came to the shop, going by its logs too.

        A second click is answered without ids, although the shop may have them.
        """
        line = re.compile(rf"daraja\.push\b.*\boutcome=accepted\b.*{re.escape(mask(customer.phone_number))}")
        was_accepted = customer.was_accepted or any(line.search(worker.output) for worker in self.cluster.workers)
        return not was_accepted and not self._was_told(customer)

    def _compare_page(self, customer: Customer, document: dict[str, Any]) -> None:
        page = customer.page
        if page is None or not document:
            return
        for violation in page.violations:
            self._accuse(customer, f"I4: {violation}")
        if page.version != document["version"]:
            self._accuse(customer, f"I5: the page shows version {page.version} of {document['version']}")
            return
        changed_at = monotonic(document["updated_at"])
        if abs(changed_at - time.monotonic()) > WRONG_CLOCK:
            changed_at = self.healed_at
        seconds = page.moments[page.version] - max(self.healed_at, changed_at, page.opened_at)
        self.verdict.convergence.append(max(0.0, seconds))
        if seconds > CONVERGED_WITHIN:
            self._accuse(customer, f"I5: the page took {seconds:.1f} s")
