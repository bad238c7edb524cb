"""The demo, in the simulator only: shop and phone side by side, a network to hurt, and a race of the ways to watch.

Its frames are the real pages. It is the one page of ours that may have frames, and what it frames allows that only
when the browser says that this is for a frame of our own.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from middleware import content_policy

BOARD = "/admin/payments/live/"

# What the next payments meet: the label, and what the simulator's control API calls it.
CUSTOMER = [
    (_("decides on the phone"), "ask"),
    (_("pays after a second"), "paid"),
    (_("cancels"), "cancelled"),
    (_("lets it ring"), "no_response"),
    (_("types a wrong PIN"), "wrong_pin"),
    (_("has too little money"), "insufficient_funds"),
    (_("has another request open"), "busy"),
    (_("meets a busy M-PESA"), "system_busy"),
    (_("is never heard of again"), "silent"),
]
CALLBACK = [
    (_("comes once"), "once"),
    (_("is dropped"), "lost"),
    (_("comes 20 s late"), "late"),
    (_("comes three times at once"), "three_times"),
    (_("comes out of order: failure, then success"), "out_of_order"),
    (_("comes before the push is answered"), "before_answer"),
    (_("names a wrong amount"), "wrong_amount"),
    (_("is cut off in the middle"), "malformed"),
    (_("comes after the shop gave up"), "after_expiry"),
]
DARAJA = [
    (_("accepts the request"), "accepted"),
    (_("is down: an internal error"), "internal_error"),
    (_("answers with a web page: 403"), "firewall"),
    (_("accepts, but a gateway says 504"), "gateway"),
    (_("accepts, but the answer is lost"), "lost"),
    (_("has had enough: 429"), "throttled"),
    (_("takes 5 s for a new token"), "slow_token"),
]
MENUS = [
    ("outcome", _("The customer"), CUSTOMER),
    ("delivery", _("The callback"), CALLBACK),
    ("push", _("Daraja"), DARAJA),
]
LANES = [
    ("page", _("The shop's own page"), _("until the words are painted")),
    ("socket", _("WebSocket"), _("the same status document")),
    ("fast", _("Polling every 3 s"), ""),
    ("slow", _("Polling every 10 s"), ""),
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
