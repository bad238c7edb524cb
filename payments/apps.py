from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        from payments import checks, inbox, prompted  # noqa: F401 - they register themselves, and so do the next two
        from payments.c2b import asking
        from payments.c2b import inbox as by_hand  # noqa: F401
        from payments.conversations import hearing, register  # noqa: F401
        from payments.deliveries import note_committed
        from payments.refunds import following, sending
        from payments.signals import transaction_changed

        register(sending.PURPOSE, following.heard_of_reversal)
        register(following.QUESTION, following.heard_of_question)
        register(asking.PURPOSE, asking.heard)
        transaction_changed.connect(note_committed, dispatch_uid="payments.deliveries")
