"""What can happen to one payment, and which faults are made of it. Seconds are those of a shop that gives up after 30.

Papo gives up after 180 s unless told otherwise, and the rig's shop after 30: a sixth. So 30 s late is 5 s late here,
and "around expiry" (170 to 190 s) is 28 to 32 s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tests.faults.many.between import Lie
from tests.faults.many.revoking import revoked_tokens
from tests.faults.rig.cluster import EXPIRE_AFTER, Cluster

Around = Callable[[Cluster], AbstractContextManager[None]]


def _plain(cluster: Cluster) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Post:
    """One true callback posted by the rig in Daraja's place, so many copies at once, so long after the phone paid.

    `code`: what it says; a success unless given, and a lie otherwise. `at_expiry`: counted from the shop's giving up.
    `ages`: before it is posted, the payment grows 25 hours old.
    """

    after: tuple[float, float] = (0.0, 0.0)  # seconds, from and to
    copies: int = 1
    code: int = 0
    ages: bool = False


@dataclass(frozen=True)
class Way:
    """How one payment goes. `plan`: what the simulator does; `posts`: what the rig posts beside it.

    `again`: after the first attempt has expired unpaid in the shop's eyes, the customer pays a second time.
    `version`: the one that the payment must end with, where there is but one way to get there.
    """

    plan: dict[str, str]
    lie: Lie | None = None
    posts: tuple[Post, ...] = ()
    again: bool = False
    version: int | None = None


@dataclass(frozen=True)
class Fault:
    """`payments` of them, dealt out among the `ways` in turn.

    `around`: what else is broken meanwhile. `is_alone`: others at the same time would suffer from it.
    """

    number: str
    what: str
    payments: int
    ways: tuple[Way, ...]
    around: Around = field(default=_plain)
    is_alone: bool = False


def _plan(delivery: str = "once", outcome: str = "paid", **more: str) -> dict[str, str]:
    return {"outcome": outcome, "delivery": delivery, **more}


def _late(low: float, high: float, **more: bool) -> tuple[Way, ...]:
    """Queries do not know yet, and the callback comes between `low` and `high` seconds after the payment."""
    return (Way(_plan("lost"), Lie.PROCESSING, (Post((low, high), **more),)),)


_GOOD, _LOST = Way(_plan()), Way(_plan("lost"))
_CANCELLED = Post((0.1, 0.1), code=1032)
FAULTS = [
    Fault("F11a", "one callback in ten lost", 200, (_LOST, *[_GOOD] * 9)),
    Fault("F11b", "every second callback lost", 200, (_LOST, _GOOD)),
    Fault("F11c", "every callback lost", 200, (_LOST,)),
    Fault("F12", "each callback ten times at once, over all workers", 500,
          (Way(_plan("lost"), Lie.PROCESSING, (Post((0.1, 0.3), copies=10),), version=2),)),
    Fault("F13", "failure before success; success before failure; success before the push's answer", 500,
          (Way(_plan("out_of_order")), Way(_plan("contradicted")), Way(_plan("before_answer")),
           Way(_plan("lost"), Lie.PROCESSING, (_CANCELLED, Post((0.1, 0.1)))))),
    Fault("F14a", "callback 5 s late (30 s of 180)", 100, _late(5, 5)),
    Fault("F14b", "callback around expiry: 28 to 32 s (170 to 190 s of 180)", 100,
          _late(EXPIRE_AFTER - 2, EXPIRE_AFTER + 2)),
    Fault("F14c", "callback 60 s late, twice as late as the shop waits", 100, _late(60, 60)),
    Fault("F14d", "callback 25 hours late (the payment's times moved back)", 100,
          _late(EXPIRE_AFTER + 8, EXPIRE_AFTER + 16, ages=True)),
    Fault("F16", "two prompts of one order, both paid", 200,
          (Way(_plan("lost"), Lie.PROCESSING, (Post((EXPIRE_AFTER + 4, EXPIRE_AFTER + 12)),), again=True),)),
    Fault("F17a", "the push's answer lost after Daraja accepted", 100, (Way(_plan(push="lost")),)),
    Fault("F17b", "the push answered 500 or 504, the phone prompted by the latter", 100,
          (Way(_plan(push="gateway")), Way(_plan(push="internal_error")))),
    Fault("F17c", "the push answered 12 s late, six times what the shop waits", 100,
          (Way(_plan(), Lie.SLOW_PUSH),)),
    Fault("F18a", "queries say cancelled of what was paid, until the callback comes", 100,
          (Way(_plan("lost"), Lie.FAILED, (Post((20, 24)),)), Way(_plan("lost"), Lie.FAILED, (Post((4, 6)),)),
           Way(_plan("lost"), Lie.FAILED_ONCE))),
    Fault("F18b", "queries say being processed until after expiry", 100,
          (Way(_plan("lost"), Lie.PROCESSING, (Post((3, 36)),)),)),
    Fault("F18c", "queries answered 500; pending ones in the classic way; every second one not at all", 100,
          (Way(_plan("lost"), Lie.ERROR, (Post((3, 36)),)), Way(_plan("lost", query="classic")),
           Way(_plan("lost", query="flaky")))),
    Fault("F18d", "queries answered with half a body, or 200 with an error in it", 100,
          (Way(_plan("lost"), Lie.MALFORMED, (Post((3, 36)),)), Way(_plan("lost", query="odd")))),
    Fault("F19", "the OAuth token killed by a stranger twice a second", 100, (_GOOD, _LOST), revoked_tokens,
          is_alone=True),
    Fault("F18e", "queries throttled, 429: nobody is asked for a minute", 100,
          (Way(_plan("lost"), Lie.THROTTLED, (Post((3, 36)),)), Way(_plan())), is_alone=True),
]  # fmt: skip
