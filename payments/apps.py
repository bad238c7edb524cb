from __future__ import annotations

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        from payments import checks  # noqa: F401 - registers the system checks
        from payments.conversations import register
        from payments.refunds import following, sending

        register(sending.PURPOSE, following.heard_of_reversal)
        register(following.QUESTION, following.heard_of_question)
        from payments.deliveries import note_committed
        from payments.signals import transaction_changed

        transaction_changed.connect(note_committed, dispatch_uid="payments.deliveries")
