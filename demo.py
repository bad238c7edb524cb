"""The demo, in the simulator only: shop and phone side by side, a network to hurt, and a race of the ways to watch.

Its frames are the real pages. It is the one page of ours that may have frames, and what it frames allows that only
when the browser says that this is for a frame of our own.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from middleware import content_policy

BOARD = "/admin/payments/live/"

# What the next payments meet: the label, and what the simulator's control API calls it.
CUSTOMER = [
    ("decides on the phone", "ask"),
    ("pays after a second", "paid"),
    ("cancels", "cancelled"),
    ("lets it ring", "no_response"),
    ("types a wrong PIN", "wrong_pin"),
    ("has too little money", "insufficient_funds"),
    ("has another request open", "busy"),
    ("meets a busy M-PESA", "system_busy"),
    ("is never heard of again", "silent"),
]
CALLBACK = [
    ("comes once", "once"),
    ("is dropped", "lost"),
    ("comes 20 s late", "late"),
    ("comes three times at once", "three_times"),
    ("comes out of order: failure, then success", "out_of_order"),
    ("comes before the push is answered", "before_answer"),
    ("names a wrong amount", "wrong_amount"),
    ("is cut off in the middle", "malformed"),
    ("comes after the shop gave up", "after_expiry"),
]
DARAJA = [
    ("accepts the request", "accepted"),
    ("is down: an internal error", "internal_error"),
    ("answers with a web page: 403", "firewall"),
    ("accepts, but a gateway says 504", "gateway"),
    ("accepts, but the answer is lost", "lost"),
    ("has had enough: 429", "throttled"),
    ("takes 5 s for a new token", "slow_token"),
]
MENUS = [
    ("outcome", "The customer", CUSTOMER),
    ("delivery", "The callback", CALLBACK),
    ("push", "Daraja", DARAJA),
]
LANES = [
    ("page", "The shop's own page", "until the words are painted"),
    ("socket", "WebSocket", "the same status document"),
    ("fast", "Polling every 3 s", ""),
    ("slow", "Polling every 10 s", ""),
]


@require_safe
@ensure_csrf_cookie
def demo(request: HttpRequest) -> HttpResponse:
    """Show the demo. Its frames load at once: without a cookie each would be given one, and spoil the others' forms."""
    context = {"menus": MENUS, "lanes": LANES, "board": BOARD if _has_board() else ""}
    response = render(request, "demo/demo.html", context)
    response.headers["Content-Security-Policy"] = content_policy(**{"frame-src": ["'self'"]})
    response.headers["Cache-Control"] = "no-store"
    return response


def _has_board() -> bool:
    try:
        return resolve(BOARD).url_name is not None  # the admin's catch-all has no name
    except Resolver404:
        return False
