"""Markup and formulas through every text that a customer or M-PESA can set, looked for wherever anybody reads it."""

from __future__ import annotations

import csv
import email
import io
import random
import re
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from tests.abuse.raw import connect, handshake
from tests.abuse.rig.caller import Answer, Caller
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import CANARIES, Target, new_phone

if TYPE_CHECKING:
    from payments.models import Transaction

SHAPES = [
    *("<script>p4po{n}()</script>", "<p4po-{n}>", "<img src=x onp4po{n}=1>", '"><p4po-{n}>', "'><p4po-{n}>"),
    *('" onp4po{n}=1 x="', "' onp4po{n}=1 x='", "</title><p4po-{n}>", "</textarea><p4po-{n}>", "</script><p4po-{n}>"),
    *("--><p4po-{n}>", "]]><p4po-{n}>", "<svg/onp4po{n}=1>", "javascript:p4po{n}()", "<p4po-{n}//"),
    *("<a href=javascript:p4po{n}()>x</a>", "{{{{7*7}}}}p4po{n}", "{{{{ 7|add:42 }}}}p4po{n}", "{{% debug %}}p4po{n}"),
    *("${{7*7}}p4po{n}", "&lt;p4po-{n}&gt;", "%3Cp4po-{n}%3E", "+ADw-p4po-{n}+AD4-", "\u202e<p4po-{n}>"),
    *("<p4po-{n}\x0b>", "<\u200bp4po-{n}>", "＜p4po-{n}＞", "=1+{n}+p4po()", "+{n}+p4po()", "-{n}+p4po()"),
    "@SUM({n})p4po",
    *("\t={n}+p4po()", "\r={n}+p4po()", "=cmd|'/c p4po{n}'!A1", "＝{n}+p4po()", "\n={n}p4po"),
    *("x\r\nBcc: p4po{n}@evil.example", "x\nSubject: p4po{n}", "p4po{n}@example.com,evil@example.com"),
]
FIELDS = 9  # that one payload is put into
FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
HEADERS = {
    *("content-type", "mime-version", "content-transfer-encoding", "subject", "from", "to", "date", "message-id"),
    "auto-submitted",
}
LISTS = (
    *("payments/transaction", "payments/transactionevent", "payments/callback", "payments/discrepancy", "shop/order"),
    *("payments/confirmation", "payments/receiptclaim", "payments/mail", "payments/finding"),
)


