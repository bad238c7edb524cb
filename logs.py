"""One line per event, through structlog, for our own lines and for those of the libraries alike.

A callback's path carries its secret token, and a CheckoutRequestID the payer's number: whatever is printed, by
whomever, passes `redact` first.
"""

from __future__ import annotations

import logging
import logging.config
import re
from typing import Any

import structlog

_CALLBACK_TOKEN = re.compile(r"((?:callback|c2b)/(?:(?:result|timeout)/)?)[^/\s'\"]+")
_CHECKOUT_REQUEST_ID = re.compile(r"ws_CO_\w+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS_BUT_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# PostgreSQL quotes what it refuses: a whole row with its name, phone and token, or the value of a key. A row may hold
# anything, line ends and brackets too, so it ends where the next traceback begins.
_ROW = re.compile(r"Failing row contains \(.*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)
_KEY_VALUE = re.compile(r"Key \(([^)]*)\)=\(.*?\)(?= (?:already exists|is (?:not|still) |conflicts ))", re.DOTALL)
_PHONE_NUMBER = re.compile(r"\b254[17]\d{5}(?=\d{3}\b)")


def hide_rows(text: str) -> str:
    """Return a message or a traceback without the values that PostgreSQL quotes in it."""
    if "(" not in text:
        return text
    return _KEY_VALUE.sub(r"Key (\1)=([values])", _ROW.sub("Failing row contains [values]", text))


def redact(text: str) -> str:
    """Return `text` without callback tokens, CheckoutRequestIDs and all but the last digits of phone numbers."""
    text = _CALLBACK_TOKEN.sub(r"\1[token]", text)
    text = _CHECKOUT_REQUEST_ID.sub("ws_CO_[redacted]", text)
    return _PHONE_NUMBER.sub("254•••••", text)


def _escape_controls(_logger: Any, _method: str, event: Any) -> Any:
    """Show control characters as text: a stranger's name must not begin a line of its own, or colour a terminal."""
    event["event"] = _CONTROLS.sub(_escaped, str(event["event"]))
    if isinstance(event.get("exception"), str):
        event["exception"] = _CONTROLS_BUT_LINES.sub(_escaped, event["exception"])
    return event


def _hide_rows(_logger: Any, _method: str, event: Any) -> Any:
    """Take out what a row or a key held: before a line is made of it, in which nobody could see where that ends."""
    for name, value in event.items():
        if isinstance(value, BaseException):
            event[name] = hide_rows(repr(value))
        elif isinstance(value, str):
            event[name] = hide_rows(value)
    return event


def _escaped(control: re.Match[str]) -> str:
    return repr(control[0])[1:-1]


class OurFaults(logging.Filter):
    """Passes no traceback for what a stranger wrote wrongly into a socket: anybody could fill the disk with them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Invalid UTF-8 sequence received")


def _redact_line(_logger: Any, _method: str, line: str) -> str:
    return redact(line)


_SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _hide_rows,
    _escape_controls,
]


def configure(*, json: bool) -> None:
    """Send every logger of the process to stderr, one event a line: JSON, or aligned text for a person."""
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*_SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _SHARED_PROCESSORS,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _redact_line],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "filters": {"strangers": {"()": OurFaults}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "INFO"},
            "loggers": {
                # A 404 on a secret path is an attacker's noise, not an event.
                "django.request": {"level": "ERROR"},
                "django.security": {"level": "CRITICAL"},  # a traceback for each foreign Host and each odd form
                "daphne": {"level": "WARNING"},
                # Three lines for every socket, with its path, which is all one needs to see the payment.
                "uvicorn.error": {"level": "WARNING", "filters": ["strangers"]},
                "urllib3": {"level": "ERROR"},
                "axes": {"level": "WARNING"},
                # Twice a second while the database is away; whoever needs it says so once.
                "psycopg.pool": {"level": "ERROR"},
                # A traceback a second while Redis is away; realtime/layer.py says it once.
                "channels_redis": {"level": "CRITICAL"},
                "asyncio": {"level": "WARNING"},
            },
        }
    )
