"""Money paid by hand, and what may become of its confirmation and of M-PESA's answer about its receipt."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.faults.many.desk import have_staff
from tests.faults.many.ledger import Ledger, Paid
from tests.faults.many.shoppers import ADDRESSES, Counter, Shopper
from tests.faults.many.verdict import Verdict
from tests.faults.rig.cluster import CREDENTIALS, Cluster
from tests.faults.rig.history import History

AT_ONCE = 12  # customers
ENDS_WITHIN = 120.0  # seconds: M-PESA is asked again after 10, 30 and 60
SILENT_FOR = 12.0  # seconds that M-PESA's answers about receipts stay broken, longer than we wait for one
_numbers = itertools.count(9_000_001)


@dataclass(frozen=True)
class Way:
    """How one payment by hand goes. `delivery`: the simulator's, of the confirmation.

    `copies`: true ones that the rig posts at once. `lies`: what somebody who knows the path posts, "before" or "after".
    `claims`: the customer's prompt had failed before, and the SMS is pasted after. `counts`: the order must be paid;
    otherwise the money may be left to staff.
    """

    delivery: str = "once"
    copies: int = 0
    lies: str = ""
    claims: bool = False
    counts: bool = True


@dataclass(frozen=True)
class HandFault:
    number: str
    what: str
    payments: int
    ways: tuple[Way, ...]
    around: Callable[[Cluster], AbstractContextManager[None]] = field(default=lambda cluster: nullcontext())

    @property
    def is_alone(self) -> bool:
        """Return whether it needs M-PESA for itself: plans of operator's requests and of validation are one for all."""
        return self.number[0] == "S" or self.number == "C8"


def operator(kind: str, **plan: str) -> Callable[[Cluster], AbstractContextManager[None]]:
    """Let M-PESA treat the operator's requests of that kind so, while the body lasts and SILENT_FOR seconds more."""

    @contextmanager
    def around(cluster: Cluster) -> Iterator[None]:
        cluster.simulate(f"operator/{kind}/", **plan)
        try:
            yield
            time.sleep(SILENT_FOR)
        finally:
            cluster.simulate(f"operator/{kind}/", answer="accepted", delivery="once")

    return around


@contextmanager
def _validated(cluster: Cluster) -> Iterator[None]:
    """Let M-PESA ask the shop before it takes the money."""
    cluster.simulate("c2b/", validates=True)
    try:
        yield
    finally:
        cluster.simulate("c2b/", validates=False)


_ONCE = (Way(),)


def _asked(**plan: str) -> Callable[[Cluster], AbstractContextManager[None]]:
    return operator("transaction_status", **plan)


FAULTS = [
    HandFault("C1", "C2B confirmation lost, and the customer pastes the SMS", 50, (Way("lost", claims=True),)),
    HandFault("C2", "confirmation twice; three times at once", 100, (Way("twice"), Way("lost", copies=3))),
    HandFault("C3", "confirmation 6 s late; oddly written", 100, (Way("late"), Way("odd"))),
    HandFault("C4", "confirmation cut off; without amount; for an account that nobody has; then the SMS", 99,
              (Way("malformed", claims=True), Way("no_amount", claims=True), Way("unknown_id", claims=True))),
    HandFault("C5", "confirmation with another amount than M-PESA names, then the SMS", 50,
              (Way("wrong_amount", claims=True),)),
    HandFault("C6", "forged confirmations: receipts that do not exist, for orders that nobody paid", 100,
              (Way(lies="invented"),)),
    HandFault("C7", "contradicted: the true receipt told for a stranger's order as well, after and before the true one",
              100, (Way(lies="after"), Way(lies="before", counts=False))),
    HandFault("C8", "confirmation and validation: M-PESA asks the shop first", 50, _ONCE, _validated),
    HandFault("S1", "Transaction Status: its result lost until healing", 50, _ONCE, _asked(delivery="lost")),
    HandFault("S2", "its result twice", 50, _ONCE, _asked(delivery="twice")),
    HandFault("S3", "its result 6 s late", 50, _ONCE, _asked(delivery="late")),
    HandFault("S4", "its result before the acknowledgement", 50, _ONCE, _asked(delivery="before_answer")),
    HandFault("S5", "its queue timed out until healing", 50, _ONCE, _asked(delivery="queue_timeout")),
    HandFault("S6", "its result contradicted by a failure", 50, _ONCE, _asked(delivery="contradicted")),
    HandFault("S7", "its acknowledgement lost until healing", 50, _ONCE, _asked(answer="lost")),
    HandFault("S8", "the question answered 500 until healing", 50, _ONCE, _asked(answer="internal_error")),
]  # fmt: skip