class _Live(HTMLParser):
    """Finds what a browser would run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag in {"script", "style"}
        for name, value in attrs:
            runs = name in {"href", "src", "action", "formaction", "hx-get", "hx-post"}
            if name.startswith("onp4po") or (runs and (value or "").strip().lower().startswith("javascript:")):
                self.found.append(f"<{tag} {name}={value}>")
        if tag.startswith("p4po"):
            self.found.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and "p4po" in data:
            self.found.append(f"script {data[:80]}")


def live_in(html: str) -> list[str]:
    """Return what of ours a browser, or a template engine, would have run in this page."""
    reader = _Live()
    reader.feed(html)
    return reader.found + (["49p4po"] if "49p4po" in html else [])


def is_live(answer: Answer) -> bool:
    return answer.header("Content-Type").startswith("text/html") and bool(live_in(answer.body.decode()))


def stored(target: Target, seed: int, inputs: int) -> Tally:
    """Put `inputs` payloads into fields, each into all of one customer's, and read everything as everybody."""
    tally, dice, customers = target.tally(), random.Random(seed), -(-inputs // FIELDS)
    payments = []
    for number in range((seed - 1) * customers, seed * customers):  # so that all parts together use every shape
        shape = SHAPES[number % len(SHAPES)]
        payments.append(_poison(target, tally, shape.format(n=dice.randrange(10**6)), dice))
    _read_as_customer(target, tally, payments)
    _read_as_staff(target, tally, payments)
    _read_mail(target, tally)
    return tally


def _poison(target: Target, tally: Tally, payload: str, dice: random.Random) -> tuple[Transaction, Caller]:
    """Buy as a customer who writes `payload` wherever there is room for text; M-PESA then writes it too."""
    from payments.models import Transaction

    caller = target.caller()
    caller.get("/")
    _see(tally, caller.post_form("/cart/add/", {"sku": "unga-2kg"}), payload)
    _see(tally, caller.post_form("/checkout/", {"customer_name": payload, "customer_email": payload}), payload)
    order = _placed(caller, payload, f"x{dice.randrange(10**9)}@example.com")
    odd = {"User-Agent": payload.strip()[:60], "X-Request-ID": payload.strip()[:60], "Referer": payload.strip()[:60]}
    odd = {name: re.sub(r"[^\x20-\x7e]", "?", value) for name, value in odd.items()}
    _see(tally, caller.post_form("/payments/stk-push/", {"order_id": order, "phone": payload}, **odd), payload)
    phone = new_phone()
    for _attempt in range(5):  # on a busy machine Daraja may be out of reach
        if not target.daraja.pushes_to(phone):
            caller.post_form("/payments/stk-push/", {"order_id": order, "phone": phone})
    push = target.daraja.push_for(phone, within=30)
    path = push.callback_url.removeprefix(target.base_url)
    failure = push.callback(code=7000 + dice.randrange(900), description=payload)
    _see(tally, caller.post_json(path, failure), payload)
    _see(tally, caller.post_json("/mpesa/stk_push_callback/", failure), payload)
    _see(tally, caller.post_json(path, push.callback(MpesaReceiptNumber=payload[:40])), payload)
    _see(tally, _by_hand(caller, payload, dice), payload)
    _see(tally, caller.post_form(f"/payments/by-hand/{order}/", {"sms": payload}), payload)
    _see(tally, caller.post_json(path, push.callback(description=payload)), payload)
    return Transaction.objects.get(checkout_request_id=push.checkout_request_id), caller


def _placed(caller: Caller, name: str, address: str) -> str:
    """Order in this name, or in as much of it as a form takes, and return the order's id."""
    for given in (name[:80], name.split("\n")[0].strip(), "p4po"):
        placed = caller.post_form("/checkout/", {"customer_name": given, "customer_email": address})
        if "/orders/" in placed.header("Location"):
            return placed.header("Location").split("/")[2]
    raise AssertionError(f"no order for {name!r}: {placed.status}")


def _by_hand(caller: Caller, payload: str, dice: random.Random) -> Answer:
    from payments.c2b.path import confirmation_url
    from payments.tests.by_hand import confirmation_body

    told = {"BillRefNumber": payload[:20], "FirstName": payload, "LastName": payload, "TransactionType": payload}
    body = confirmation_body("", 1500, receipt=f"UK{dice.randrange(10**8):08d}", **told)
    return caller.post("/payments/c2b/" + confirmation_url().split("/c2b/")[1], body)


def _see(tally: Tally, answer: Answer, about: object, *, inputs: int = 1) -> Answer:
    tally.saw(answer, about, inputs=inputs)
    if answer.header("Content-Type").startswith("text/html"):
        for found in live_in(answer.body.decode()):
            tally.change(f"alive after {about!r}: {found}")
    return answer


def _read_as_customer(target: Target, tally: Tally, payments: list[tuple[Transaction, Caller]]) -> None:
    stranger = target.caller()
    for payment, caller in payments:
        own = f"/payments/{payment.pk}/"
        for path in (own, f"{own}receipt/", f"/orders/{payment.order_id}/", "/", "/cart/"):
            _see(tally, caller.get(path), path, inputs=0)
            _see(tally, stranger.get(path), path, inputs=0)
        for path in (f"/payments/status/?transaction_id={payment.pk}", f"/api/orders/{payment.order_id}/"):
            answer = _see(tally, stranger.get(path), path, inputs=0)
            if not answer.header("Content-Type").startswith("application/json"):
                tally.change(f"{path} is {answer.header('Content-Type')}")


def _read_as_staff(target: Target, tally: Tally, payments: list[tuple[Transaction, Caller]]) -> None:
    from tests.abuse.rig.people import staff_session

    session = staff_session()
    caller = target.caller()
    caller.cookies["sessionid"] = session.session_key
    paths = [f"/admin/{name}/?p={page}" for name in LISTS for page in (1, 2)]
    paths += [f"/admin/payments/transaction/{payment.pk}/change/" for payment, _caller in payments]
    paths += [f"/admin/shop/order/{payment.order_id}/change/" for payment, _caller in payments]
    paths += ["/admin/payments/live/", "/admin/payments/orders/", "/admin/payments/finding/books/", "/admin/"]
    for path in paths:
        answer = _see(tally, caller.get(path), path, inputs=0)
        if answer.status not in {200, 302, 404}:
            tally.error(f"{answer.status} at {path}")
    _read_board(target, tally, session.session_key)
    _read_export(tally, caller)


def _read_board(target: Target, tally: Tally, session_key: str) -> None:
    """Read what the board sends when it opens: fragments, so each is looked at as a page."""
    cookie, origin = f"Cookie: sessionid={session_key}", f"Origin: {target.base_url}"
    heard = b""
    with connect(target.base_url) as connection, suppress(OSError):
        connection.sendall(handshake("/ws/staff/payments/", target.base_url.split("//")[1], cookie, origin))
        connection.settimeout(2)
        while more := connection.recv(65_536):
            heard += more
    if b" 101 " not in heard:
        tally.error(f"staff got no board: {heard[:100]!r}")
    for found in live_in(heard.decode(errors="replace")):
        tally.change(f"alive on the board: {found}")


def _read_export(tally: Tally, caller: Caller) -> None:
    """Export everything with names, and look for cells that a spreadsheet would run."""
    from django.urls import reverse

    caller.get("/admin/payments/export/")
    begun = caller.post_form("/admin/payments/export/", {"with_pii": "on", "why": "a test"})
    export = begun.header("Location")
    if not export:
        tally.error(f"no export: {begun.status}")
        return
    file = caller.post_form(reverse("export_file", args=[export.split("/")[-2]]), {})
    rows = list(csv.reader(io.StringIO(file.body.decode("utf-8-sig"))))
    tally.notes["cells"] = sum(map(len, rows))
    if not any("p4po" in cell for row in rows for cell in row):
        tally.error("the export holds none of what was put in")
    for row in rows:
        for cell in row:
            if FORMULA.match(cell) and not re.fullmatch(r"-?\d+", cell):
                tally.change(f"a formula in the export: {cell!r}")


def _read_mail(target: Target, tally: Tally) -> None:
    """Read every letter that left: only our own headers, one reader, plain text, no secret."""
    letters = list(Path(target.server.directory, "mail").glob("*"))
    for path in letters:
        for part in path.read_text(errors="replace").split("-" * 79):
            letter = email.message_from_string(part.strip())
            if not letter.keys():
                continue
            tally.notes["letters"] = tally.notes.get("letters", 0) + 1
            foreign = {name.lower() for name in letter} - HEADERS
            if foreign or "," in str(letter["To"]) or letter.get_content_type() != "text/plain":
                tally.change(f"a letter with {foreign or letter['To']}")
            if any(secret in part for secret in CANARIES.values()):
                tally.change("a letter tells a secret")
