"""Money sent back, and what may become of M-PESA's acknowledgement and result: it goes back once, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import requests

from tests.faults.many.between import Between
from tests.faults.many.desk import have_staff
from tests.faults.many.run import Slice, Visit
from tests.faults.many.shoppers import Counter
from tests.faults.many.verdict import Verdict
from tests.faults.many.ways import Fault, Way
from tests.faults.rig.cluster import Cluster
from tests.faults.rig.history import History

KNOWN_WITHIN = 100.0  # seconds: a result may be given up after 8, and the question asked again after a minute


@dataclass(frozen=True)
class BackFault:
    """`plan`: what M-PESA does with the reversals; `needs_person`: neither M-PESA nor the shop can know the end."""

    number: str
    what: str
    payments: int
    plan: dict[str, str] = field(default_factory=dict)
    needs_person: bool = False
    is_alone: bool = True  # M-PESA has one plan for all reversals


FAULTS = [
    BackFault("R1", "reversal: its result lost", 25, {"delivery": "lost"}),
    BackFault("R2", "its result twice", 25, {"delivery": "twice"}),
    BackFault("R3", "its result 6 s late", 25, {"delivery": "late"}),
    BackFault("R4", "its result before the acknowledgement", 25, {"delivery": "before_answer"}),
    BackFault("R5", "its queue timed out", 25, {"delivery": "queue_timeout"}),
    BackFault("R6", "its result contradicted by a failure", 25, {"delivery": "contradicted"}),
    BackFault("R7", "its acknowledgement lost; the result comes", 25, {"answer": "lost"}),
    BackFault("R8", "its acknowledgement a gateway's 504; the result comes", 25, {"answer": "gateway"}),
    BackFault("R9", "acknowledgement and result lost: a person has to look", 25,
              {"answer": "lost", "delivery": "lost"}, needs_person=True),
    BackFault("R10", "the request answered 500", 25, {"answer": "internal_error"}, needs_person=True),
    BackFault("R11", "results forged at the door, while nothing went back (2006)", 25, {"result": "2006"}),
]  # fmt: skip


class BackSlice:
    """Payments that are made as they should be, and then sent back, the button pressed twice at once."""

    def __init__(self, cluster: Cluster, between: Between, fault: BackFault, *, payments: int, seed: int) -> None:
        self.cluster, self.fault = cluster, fault
        good = Fault(fault.number, fault.what, payments, (Way({"outcome": "paid", "delivery": "once"}),))
        self.buying = Slice(cluster, between, good, payments=payments, seed=seed)
        self.history = History(cluster.directory / f"history-{fault.number}-{seed}-back.jsonl")
        self.counter = Counter(cluster.base_url, cluster.simulator_url, self.history)
        self.acknowledged: set[str] = set()
        self.before_staff: set[str] = set()  # payments of whose reversal a person is told to find out

    def run(self) -> Verdict:
        verdict = self.buying.run()
        ids = [visit.shopper.transaction_id for visit in self.buying.visits]
        self.cluster.simulate("operator/reversal/", **{"answer": "accepted", "delivery": "once", **self.fault.plan})
        self.acknowledged = have_staff(self.cluster, "send_back", ids)
        self._forge(ids)
        self._wait()
        self.cluster.simulate("operator/reversal/", answer="accepted", delivery="once")
        for visit in self.buying.visits:
            for wrong in self._wrongs(visit, verdict):
                verdict.accuse(visit.shopper, wrong)
        self.history.close()
        return verdict

    def _forge(self, ids: list[str]) -> None:
        """Tell the shop of ends, at addresses that a stranger may guess."""
        body = {"Result": {"ResultType": 0, "ResultCode": 0, "ResultDesc": "done", "ConversationID": "AG_1"}}
        for key in ids[:5]:
            for address in (f"{key.replace('-', '')}.{'0' * 32}", key):
                url = f"{self.cluster.base_url}/payments/callback/result/{address}/"
                assert requests.post(url, json=body, timeout=10).status_code == 404

    def _wait(self) -> None:
        """Return when each reversal is known to be through or is before staff, or time is up."""
        give_up = time.monotonic() + KNOWN_WITHIN
        while time.monotonic() < give_up and "result" not in self.fault.plan:
            waiting = [visit for visit in self.buying.visits if not self._refunded(visit)]
            for_person = [visit.shopper.transaction_id for visit in waiting if self._needs_person(visit)]
            if len(for_person) == len(waiting):
                self.before_staff = have_staff(self.cluster, "waiting", for_person) if for_person else set()
                if self.before_staff == {*for_person}:
                    break
                time.sleep(4)
            time.sleep(1)
        time.sleep(10)  # what is wrong may still come

    def _refunded(self, visit: Visit) -> int:
        shopper = visit.shopper
        document = self.counter.ask("GET", shopper, f"/payments/status/?transaction_id={shopper.transaction_id}")
        return int(document["refunded_amount"])

    def _wrongs(self, visit: Visit, verdict: Verdict) -> Iterator[str]:
        shopper = visit.shopper
        receipt = self.buying.ledger.paid()[shopper.phone_number][0].receipt
        back = self.counter.simulate(f"reversals/?original_receipt={receipt}")
        refunded = self._refunded(visit)
        verdict.counts.update({"went back": back["count"], "known to be back": int(refunded > 0)})
        if back["count"] > 1:
            yield f"money went back {back['count']} times"
        if refunded > back["amount"]:
            yield f"the shop says that KES {refunded} went back, and it was {back['amount']}"
        if self._needs_person(visit) and not refunded:
            verdict.counts["for staff"] += 1
            if shopper.transaction_id not in self.before_staff:
                yield f"KES {back['amount']} went back, the shop cannot know it, and nobody is told to find out"
        elif refunded != back["amount"]:
            yield f"KES {back['amount']} went back, and the shop says {refunded}"

    def _needs_person(self, visit: Visit) -> bool:
        """Return whether nobody but a person can tell: without acknowledgement and result the shop has no id to ask by.

        On a busy machine an acknowledgement may come too late though nothing was to happen to it.
        """
        is_result_lost = self.fault.plan.get("delivery") in {"lost", "queue_timeout"}
        is_unasked = is_result_lost and visit.shopper.transaction_id not in self.acknowledged
        return self.fault.needs_person or is_unasked
