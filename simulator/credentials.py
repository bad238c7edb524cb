"""The app and the shop that Daraja knows, from the settings; an integer is read as the text it stands for."""

from __future__ import annotations

from django.conf import settings


def consumer_key() -> str:
    return _text("MPESA_CONSUMER_KEY")


def consumer_secret() -> str:
    return _text("MPESA_CONSUMER_SECRET")


def short_code() -> str:
    return _text("MPESA_SHORTCODE")


def passkey() -> str:
    return _text("MPESA_PASSKEY")


def till_number() -> str:
    """Return the Buy Goods till of the shop, empty for a pay bill."""
    return _text("MPESA_TILL_NUMBER")


def initiator_name() -> str:
    """Return the name of the shop's API operator."""
    return _text("MPESA_INITIATOR_NAME")


def initiator_password() -> str:
    return _text("MPESA_INITIATOR_PASSWORD")


def _text(name: str) -> str:
    return str(getattr(settings, name, "") or "")
