"""Requests that Daraja answers later: reversals, and questions about a transaction.

Who wants to ask registers once, under a name of its own, and is told whatever comes:

    register("refund", heard)                                            # in PaymentsConfig.ready
    asking.ask_transaction_status(receipt="UKP…", purpose="refund", subject=str(refund.pk))

`heard(conversation, result)` runs in a database transaction, once for every different body that came, early, late or
in the wrong order; `result` is None when nothing came in time: then nobody knows, and `conversation.state` says why.
It returns what became of it, in a few words for staff.
"""

from __future__ import annotations

from collections.abc import Callable

from payments.daraja.later import Result
from payments.models import Conversation

Heard = Callable[[Conversation, Result | None], str]
_registered: dict[str, Heard] = {}


def register(purpose: str, heard: Heard) -> None:
    """Have `heard` told of everything that comes for conversations of this purpose."""
    _registered[purpose] = heard


def tell(conversation: Conversation, result: Result | None) -> str:
    """Tell whoever began the conversation; without anybody the result is kept all the same."""
    heard = _registered.get(conversation.purpose)
    return heard(conversation, result) if heard else "nobody asked for it"
