"""Every limit, gone at one after the other, all at once, from everywhere, and across a restart."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.abuse.rig.caller import Caller
from tests.abuse.rig.people import LOGIN, PUSH, staff
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target, new_phone

AT_ONCE = 100
SAFARICOM = "196.201.214.200"
_networks = itertools.count(random.randrange(1, 10**6))
_telling = threading.Lock()


@dataclass(frozen=True)
class Limit:
    """`most` may succeed; `by_address`: an attacker with other addresses is another attacker."""

    name: str
    most: int
    by_address: bool
    begin: Callable[[Target, Tally], Callable[[Caller], bool]]


def _phone(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    """Prompt one phone, each time for a new order; each prompt fails at once for want of money."""
    phone = new_phone()
    return lambda caller: _prompt(target, tally, caller, str(target.order().pk), phone)


def _order(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    order = str(target.order().pk)
    return lambda caller: _prompt(target, tally, caller, order, new_phone())


def _address(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    return lambda caller: _prompt(target, tally, caller, str(target.order().pk), new_phone())


def _prompt(target: Target, tally: Tally, caller: Caller, order: str, phone: str) -> bool:
    answer = caller.post_json(PUSH, {"order_id": order, "phone_number": phone})
    tally.saw(answer, "a prompt", expected={200, 201, 409, 429})
    if answer.status == 201:
        _fail(target, tally, phone)
    return answer.status == 201


def _fail(target: Target, tally: Tally, phone: str) -> None:
    """Let the phone say that it has no money, so that the next prompt is not refused for this one being open."""
    push = target.daraja.push_for(phone, within=30)
    path = push.callback_url.removeprefix(target.base_url)
    answer = Caller(target.base_url).post_json(path, push.callback(code=1, description="no money"))
    tally.saw(answer, "its end", inputs=0)
    from django.utils import timezone

    from payments.models import Transaction

    # The pause after a failure is M-PESA's, not a limit of ours.
    with _telling:
        failed_at = timezone.now() - timezone.timedelta(minutes=9)
        Transaction.objects.filter(phone_number=phone, status="FAILED").update(failed_at=failed_at)


def _session(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    """Prompt from one session, of whatever address."""
    first = target.caller("41.99.0.1")
    first.get(f"/orders/{target.order().pk}/")

    def ask(caller: Caller) -> bool:
        phone, caller.cookies = new_phone(), first.cookies
        fields = {"order_id": str(target.order().pk), "phone": phone}
        answer = tally.saw(caller.post_form(PUSH, fields), "a prompt of a session", expected={303, 409, 429})
        if answer.status == 303:
            _fail(target, tally, phone)
        return answer.status == 303

    ask(first)  # which is given the session
    return ask


def _orders(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    body = {"items": [{"sku": "unga-2kg", "quantity": 1}]}

    def ask(caller: Caller) -> bool:
        return tally.saw(caller.post_json("/api/orders/", body), "an order", expected={201, 429}).status == 201

    return ask


def _guesses(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    shapes = itertools.cycle(["/payments/{}/", "/orders/{}/", "/payments/status/?transaction_id={}", "/api/orders/{}/"])

    def ask(caller: Caller) -> bool:
        answer = caller.get(next(shapes).format(uuid.uuid4()))
        return tally.saw(answer, "a guess", expected={404, 429}).status == 404

    return ask


def _receipts_of_order(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    path = f"/api/orders/{target.order().pk}/by-hand/"
    return lambda caller: _receipt(tally, caller, path)


def _receipts(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    return lambda caller: _receipt(tally, caller, f"/api/orders/{target.order().pk}/by-hand/")


def _receipt(tally: Tally, caller: Caller, path: str) -> bool:
    code = f"UK{random.randrange(10**8):08d}"
    return tally.saw(caller.post_json(path, {"sms": code}), "a receipt", expected={202, 429}).status == 202


def _passwords(target: Target, tally: Tally) -> Callable[[Caller], bool]:
    staff()
    name = f"staff{uuid.uuid4().hex[:8]}"

    def ask(caller: Caller) -> bool:
        if not caller.cookies:
            caller.get(LOGIN)
        answer = caller.post_form(LOGIN, {"username": name, "password": "wrong"})
        return tally.saw(answer, "a password", expected={200, 429}).status == 200

    return ask


LIMITS = (
    Limit("prompts to a phone", 3, False, _phone),
    Limit("prompts for an order", 3, False, _order),
    Limit("prompts from an address", 100, True, _address),
    Limit("prompts of a session", 5, False, _session),
    Limit("orders from an address", 200, True, _orders),
    Limit("guesses from an address", 200, True, _guesses),
    Limit("receipts for an order", 5, False, _receipts_of_order),
    Limit("receipts from an address", 20, True, _receipts),
    Limit("passwords for a name from an address", 5, True, _passwords),
)


def _one_ipv4() -> Callable[[], str]:
    number = next(_networks)
    address = f"105.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return lambda: address


def _forged_left() -> Callable[[], str]:
    """Write other addresses to the left of one's own, as Safaricom's."""
    mine, others = _one_ipv4()(), itertools.count(1)
    return lambda: f"{SAFARICOM}, 41.1.{next(others) % 250}.9, {mine}"


def _one_ipv6() -> Callable[[], str]:
    """Come from ever other addresses of one /64, as one customer can."""
    network, hosts = next(_networks), itertools.count(1)
    return lambda: f"2c0f:fe38:{network >> 16 & 0xFFFF:x}:{network & 0xFFFF:x}::{next(hosts):x}"


def _everywhere() -> Callable[[], str]:
    hosts = itertools.count(next(_networks) * 1_000)
    return lambda: f"102.{(number := next(hosts)) >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


WAYS: dict[str, tuple[Callable[[], Callable[[], str]], bool, bool]] = {
    # addresses, all at once, with a restart in between
    "one after the other": (_one_ipv4, False, False),
    "a hundred at once": (_one_ipv4, True, False),
    "a forged X-Forwarded-For": (_forged_left, False, False),
    "a /64 of IPv6": (_one_ipv6, False, False),
    "a restart in between": (_one_ipv4, False, True),
    "from everywhere, at once": (_everywhere, True, False),
}
SCENARIOS = [
    (limit, way) for way, (addresses, _at_once, _restart) in WAYS.items() for limit in LIMITS
    if not (limit.by_address and addresses is _everywhere)
]  # fmt: skip


def rate_limits(target: Target, seed: int, inputs: int) -> Tally:
    """Go at `inputs` of the scenarios, those that come after the ones of the seeds before."""
    tally, first = target.tally(), (seed - 1) * inputs
    chosen = [SCENARIOS[number % len(SCENARIOS)] for number in range(first, first + inputs)]
    for limit, way in chosen:
        succeeded = _go_at(target, tally, limit, way)
        # The last of the wrong passwords is refused itself; a session's first prompt is spent on getting it.
        least = limit.most - 1
        if not least <= succeeded <= limit.most:
            tally.change(f"{limit.name}, {way}: {succeeded} succeeded, and {limit.most} may")
    tally.notes["scenarios"] = len(chosen)
    return tally


def _go_at(target: Target, tally: Tally, limit: Limit, way: str) -> int:
    source, at_once, restarts = WAYS[way]
    addresses, ask = source(), limit.begin(target, tally)
    attempts = max(limit.most + 4, AT_ONCE if at_once else 0)
    callers = [target.caller(addresses()) for _attempt in range(attempts)]
    if at_once:
        with ThreadPoolExecutor(AT_ONCE // 5) as pool:
            return sum(pool.map(partial(_ask_and_let_go, ask), callers))
    half = attempts // 2
    done = sum(map(ask, callers[:half]))
    if restarts:
        target.server.restart()
    return done + sum(map(ask, callers[half:]))


def _ask_and_let_go(ask: Callable[[Caller], bool], caller: Caller) -> bool:
    """Ask in a thread of many, which would keep its database connection from the others."""
    from django.db import connections

    try:
        return ask(caller)
    finally:
        connections.close_all()