@dataclass
class Visit:
    """`victim`: an order that nobody pays, and that somebody lies about. `due`: KES."""

    shopper: Shopper
    way: Way
    account: str = ""
    receipt: str = ""
    due: int = 0
    problem: str = ""
    victim: Shopper | None = None
    order: dict[str, Any] = field(default_factory=dict)
    is_before_staff: bool = False


class HandSlice:
    """So many payments by hand; whoever lies knows the path of the confirmations."""

    def __init__(self, cluster: Cluster, fault: HandFault, *, payments: int, seed: int) -> None:
        self.cluster, self.fault = cluster, fault
        self.history = History(cluster.directory / f"history-{fault.number}-{seed}.jsonl")
        self.counter = Counter(cluster.base_url, cluster.simulator_url, self.history)
        self.ledger = Ledger(cluster.directory / "ledger.sqlite3")
        ways = itertools.islice(itertools.cycle(fault.ways), payments)
        self.visits = [Visit(self._shopper(), way) for way in ways]
        self.url = _registered(cluster)
        self.before_staff: set[str] = set()  # receipts that a person is told to decide about

    def _shopper(self) -> Shopper:
        number = next(_numbers)
        return Shopper(f"25479{number:07d}", {}, ADDRESSES[number % len(ADDRESSES)])

    def run(self) -> Verdict:
        try:
            with self.fault.around(self.cluster), ThreadPoolExecutor(AT_ONCE) as customers:
                list(customers.map(self._visit, self.visits))
            self._wait()
            return self._judge()
        finally:
            self.history.close()

    def _visit(self, visit: Visit) -> None:
        self.counter.order(visit.shopper)
        if visit.way.claims:
            self._fail_a_prompt(visit.shopper)
        told = self._order(visit.shopper, "by-hand/")
        visit.account, visit.due = told["account_number"], told["amount_due"]
        if visit.way.lies:
            visit.victim = self._shopper()
            self.counter.order(visit.victim)
        pay = {"account": visit.account, "amount": visit.due, "delivery": visit.way.delivery}
        if visit.way.lies == "before":
            pay["delivery"] = "lost"  # the rig posts it, second
        paid = self.counter.simulate(f"phones/{visit.shopper.phone_number}/pay/", **pay)
        visit.receipt, visit.problem = paid["receipt"] or "", paid["problem"] or ""
        self._post_more(visit)
        if visit.way.claims:
            time.sleep(1)
            sms = {"json": {"sms": f"{visit.receipt} Confirmed. Ksh{visit.due}.00 sent to the shop."}}
            self.counter.ask("POST", visit.shopper, f"/api/orders/{visit.shopper.order_id}/by-hand/", **sms)

    def _fail_a_prompt(self, shopper: Shopper) -> None:
        self.counter.tell_phone(shopper.phone_number, {"outcome": "cancelled", "delivery": "once"})
        self.counter.push(shopper)
        give_up = time.monotonic() + 60
        while self._order(shopper)["payments"][0]["status"] == "PENDING":
            assert time.monotonic() < give_up, "a cancelled prompt does not end"
            time.sleep(0.3)

    def _post_more(self, visit: Visit) -> None:
        """Post what comes beside the simulator's own confirmation, if any does."""
        true = _confirmation(visit, visit.account, visit.receipt)
        lies = []
        if visit.victim:
            account = self._order(visit.victim, "by-hand/")["account_number"]
            receipt = f"UX{next(_numbers):08d}" if visit.way.lies == "invented" else visit.receipt
            lies = [_confirmation(visit, account, receipt)]
        bodies = [true] * visit.way.copies + lies
        if visit.way.lies == "before":
            bodies = []
            self._post(lies[0])
            self._post(true)
        if visit.way.lies == "after":
            self._wait_until_paid([visit])
        with ThreadPoolExecutor(4) as couriers:
            list(couriers.map(self._post, bodies))

    def _post(self, body: dict[str, Any]) -> None:
        status = requests.post(self.url, json=body, timeout=15).status_code
        self.history.note("rig", "confirmation", status=status)

    def _order(self, shopper: Shopper, more: str = "") -> dict[str, Any]:
        return self.counter.ask("GET", shopper, f"/api/orders/{shopper.order_id}/{more}")

    def _wait(self) -> None:
        self._wait_until_paid([visit for visit in self.visits if visit.way.counts])
        time.sleep(3)  # what is wrong may still come
        give_up = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < give_up:
            uncounted = [visit.receipt for visit in self.visits if self._order(visit.shopper).get("status") != "PAID"]
            self.before_staff = have_staff(self.cluster, "waiting", uncounted) if uncounted else set()
            if self.before_staff == {*uncounted}:
                return
            time.sleep(2)

    def _wait_until_paid(self, waiting: list[Visit]) -> None:
        give_up = time.monotonic() + ENDS_WITHIN
        while waiting and time.monotonic() < give_up:
            time.sleep(1)
            waiting = [visit for visit in waiting if self._order(visit.shopper).get("status") != "PAID"]

    def _judge(self) -> Verdict:
        verdict, paid = Verdict(), self.ledger.paid()
        counted: dict[str, int] = {}
        for visit in self.visits:
            visit.order, visit.is_before_staff = self._order(visit.shopper), visit.receipt in self.before_staff
            orders = [visit.order, *([self._order(visit.victim)] if visit.victim else [])]
            for payment in (each for order in orders for each in order["payments"] if each["status"] == "COMPLETED"):
                counted[payment["mpesa_receipt_number"]] = counted.get(payment["mpesa_receipt_number"], 0) + 1
            for wrong in _wrongs(visit, orders, paid[visit.shopper.phone_number], verdict):
                verdict.accuse(visit.shopper, f"{wrong}, {visit.way}")
        real = {each.receipt for mine in paid.values() for each in mine}
        verdict.violations += [f"I3: {receipt} counted {n} times" for receipt, n in counted.items() if n > 1]
        verdict.violations += [f"I2: {receipt} was never paid" for receipt in counted if receipt not in real]
        return verdict


