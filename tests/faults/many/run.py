"""One slice of a fault: so many payments on one running shop, each with its page, and the verdict."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.faults.many.between import Between, running_between
from tests.faults.many.courier import Courier
from tests.faults.many.ledger import Ledger, Paid
from tests.faults.many.shoppers import ADDRESSES, Counter, Shopper
from tests.faults.many.verdict import Verdict, compare
from tests.faults.many.ways import Fault, Way
from tests.faults.rig.cluster import EXPIRE_AFTER, Cluster
from tests.faults.rig.history import History, monotonic
from tests.faults.rig.pages import Page

AT_ONCE = 6  # customers who are buying
ENDS_WITHIN = 150.0  # seconds after the last message: expiry, and the minute that a 429 keeps us silent
CONVERGED_WITHIN = 10.0  # seconds, of a page after its payment's last change
_numbers = itertools.count(1)


@dataclass
class Visit:
    """A shopper on one way, and the page of the latest payment."""

    shopper: Shopper
    way: Way
    pages: list[Page] = field(default_factory=list)
    watching: list[Future[None]] = field(default_factory=list)

    @property
    def page(self) -> Page | None:
        return self.pages[-1] if self.pages else None


@contextmanager
def lied_to(cluster: Cluster) -> Iterator[Between]:
    """Put somebody between the shop and Daraja."""
    with running_between(cluster.simulator_url) as (between, port):
        true, cluster.daraja.upstreams = cluster.daraja.upstreams, [port]
        try:
            yield between
        finally:
            cluster.daraja.upstreams = true


class Slice:
    """So many payments of one fault."""

    def __init__(self, cluster: Cluster, between: Between, fault: Fault, *, payments: int, seed: int) -> None:
        self.cluster, self.between, self.fault = cluster, between, fault
        self.seed, self.dice = seed, random.Random(seed)
        self.history = History(cluster.directory / f"history-{fault.number}-{seed}.jsonl")
        self.counter = Counter(cluster.base_url, cluster.simulator_url, self.history)
        self.courier = Courier(cluster, self.counter, seed)
        self.ledger = Ledger(cluster.directory / "ledger.sqlite3")
        ways = itertools.islice(itertools.cycle(fault.ways), payments)
        self.visits = [Visit(self._shopper(way), way) for way in ways]

    def _shopper(self, way: Way) -> Shopper:
        number = next(_numbers)
        return Shopper(f"25479{number:07d}", way.plan, ADDRESSES[number % len(ADDRESSES)])

    def run(self) -> Verdict:
        """Let everybody buy, wait until everything has ended, and judge."""
        try:
            with (
                self.fault.around(self.cluster),
                ThreadPoolExecutor(AT_ONCE) as buying,
                ThreadPoolExecutor(len(self.visits)) as later,  # they mostly wait
            ):
                bought = [buying.submit(self._buy, visit) for visit in self.visits]
                list(later.map(self._after, bought, self.visits))
            self._wait()
            return self._judge()
        finally:
            for visit in self.visits:
                for watching in visit.watching:
                    watching.cancel()
            self.history.close()

    def _buy(self, visit: Visit) -> None:
        shopper = visit.shopper
        self.counter.tell_phone(shopper.phone_number, shopper.plan)
        if visit.way.lie:
            self.between.lies[shopper.phone_number] = visit.way.lie
        self.counter.order(shopper)
        self._push(visit)

    def _push(self, visit: Visit) -> None:
        self.counter.push(visit.shopper)
        if not visit.shopper.transaction_id:
            return
        page = Page(
            self.cluster.base_url, visit.shopper.transaction_id, self.history, self.seed, address=visit.shopper.address
        )
        visit.pages.append(page)
        visit.watching.append(asyncio.run_coroutine_threadsafe(page.live(), self.cluster.network.loop))

    def _after(self, buying: Future[None], visit: Visit) -> None:
        buying.result()
        if not visit.shopper.transaction_id:
            return
        if visit.way.again:
            self._pay_again(visit)
        elif visit.way.posts:
            self.courier.deliver(visit.shopper, 0, visit.way.posts)
            self.between.heal(visit.shopper.phone_number)

    def _pay_again(self, visit: Visit) -> None:
        """Pay a second time when the first attempt has expired; the first one's callback comes in the middle of it."""
        with ThreadPoolExecutor(1) as courier:
            late = courier.submit(self.courier.deliver, visit.shopper, 0, visit.way.posts)
            first = visit.pages[0]
            asyncio.run_coroutine_threadsafe(
                asyncio.wait_for(first.has_ended.wait(), EXPIRE_AFTER * 3), self.cluster.network.loop
            ).result()
            self.between.lies.pop(visit.shopper.phone_number, None)
            self.counter.tell_phone(visit.shopper.phone_number, {"outcome": "paid", "delivery": "once"})
            self._push(visit)
            late.result()
        self.between.heal(visit.shopper.phone_number)

    def _wait(self) -> None:
        """Return when every page shows an end that agrees with the ledger, or time is up."""
        give_up = time.monotonic() + ENDS_WITHIN
        phones = {visit.shopper.phone_number for visit in self.visits}
        while time.monotonic() < give_up:
            is_quiet = phones.isdisjoint(self.ledger.waiting())
            paid = self.ledger.paid()
            if is_quiet and all(self._has_ended(visit, paid) for visit in self.visits):
                time.sleep(2)  # what is wrong may still come
                return
            time.sleep(1)

    def _has_ended(self, visit: Visit, paid: dict[str, list[Paid]]) -> bool:
        statuses = [page.document.get("status", "PENDING") for page in visit.pages]
        if "PENDING" in statuses:
            return False
        mine = paid[visit.shopper.phone_number]
        is_unknowable = not visit.shopper.was_accepted and not any(each.is_told for each in mine)
        return is_unknowable or statuses.count("COMPLETED") >= len(mine)

    def _judge(self) -> Verdict:
        verdict, paid, prompts = Verdict(violations=list(self.courier.refused)), self._paid(), self.ledger.prompts()
        phones = {visit.shopper.phone_number for visit in self.visits}
        verdict.counts["lies told"] = sum(count for (phone, _), count in self.between.told.items() if phone in phones)
        with ThreadPoolExecutor(4) as askers:
            orders = list(askers.map(self._order, self.visits))
        for visit, order in zip(self.visits, orders, strict=True):
            mine = paid[visit.shopper.phone_number]
            compare(visit.shopper, order, mine, verdict)
            self._judge_steps(visit, order, prompts.get(visit.shopper.phone_number, 0), verdict)
            for page in visit.pages:
                self._judge_page(visit, page, order.get("payments", []), verdict)
        return verdict

    def _paid(self) -> dict[str, list[Paid]]:
        """Return the ledger, which does not know what the rig itself has told the shop."""
        paid = self.ledger.paid()
        for phone_number, mine in paid.items():
            paid[phone_number] = [
                Paid(each.phone_number, each.receipt, each.amount, each.checkout_request_id,
                     each.is_told or each.receipt in self.courier.answered)
                for each in mine
            ]  # fmt: skip
        return paid

    def _order(self, visit: Visit) -> dict[str, Any]:
        return self.counter.ask("GET", visit.shopper, f"/api/orders/{visit.shopper.order_id}/")

    def _judge_steps(self, visit: Visit, order: dict[str, Any], prompts: int, verdict: Verdict) -> None:
        if prompts > len(visit.shopper.transaction_ids):
            verdict.accuse(visit.shopper, f"a phone was prompted {prompts} times")
        # On a busy machine even a punctual callback may come after expiry: then FAILED is one step more.
        steps = [payment["version"] - payment["late"] for payment in order.get("payments", [])
                 if payment["status"] == "COMPLETED"]  # fmt: skip
        if visit.way.version and set(steps) - {visit.way.version}:
            verdict.accuse(visit.shopper, f"I4: the versions are {steps}")

    def _judge_page(self, visit: Visit, page: Page, payments: Sequence[dict[str, Any]], verdict: Verdict) -> None:
        payment = next((each for each in payments if each["transaction_id"] == page.transaction_id), None)
        for violation in page.violations:
            verdict.accuse(visit.shopper, f"I4: {violation}")
        if payment is None:
            return
        if page.version != payment["version"]:
            verdict.accuse(visit.shopper, f"I5: the page shows version {page.version} of {payment['version']}")
            return
        opened_at = min(page.moments.values())
        seconds = max(0.0, page.moments[page.version] - max(monotonic(payment["updated_at"]), opened_at))
        verdict.convergence.append(seconds)
        if seconds > CONVERGED_WITHIN:
            verdict.accuse(visit.shopper, f"I5: the page took {seconds:.1f} s")
