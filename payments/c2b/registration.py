"""Register the shop's two C2B URLs: by a person, once; with the simulator, by itself."""

from __future__ import annotations

from django.conf import settings

from payments.c2b.path import confirmation_url, validation_url
from payments.daraja.c2b import register_urls
from payments.daraja.client import DarajaError

TRY_EVERY = 2.0  # seconds, until the simulator in the same server answers

_with_simulator = {"done": False}


def register(*, complete_when_silent: bool = True) -> None:
    """Register the present URLs; raises DarajaError."""
    register_urls(
        confirmation_url=confirmation_url(),
        validation_url=validation_url(),
        complete_when_silent=complete_when_silent,
    )


def register_with_simulator() -> None:
    """Let the simulator know the URLs, so that phones can pay by hand from the first second; elsewhere do nothing."""
    own_simulator = f"http://127.0.0.1:{settings.PORT}/simulator" == settings.DARAJA_BASE_URL
    if _with_simulator["done"] or not (settings.SIMULATOR and own_simulator):
        return
    try:
        register()
    except DarajaError:
        return  # the server is only just opening: tried again
    _with_simulator["done"] = True
