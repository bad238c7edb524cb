"""Errors to Sentry: where and why the code failed, and nothing of whom it failed for.

Sentry is a stranger's machine. What is known there of an error is its trace without values, the lines logged before it,
and its `request_id`, by which our own log tells the rest.
"""

from __future__ import annotations

import re
from typing import Any

import structlog

import logs

# Of what a request, a query or a frame holds, nothing is collected.
_COLLECTED: Any = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "off"}},
    "http_bodies": [],
    "url_query_params": {"mode": "off"},
    "graphql": {"document": False, "variables": False},
    "gen_ai": {"inputs": False, "outputs": False},
    "database_query_data": False,
    "queues": False,
    "stack_frame_variables": False,
}
_OF_SENTRY = {"event_id", "trace_id", "span_id", "parent_span_id", "timestamp"}  # its own, of which we know nothing
_HIDDEN = (
    # The ids of payments and orders open their pages, so they are as secret as a token.
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]{32}\b"), "[id]"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[address]"),
    (re.compile(r"(?<!\d)(?:(?:00|\+)?254|0)[ .()-]*[17](?:[ .()-]*\d){8}(?!\d)"), "[phone]"),
    (re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"), "[address]"),
    (re.compile(r"\?[^\s'\"]+"), "?[query]"),
)


def report_errors_to(dsn: str, *, environment: str, **options: Any) -> None:
    """Send errors to Sentry; raises ValueError for an address that is none.

    `options`: further ones of sentry_sdk.init, such as another `transport`.
    """
    import sentry_sdk  # half a second that only who uses it waits for
    from sentry_sdk.integrations.argv import ArgvIntegration
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn=dsn,
            environment=environment,
            data_collection=_COLLECTED,
            server_name="papo",
            disabled_integrations=[ArgvIntegration()],  # a command line may name a customer
            before_send=lambda event, _hint: _named(hide_all(event)),
            before_breadcrumb=lambda crumb, _hint: hide_all(crumb),
            **options,
        )
    except BadDsn as wrong:
        raise ValueError(str(wrong)) from wrong


def _named(event: Any) -> Any:
    """Tag an event with the request it belongs to, for whoever looks into our log."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {**event, "tags": {**(event.get("tags") or {}), "request_id": request_id}} if request_id else event


def hide_all(value: Any) -> Any:
    """Return a structure of JSON with whatever is about a person hidden in it."""
    if isinstance(value, dict):
        return {key: item if key in _OF_SENTRY else hide_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide_all(item) for item in value]
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        told = _hide(str(value))
        return value if told == str(value) else told
    return value


def _hide(text: str) -> str:
    for pattern, instead in _HIDDEN:
        text = pattern.sub(instead, text)
    return logs.redact(logs.hide_rows(text))
