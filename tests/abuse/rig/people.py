"""What people send: pushes for other people's orders and phones, guessed ids, guessed passwords."""

from __future__ import annotations

import random
import statistics
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.abuse.rig.caller import Answer, Caller
from tests.abuse.rig.markup import is_live
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target, new_phone
from tests.abuse.rig.timing import SEPARABLE, welch

if TYPE_CHECKING:
    from shop.models import Order

PUSH = "/payments/stk-push/"
AMOUNT = 1500  # KES, of every order here
CLICKS = 20
LOGIN = "/admin/login/"
PASSWORD = "right-and-long-enough"
ATTEMPTS = 40  # with one name from one address
ALLOWED_ATTEMPTS = 5
PAYLOADS = [
    *("' OR '1'='1", "1; DROP TABLE payments_transaction--", "%' UNION SELECT null--", "<script>p4po()</script>"),
    *("{{7*7}}p4po", "{% debug %}", "${7*7}", "../../../etc/passwd", "..%2f..%2f.env", "\x00", "%00", "{id}"),
    *("\r\nSet-Cookie: a=b", '"><p4po-1>', "' onp4po=1 x='", "javascript:p4po()", "٣" * 32, "𝟙" * 36, "\u202e"),
    *("A" * 4_000, "🥭"),
]  # fmt: skip


# Asking for money -------------------------------------------------------------------------------------------------


def pushes(target: Target, seed: int, inputs: int) -> Tally:
    """Ask for payments in wrong ways; every prompt that goes out is to a true number, for what its order costs."""
    tally, dice = target.tally(), random.Random(seed)
    sent_before = len(target.daraja.pushes)
    expected: list[str] = []
    ways: list[Callable[..., list[str]]] = [
        *(_good_number, _good_number, _bad_number, _bad_number, _bad_number, _tampered, _closed_order),
        *(_without_csrf, _other_method, _unknown_order),
    ]
    caller = target.caller()
    while tally.inputs < inputs:
        way = _double_click if tally.inputs % 250 == 249 else dice.choice(ways)
        expected += way(target, tally, caller, dice)
    sent = target.daraja.pushes[sent_before:]
    if sorted(push.phone_number for push in sent) != sorted(expected):
        tally.change(f"{len(sent)} prompts went out instead of {len(expected)}")
    for push in sent:
        if int(push.request["Amount"]) != AMOUNT:
            tally.change(f"a prompt asked for {push.request['Amount']}")
    return tally


def _push(caller: Caller, order: Order, phone: Any, **more: Any) -> Answer:
    return caller.post_json(PUSH, {"order_id": str(order.pk), "phone_number": phone, **more})


