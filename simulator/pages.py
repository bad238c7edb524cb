"""The handset page: a phone for the person who tries the shop. Plain forms; a small script only refreshes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from simulator import courier, credentials, handsets, prompts, screens, settling
from simulator.control import LARGEST_BALANCE, PLAN_FIELDS
from simulator.handsets import Handset
from simulator.prompts import Prompt
from simulator.scenarios import Outcome, documented

# Stands in while a page is compared with the last: the CSRF token is another one each time.
_TOKEN_MARK = "token-goes-here"  # noqa: S105
_ASSET_TYPES = {"simulator.css": "text/css; charset=utf-8", "simulator.js": "text/javascript; charset=utf-8"}
_WRONG_BY_HAND = {"pin": "The PIN was not accepted; nothing was paid.", "amount": "Pay from 1 to 250,000 shillings."}
_NO_PIN = "Type four digits. Any will do, but not your real PIN."


def _page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Render without the shop's context processors: the simulator also runs without the shop."""
    html = render_to_string(f"simulator/{template}", {**context, "csrf_token": _TOKEN_MARK})
    etag = _etag(html.encode())
    if status == 200 and request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return _fresh(html.replace(_TOKEN_MARK, get_token(request)), etag, status=status)


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:24]}"'


def _fresh(content: str | bytes, etag: str, **options: Any) -> HttpResponse:
    return HttpResponse(content, headers={"ETag": etag, "Cache-Control": "no-cache, private"}, **options)


def _see_phone(number: str) -> HttpResponse:
    """Redirect with 303, so that a reload does not answer twice."""
    return HttpResponseRedirect(reverse("simulator_phone", args=[number]), status=303)


def _phone(number: str) -> Handset:
    normalised = handsets.normalised(number)
    if normalised is None:
        raise Http404
    return handsets.get(normalised)


@require_GET
def asset(request: HttpRequest, path: str) -> HttpResponse:
    """Serve our own style sheet and script: alone, the simulator has no other server for them."""
    content = (Path(settings.BASE_DIR) / "static" / path).read_bytes()
    etag = _etag(content)
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return _fresh(content, etag, content_type=_ASSET_TYPES[path])


# All phones -----------------------------------------------------------------------------------------------------


@require_GET
def phones(request: HttpRequest) -> HttpResponse:
    """List the phones; with `?phone=` go to that one."""
    typed = request.GET.get("phone", "")
    number = handsets.normalised(typed)
    if number:
        return _see_phone(number)
    numbers = [
        {"number": number, "dialled": handsets.as_dialled(number), "what": what} for number, what in documented()
    ]
    context = {"phones": screens.phone_list(), "numbers": numbers, "typed": typed[:40]}
    return _page(request, "phones.html", context, status=400 if typed else 200)


@require_GET
def phones_live(request: HttpRequest) -> HttpResponse:
    return _page(request, "_phones.html", {"phones": screens.phone_list()})


# One phone ------------------------------------------------------------------------------------------------------


@require_GET
def phone(request: HttpRequest, number: str) -> HttpResponse:
    found = _phone(number)
    return _see_phone(found.phone_number) if found.phone_number != number else _show(request, found)


@require_GET
def phone_live(request: HttpRequest, number: str) -> HttpResponse:
    """Return the parts of the page that change by themselves; 304 while they did not."""
    return _page(request, "_phone.html", screens.phone_screen(_phone(number)))


def _show(request: HttpRequest, found: Handset, *, pin: str = "", error: str = "") -> HttpResponse:
    what = dict(documented()).get(found.phone_number, "")
    context = {
        **screens.phone_screen(found),
        "menus": screens.choices(found),
        "wallet": found.balance,
        "largest_balance": LARGEST_BALANCE,
        "scenario": what[:1].upper() + what[1:],
        "pin": pin,
        "error": error,
        "business": credentials.till_number() or credentials.short_code(),
        "is_till": bool(credentials.till_number()),
        "wrong": _WRONG_BY_HAND.get(request.GET.get("wrong", ""), ""),
    }
    return _page(request, "phone.html", context, status=400 if error else 200)


@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest, number: str) -> HttpResponse:
    """Do what was pressed: a key of the pad, Send, Cancel, or one of the ways not to answer."""
    found = _phone(number)
    prompt = _prompt_on(found.phone_number, request.POST.get("prompt", ""))
    if prompt is None:  # answered meanwhile, in another tab perhaps
        return _see_phone(found.phone_number)
    pin = request.POST.get("pin", "")[:4]
    if key := request.POST.get("key"):
        return _show(request, found, pin=pin[:-1] if key == "back" else f"{pin}{key}"[:4])
    action = request.POST.get("action", "send")
    if action == "send" and not settling.is_pin(pin):
        return _show(request, found, error=_NO_PIN)
    if action == "send":
        settling.settle(prompt.id, settling.outcome_of_pin(pin), from_wallet=True)
    elif action in _ACTIONS:
        _ACTIONS[action](prompt)
    courier.wake()
    return _see_phone(found.phone_number)


def _prompt_on(phone_number: str, prompt_id: str) -> Prompt | None:
    """Return the open prompt with this id if it is on this phone."""
    return next(
        (one for one in prompts.of_phone(phone_number) if str(one.id) == prompt_id and one.is_open and one.is_shown),
        None,
    )


def _ends_as(outcome: Outcome) -> Callable[[Prompt], Any]:
    return lambda prompt: settling.settle(prompt.id, outcome)


_ACTIONS: dict[str, Callable[[Prompt], Any]] = {
    "cancel": _ends_as(Outcome.CANCELLED),
    "low_balance": _ends_as(Outcome.INSUFFICIENT_FUNDS),
    "wrong_pin": _ends_as(Outcome.WRONG_PIN),
    "ignore": lambda prompt: prompts.put_aside(prompt.id),
    "off": lambda prompt: handsets.switch_off(prompt.phone_number),
}


@require_POST
def change(request: HttpRequest, number: str) -> HttpResponse:
    """Keep what the menus say about the next payments of this phone, or switch it on or off."""
    phone_number = _phone(number).phone_number
    if request.POST.get("power") == "off":
        handsets.switch_off(phone_number)
    elif request.POST.get("power") == "on":
        handsets.change(phone_number, is_on=True)
    elif "forget" in request.POST:
        handsets.change(phone_number, **dict.fromkeys(PLAN_FIELDS))
    else:
        handsets.change(phone_number, **_changes(request))
    courier.wake()
    return _see_phone(phone_number)


def _changes(request: HttpRequest) -> dict[str, Any]:
    """Return what of a form makes sense; the rest stays as it is."""
    changes: dict[str, Any] = {
        name: request.POST[name] for name, options in PLAN_FIELDS.items() if request.POST.get(name) in options.values
    }
    balance = request.POST.get("balance", "")
    if balance == request.POST.get("had"):  # not touched: a payment since then must not be given back
        return changes
    if balance.isascii() and balance.isdigit() and len(balance) <= 6:
        changes["balance"] = min(int(balance), LARGEST_BALANCE)
    return changes
