from __future__ import annotations

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"

    def ready(self) -> None:
        from payments.signals import ends_seen, transaction_changed
        from realtime import probes
        from realtime.broadcast import announce, announce_seen

        transaction_changed.connect(announce, dispatch_uid="realtime.broadcast")
        ends_seen.connect(announce_seen, dispatch_uid="realtime.broadcast")
        probes.register()
