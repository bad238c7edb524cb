"""What can go wrong with Daraja; the tree is drawn in client.py, through which everybody else imports it."""

from __future__ import annotations

from payments.models import Reason


class DarajaError(Exception):
    """Daraja gave no usable answer; `outcome` is the word for it in logs."""

    outcome = "error"


class DarajaRefused(DarajaError):
    """Daraja said no: nobody is prompted, no money moves. `code` and `message` are Daraja's own."""

    outcome = "refused"

    def __init__(self, code: str, message: str, reason: Reason) -> None:
        super().__init__(code, message, reason)
        self.code, self.message, self.reason = code, message, reason

    def __str__(self) -> str:
        return f"{self.code} {self.message}".strip()


class DarajaThrottled(DarajaRefused):
    """Daraja wants to be asked less often (429, Spike Arrest, quota, system busy): nothing was done."""

    outcome = "throttled"


class DarajaUnreachable(DarajaError):
    """Nothing was sent: nobody is prompted, no money moves, and trying again is safe."""

    outcome = "unreachable"


class OutcomeUnknown(DarajaError):
    """The request was sent and no usable answer came: the prompt may be on the phone, the customer may pay."""

    outcome = "unknown"
