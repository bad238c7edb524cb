"""What Daraja posts to a ResultURL, read strictly: the result of a reversal or of a question. No I/O.

`ResultCode` is a number or a string; `ResultParameter` an object or an array; a key may come twice (`DebitPartyName`)
or without a value (`TransactionReason`). All of these were seen in Daraja's own samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import strict_json
from payments.daraja.codes import SUCCESS
from payments.daraja.results import LONGEST_DESC, amount_or_none, code_text, is_id, receipt_or_none, text_or_empty

MOST_PARAMETERS = 40  # a real result has about a dozen


class NotAResult(ValueError):
    """The body is not a result that we can rely on; the text says why, for staff."""


@dataclass(frozen=True)
class Result:
    """One result. `receipt`: of the transaction that the request made, if it made one; "" where nothing usable came."""

    result_code: str
    result_desc: str
    originator_conversation_id: str
    conversation_id: str
    receipt: str = ""
    parameters: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        return self.result_code == SUCCESS

    def one(self, name: str) -> Any:
        """Return the value of a parameter; None when it is missing, empty, or comes twice with different values."""
        values = [value for value in self.parameters.get(name, []) if value is not None]
        return values[0] if values and all(value == values[0] for value in values) else None

    @property
    def amount(self) -> Decimal | None:
        """KES, None where the result names none."""
        return amount_or_none(self.one("Amount"))


@dataclass(frozen=True)
class TransactionTold:
    """What M-PESA knows of a transaction that was asked about. `amount`: KES. Empty or None: not told."""

    receipt: str
    status: str  # Completed, Cancelled, Declined, Expired; on the way there Initiated, Authorized
    amount: Decimal | None
    reason_type: str
    debit_party: str  # "254… - NAME", often masked
    credit_party: str
    finalised: str

    @property
    def is_completed(self) -> bool:
        return self.status == "Completed"


def transaction_told(result: Result) -> TransactionTold:
    """Read a successful result of Transaction Status; a DebitPartyName that comes twice in two forms is not used."""
    return TransactionTold(
        receipt=receipt_or_none(result.one("ReceiptNo")) or "",
        status=text_or_empty(result.one("TransactionStatus")),
        amount=result.amount,
        reason_type=text_or_empty(result.one("ReasonType")),
        debit_party=text_or_empty(result.one("DebitPartyName")),
        credit_party=text_or_empty(result.one("CreditPartyName")),
        finalised=text_or_empty(result.one("FinalisedTime")),
    )


def parse_result(body: bytes) -> Result:
    """Return the result in `body`. Raises NotAResult, and nothing else whatever the bytes are."""
    try:
        value = strict_json.read(body)
    except strict_json.NotJson as error:
        raise NotAResult(str(error)) from None
    result = _object(_object(value, "body").get("Result"), "Result")
    code = code_text(result.get("ResultCode"))
    if code is None:
        raise NotAResult("no ResultCode")
    return Result(
        result_code=code,
        result_desc=text_or_empty(result.get("ResultDesc"))[:LONGEST_DESC],
        originator_conversation_id=_id(result.get("OriginatorConversationID")),
        conversation_id=_id(result.get("ConversationID")),
        receipt=receipt_or_none(result.get("TransactionID")) or "",
        parameters=_parameters(result.get("ResultParameters")),
    )


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotAResult(f"{name} is not an object")
    return value


def _id(value: Any) -> str:
    return value if is_id(value) else ""


def _parameters(holder: Any) -> dict[str, list[Any]]:
    """Return all values by key; what comes twice keeps both."""
    if holder is None or holder == "":
        return {}
    listed = _object(holder, "ResultParameters").get("ResultParameter") or []
    named: dict[str, list[Any]] = {}
    for item in listed if isinstance(listed, list) else [listed]:
        key = _object(item, "ResultParameter").get("Key")
        if not isinstance(key, str):
            raise NotAResult("parameter without a key")
        value = item.get("Value")
        named.setdefault(key, []).append(None if isinstance(value, dict | list) else value)
    if len(named) > MOST_PARAMETERS:
        raise NotAResult("too many parameters")
    return named
