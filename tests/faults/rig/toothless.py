"""Serve Papo without one of its guards: `… toothless <guard> serve`. The rig must notice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def _without_transition_guard() -> None:
    """Write every status from everywhere."""
    from payments import settlement, transitions
    from payments.models import Status

    transitions.REACHED_FROM = dict.fromkeys(Status, tuple(Status))
    true = settlement._settle_failure

    def believe(payment: Any, told: Any, callback: Any) -> str:
        from payments.daraja.codes import reason_for
        from payments.models import Reason, Source

        reason = reason_for(told.result_code) or Reason.UNKNOWN
        transitions.transition(payment.pk, Status.FAILED, source=Source.CALLBACK, reason=reason, callback=callback)
        return true(payment, told, callback)

    settlement._settle_failure = believe


def _without_inbox() -> None:
    """Answer 200 first and lose what came."""
    from payments import inbox

    inbox._take = lambda arrived: True


def _without_asking() -> None:
    """Never ask Daraja, so that a lost callback stays lost."""
    from payments import reconciler

    reconciler._claim_due = lambda room: []


def _without_tailer() -> None:
    """Look for nothing that a message has lost."""
    from realtime.tailer import Tailer

    async def nothing(self: Tailer) -> None:
        return

    Tailer.catch_up = nothing  # type: ignore[method-assign]


def _without_snapshot() -> None:
    """Tell who connects nothing until something changes; only the tailer may find that he is behind."""
    from realtime.consumers import PaymentConsumer
    from realtime.listener import listener

    async def watch(self: PaymentConsumer) -> None:
        from realtime.audience import audience

        audience.admit(self)
        await listener().join(self.transaction_id)
        self.start_heartbeat()

    PaymentConsumer._watch = watch  # type: ignore[method-assign]


def _without_token() -> None:
    """Believe every callback that names a known CheckoutRequestID."""
    from payments import inbox
    from payments.daraja.results import parse_callback
    from payments.models import Transaction

    def believe(body: bytes, remote_address: str | None) -> None:
        named = Transaction.objects.filter(checkout_request_id=parse_callback(body).checkout_request_id).first()
        if named:
            inbox.receive(named.pk, body, remote_address)

    inbox.receive_hint = believe


GUARDS: dict[str, Callable[[], None]] = {
    "transition guard": _without_transition_guard,
    "inbox": _without_inbox,
    "asking": _without_asking,
    "tailer": _without_tailer,
    "snapshot": _without_snapshot,
    "token": _without_token,
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    import django

    django.setup()
    GUARDS[sys.argv[1]]()
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", sys.argv[2]])


if __name__ == "__main__":
    main()