def _wrongs(visit: Visit, orders: list[dict[str, Any]], paid: list[Paid], verdict: Verdict) -> Iterator[str]:
    truly, counted = sum(each.amount for each in paid), sum(order["amount_paid"] for order in orders)
    own = [each for each in visit.order["payments"] if each["status"] == "COMPLETED"]
    verdict.counts.update({"customers": 1, "payments": 1, "paid": len(paid), "COMPLETED": len(own)})
    if visit.problem:
        yield f"the phone could not pay: {visit.problem}"
    if counted > truly:
        yield f"I2: KES {counted} counted of {truly}"
    if visit.way.counts and (visit.order["status"], visit.order["amount_paid"]) != ("PAID", truly):
        yield f"I1: the order is {visit.order['status']} with KES {visit.order['amount_paid']} of {truly}"
    if not own and not visit.is_before_staff:
        yield "I1: neither counted nor before staff"
    verdict.counts["for staff"] += visit.is_before_staff


def _registered(cluster: Cluster) -> str:
    """Register the shop's URLs as its people do, once; return that of the confirmations."""
    if not cluster.simulate("c2b/"):
        cluster.workers[0].manage("register_c2b_urls", "--yes")
    return str(cluster.simulate("c2b/")["confirmation_url"])


def _confirmation(visit: Visit, account: str, receipt: str) -> dict[str, Any]:
    number = visit.shopper.phone_number
    return {
        "TransactionType": "Pay Bill",
        "TransID": receipt,
        "TransTime": time.strftime("%Y%m%d%H%M%S"),
        "TransAmount": f"{visit.due}.00",
        "BusinessShortCode": CREDENTIALS["MPESA_SHORTCODE"],
        "BillRefNumber": account,
        "InvoiceNumber": "",
        "OrgAccountBalance": "49197.00",
        "ThirdPartyTransID": "",
        "MSISDN": f"{number[:4]} ***** {number[-3:]}",
        "FirstName": "RIG",
    }