def _good_number(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    phone = new_phone()
    typed = dice.choice(["0", "+254", "254", "00254", "", "+254 (0)"]) + phone[3:]
    at = dice.randrange(len(typed) - 8, len(typed))
    typed = typed[:at] + dice.choice([" ", "-", ".", "", " - "]) + typed[at:]
    tally.saw(_push(caller, target.order(), typed), typed, expected={201})
    return [phone]


def _bad_number(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    digits = f"7{dice.randrange(10**8):08d}"
    own = f"0{digits}"
    wrong: list[Any] = [
        *(f"{own}0", own[:-1], f"+255{digits}", f"+1415{digits}", f"{own} ext 1", f"tel:{own}", f"08{digits[1:]}"),
        *("".join(chr(ord(digit) - 48 + 0x660) for digit in own), f"{own}\x00", f"{own}\n", f"٠{digits}", own * 4),
        *(f"{own[:5]}\u200b{own[5:]}", int(digits), None, True, 7.12e8, [own], {"a": own}, "", " ", "-" * 39),
        *("0712-FLOWER", f"{own}'; DROP TABLE x", f"O{digits}"),
    ]
    typed = dice.choice(wrong)
    tally.saw(_push(caller, target.order(), typed), typed, expected={400})
    return []


def _tampered(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    """Name an amount of one's own, in every spelling; none is read."""
    phone = new_phone()
    name = dice.choice(["amount", "Amount", "price", "currency", "status", "account_reference", "environment"])
    value = dice.choice([1, "1", 0, -1, 1.5, None, {"a": 1}, "COMPLETED"])
    answer = tally.saw(_push(caller, target.order(), phone, **{name: value}), (name, value), expected={201})
    if answer.json.get("amount") != AMOUNT or answer.json.get("status") != "PENDING":
        tally.change(f"{name}={value!r} made {answer.body[:300]!r}")
    return [phone]


def _closed_order(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    from tests.factories import make_order

    status, code = dice.choice([("PAID", "order_paid"), ("CANCELLED", "order_cancelled")])
    order = make_order(status=status, amount_paid=AMOUNT if status == "PAID" else 0)
    answer = tally.saw(_push(caller, order, new_phone()), status, expected={409})
    if answer.json.get("code") != code:
        tally.change(f"a {status} order answered {answer.body[:200]!r}")
    return []


def _unknown_order(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    order_id = dice.choice([str(uuid.uuid4()), uuid.uuid4().hex, 1, None, "x" * 5_000, *PAYLOADS])
    body = {"order_id": order_id, "phone_number": new_phone()}
    tally.saw(caller.post_json(PUSH, body), order_id, expected={400, 404})
    return []


def _without_csrf(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    """Post as a page of somebody else's would: a form without its token, or JSON with a foreign Origin."""
    order = str(target.order().pk)
    fields = {"order_id": order, "phone_number": new_phone()}
    if dice.random() < 0.5:
        tally.saw(target.caller().post_form(PUSH, fields), "no CSRF token", expected={403})
        return []
    origin = dice.choice(["https://evil.example", "null", "http://127.0.0.1:1"])
    tally.saw(caller.post_json(PUSH, fields, Origin=origin), origin, expected={403})
    return []


def _other_method(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    path = f"{PUSH}?order_id={target.order().pk}&phone_number={new_phone()}"
    method = dice.choice(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    tally.saw(caller.send(method, path), method, expected={405})
    return []


def _double_click(target: Target, tally: Tally, caller: Caller, dice: random.Random) -> list[str]:
    """Press twenty times at once: one prompt."""
    order, phone = target.order(), new_phone()
    with ThreadPoolExecutor(CLICKS) as pool:
        answers = list(pool.map(lambda _click: _push(target.caller(), order, phone), range(CLICKS)))
    for answer in answers:
        tally.saw(answer, "one of twenty clicks", expected={200, 201, 409})
    return [phone]


# Looking where one should not -------------------------------------------------------------------------------------


def pages(target: Target, seed: int, inputs: int) -> Tally:
    """Guess ids, read other people's pages, and put payloads wherever an address takes text."""
    tally, dice, caller = target.tally(), random.Random(seed), target.caller()
    order = target.order()
    from tests.factories import make_transaction

    payment = make_transaction(order=order, phone_number="254700012321")
    private = [b"Canary Wanjiku", b"canary@example.com", b"254700012321", b"0700012321", b"0700 012 321"]
    for _input in range(inputs):
        answer, about = _look(caller, dice, str(payment.pk), str(order.pk))
        tally.saw(answer, about, expected={200, 204, 301, 302, 303, 400, 404, 405})
        if told := [text for text in private if text in answer.body]:
            tally.change(f"{told} told after {about!r}")
        if is_live(answer):
            tally.change(f"{about!r} came back alive")
    return tally


def _look(caller: Caller, dice: random.Random, payment: str, order: str) -> tuple[Answer, str]:
    shapes = [
        *("/payments/{}/", "/payments/{}/receipt/", "/payments/status/?transaction_id={}", "/orders/{}/"),
        *("/api/orders/{}/", "/orders/{}/news/", "/payments/{}/check/", "/api/orders/{}/by-hand/"),
        *("/payments/by-hand/{}/", "/admin/payments/transaction/{}/change/", "/admin/payments/counter/{}/"),
        *("/i18n/{}", "/static/{}", "/{}/"),
    ]
    real = dice.choice([payment, order])
    near = real[:-1] + ("0" if real[-1] != "0" else "1")
    payload = dice.choice(PAYLOADS)
    guesses = [str(uuid.uuid4()), real.upper(), near, f"{{{real}}}", real.replace("-", ""), payload]
    named = dice.choice([real, real, *guesses])
    path = dice.choice(shapes).format(quote(named, safe="", errors="replace"))
    if dice.random() < 0.5:
        name = dice.choice(["told", "stopped", "next", "since", "wait", "seen", "q", "lang", "format", "payment"])
        path += ("&" if "?" in path else "?") + f"{name}={quote(payload, safe='')}"
        path = path.replace("wait=", "wait=0&x=")
    return caller.get(path), path


# Passwords --------------------------------------------------------------------------------------------------------


def staff_session() -> Any:
    """Return a session of somebody who may do everything."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    user = staff()
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.create()
    return session


def staff() -> Any:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    return users.filter(username="abuse").first() or users.create_superuser("abuse", "", PASSWORD)


def logins(target: Target, seed: int, inputs: int) -> Tally:
    """Guess passwords of a name that there is and of some that there are not, each from an address of its own."""
    tally, dice = target.tally(), random.Random(seed)
    staff()
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-(-inputs // ATTEMPTS)):
        is_known = number % 2 == 0
        name = "abuse" if is_known else f"nobody{dice.randrange(10**6)}"
        caller = target.caller(f"41.{seed % 200}.{number // 250}.{number % 250 + 1}")
        caller.get(LOGIN)
        for attempt in range(min(ATTEMPTS, inputs - tally.inputs)):
            _try(tally, caller, name, attempt, times[is_known])
    t = welch(*times.values()) if all(len(values) > 1 for values in times.values()) else 0.0
    tally.notes["t"], tally.notes["hash, ms"] = round(t, 2), round(statistics.median(times[True]) * 1000)
    if abs(t) > SEPARABLE:
        tally.change(f"the time tells which names there are: t = {t:.1f}")
    return tally


def _try(tally: Tally, caller: Caller, name: str, attempt: int, times: list[float]) -> None:
    """Try once more; after five wrong ones even the right password is refused."""
    password = PASSWORD if attempt > ALLOWED_ATTEMPTS and attempt % 5 == 0 else f"wrong{attempt}"
    answer = caller.post_form(LOGIN, {"username": name, "password": password, "next": "/admin/"})
    is_open = attempt < ALLOWED_ATTEMPTS - 1
    tally.saw(answer, (name, attempt), expected={200} if is_open else {429})
    if is_open:
        times.append(answer.seconds)
    elif answer.status == 302:
        tally.change(f"{name} got in at attempt {attempt}")
    elif answer.status == 429 and not answer.header("Retry-After").isdigit():
        tally.error("429 without Retry-After")
