"""Ask Daraja in the name of the shop's API operator: what became of a receipt, send money back, list what came in.

The first two are answered twice: at once that the request was taken in, later with its result, on a URL of its own
(`later.py` beside this reads it). What a failure means for the money, `client.py` draws; for a reversal:

    DarajaRefused, DarajaUnreachable   nothing goes back
    OutcomeUnknown                     the money may go back: ask, and never send again
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.timezone import make_aware

from payments.daraja import transport
from payments.daraja.client import EAST_AFRICA_TIME, ask, base_url, one_line, refusal
from payments.daraja.codes import SUCCESS
from payments.daraja.credential import security_credential
from payments.daraja.errors import OutcomeUnknown
from payments.daraja.results import Answer, amount_or_none, code_text, is_id, receipt_or_none, text_or_empty

__all__ = ["Acknowledged", "PulledRow", "pull_transactions", "register_pull", "reversal", "transaction_status"]

ORGANISATION = "4"  # IdentifierType of a shortcode
REVERSING_ORGANISATION = "11"  # RecieverIdentifierType of a reversal, misspelled as Daraja wants it
FOUND, NOTHING_FOUND = "1000", "1001"  # of Pull; while registering the latter means "already registered"
_PULL_CLOCK = "%Y-%m-%d %H:%M:%S"
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class Acknowledged:
    """Daraja has taken the request in; its result comes later. An id is empty when Daraja gave none."""

    originator_conversation_id: str
    conversation_id: str


@dataclass(frozen=True)
class PulledRow:
    """One payment that M-PESA lists. `amount`: KES."""

    receipt: str
    completed_at: datetime
    amount: Decimal
    account_reference: str
    kind: str


def transaction_status(
    *,
    receipt: str = "",
    originator_conversation_id: str = "",
    result_url: str,
    timeout_url: str,
    remarks: str = "Status",
) -> Acknowledged:
    """Ask what became of a transaction, by its receipt or by the conversation that began it; one of the two.

    Call it outside any database transaction. Raises DarajaError; none says anything about the transaction.
    """
    about = {"TransactionID": receipt} if receipt else {"OriginalConversationID": originator_conversation_id}
    fields = {
        **about,
        "CommandID": "TransactionStatusQuery",
        "PartyA": settings.MPESA_SHORTCODE,
        "IdentifierType": ORGANISATION,
        "Occasion": "",
    }
    with one_line("daraja.transaction_status") as line:
        told = _command("mpesa/transactionstatus/v1/query", fields, result_url, timeout_url, remarks)
        line["outcome"] = "accepted"
        return told


def reversal(*, receipt: str, amount: int, remarks: str, result_url: str, timeout_url: str) -> Acknowledged:
    """Have M-PESA send `amount` whole KES of the payment with this receipt back to whoever paid it.

    `remarks`: 2 to 100 characters. Daraja has no idempotency key: never call it twice for one refund. Call it outside
    any database transaction. Raises DarajaError; after OutcomeUnknown the money may go back all the same.
    """
    fields = {
        "CommandID": "TransactionReversal",
        "TransactionID": receipt,
        "Amount": amount,
        "ReceiverParty": settings.MPESA_SHORTCODE,
        "RecieverIdentifierType": REVERSING_ORGANISATION,
        "Occasion": "",
    }
    with one_line("daraja.reversal", amount=amount) as line:
        told = _command("mpesa/reversal/v1/request", fields, result_url, timeout_url, remarks)
        line["outcome"] = "accepted"
        return told


def _command(path: str, fields: Mapping[str, Any], result_url: str, timeout_url: str, remarks: str) -> Acknowledged:
    data = {
        "Initiator": settings.MPESA_INITIATOR_NAME,
        "SecurityCredential": security_credential(),
        **fields,
        "ResultURL": result_url,
        "QueueTimeOutURL": timeout_url,
        "Remarks": remarks,
    }
    return _acknowledged(ask(lambda token: _post(token, path, data)))


def _post(token: str, path: str, data: Mapping[str, Any]) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return transport.post(f"{base_url()}{path}", data=data, headers=headers)


def _acknowledged(answer: Answer) -> Acknowledged:
    """Return the ids of a request that was taken in; neither a clear yes nor a clear no is unknown."""
    if answer.status == _TOO_MANY_REQUESTS or answer.fault:
        raise refusal(answer, unlisted=OutcomeUnknown)
    data = answer.data or {}
    if not answer.is_ok or code_text(data.get("ResponseCode")) != SUCCESS:
        raise OutcomeUnknown(f"HTTP {answer.status} without an acknowledgement")
    ids = [data.get(name) for name in ("OriginatorConversationID", "ConversationID")]
    return Acknowledged(*(value if is_id(value) else "" for value in ids))


# Pull -----------------------------------------------------------------------------------------------------------


def register_pull(*, nominated_number: str, callback_url: str) -> bool:
    """Let this shortcode pull its transactions; once in its life. Return False when that had been done before.

    `nominated_number`: a Safaricom number (254…) that the shortcode was registered with. Raises DarajaError.
    """
    data = {
        "ShortCode": settings.MPESA_SHORTCODE,
        "RequestType": "Pull",
        "NominatedNumber": nominated_number,
        "CallBackURL": callback_url,
    }
    with one_line("daraja.pull_register") as line:
        answer = ask(lambda token: _post(token, "pulltransactions/v1/register", data))
        code = _pull_code(answer, "ResponseStatus", "ResponseCode")
        line["outcome"] = "registered" if code == FOUND else "known"
        return code == FOUND


def pull_transactions(*, start: datetime, end: datetime, offset: int = 0) -> list[PulledRow]:
    """Return one page of what M-PESA lists between two moments of the last 48 hours; an empty page ends the list.

    Rows that cannot be read raise OutcomeUnknown: a list with holes would look like missing money. Reading moves
    nothing, so it may be repeated. Raises DarajaError.
    """
    data = {
        "ShortCode": settings.MPESA_SHORTCODE,
        "StartDate": start.astimezone(EAST_AFRICA_TIME).strftime(_PULL_CLOCK),
        "EndDate": end.astimezone(EAST_AFRICA_TIME).strftime(_PULL_CLOCK),
        "OffSetValue": str(offset),
    }
    with one_line("daraja.pull") as line:
        answer = ask(lambda token: _post(token, "pulltransactions/v1/query", data))
        found = _pull_code(answer, "ResponseCode", "ResponseStatus") == FOUND
        rows = [_pulled(row) for row in _listed(answer)] if found else []
        line |= {"outcome": "read", "rows": len(rows)}
        return rows


def _pull_code(answer: Answer, *names: str) -> str:
    if answer.status == _TOO_MANY_REQUESTS or answer.fault:
        raise refusal(answer, unlisted=OutcomeUnknown)
    data = answer.data or {}
    code = next((text for name in names if (text := code_text(data.get(name)))), "")
    if not answer.is_ok or code not in {FOUND, NOTHING_FOUND}:
        raise OutcomeUnknown(f"HTTP {answer.status} {code}".strip())
    return code


def _listed(answer: Answer) -> list[Any]:
    """Return the rows of a page; Daraja wraps them in one list more than it needs."""
    rows: list[Any] = []
    for part in (answer.data or {}).get("Response") or []:
        rows += part if isinstance(part, list) else [part]
    return rows


def _pulled(row: Any) -> PulledRow:
    if isinstance(row, dict):
        receipt, amount = receipt_or_none(row.get("transactionId")), amount_or_none(row.get("amount"))
        moment = _pull_moment(row.get("trxDate"))
        if receipt and amount is not None and moment:
            reference, kind = text_or_empty(row.get("billreference")), text_or_empty(row.get("transactiontype"))
            return PulledRow(receipt, moment, amount, reference, kind)
    raise OutcomeUnknown("a row of the list cannot be read")


def _pull_moment(value: Any) -> datetime | None:
    """Read Nairobi's clock. Daraja writes a Z behind it, though its own window is given in Nairobi's time."""
    try:
        moment = datetime.fromisoformat(str(value).removesuffix("Z"))
    except ValueError:
        return None
    return make_aware(moment, EAST_AFRICA_TIME) if moment.tzinfo is None else moment
