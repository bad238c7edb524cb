"""Check the fields of an operator's request; the first bad one is named, as Daraja does."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from simulator import credentials, identifiers, operators
from simulator.answers import bad_field
from simulator.conversations import Asked, Kind
from simulator.push_fields import matching, url_field

ORGANISATION, REVERSING = "4", "11"
_RECEIPT = re.compile(r"[A-Z0-9]{10}")
_CONVERSATION = re.compile(r"[A-Za-z0-9_-]{1,60}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,5}")
_REMARKS = re.compile(r".{2,100}", re.DOTALL)
_COMMANDS = {Kind.REVERSAL: "TransactionReversal", Kind.TRANSACTION_STATUS: "TransactionStatusQuery"}


def read_reversal(data: dict[str, Any]) -> Asked:
    """Return a reversal request. Raises Refused."""
    _check_common(data, Kind.REVERSAL)
    if str(data.get("ReceiverParty")) != credentials.short_code():
        raise bad_field("ReceiverParty")
    if str(data.get("RecieverIdentifierType")) != REVERSING:
        raise bad_field("RecieverIdentifierType")
    receipt = matching(data, "TransactionID", _RECEIPT)
    return _asked(data, Kind.REVERSAL, receipt=receipt, amount=int(matching(data, "Amount", _AMOUNT)))


def read_transaction_status(data: dict[str, Any]) -> Asked:
    """Return a question about a transaction: by its receipt, or by the conversation that began it. Raises Refused."""
    _check_common(data, Kind.TRANSACTION_STATUS)
    if str(data.get("PartyA")) != credentials.short_code():
        raise bad_field("PartyA")
    if str(data.get("IdentifierType")) != ORGANISATION:
        raise bad_field("IdentifierType")
    if data.get("TransactionID"):
        return _asked(data, Kind.TRANSACTION_STATUS, receipt=matching(data, "TransactionID", _RECEIPT))
    about = matching(data, "OriginalConversationID", _CONVERSATION, blamed="TransactionID")
    return _asked(data, Kind.TRANSACTION_STATUS, about=about)


def _check_common(data: dict[str, Any], kind: Kind) -> None:
    if not isinstance(data.get("Initiator"), str) or not data["Initiator"]:
        raise bad_field("Initiator")
    if not isinstance(data.get("SecurityCredential"), str) or not data["SecurityCredential"]:
        raise bad_field("SecurityCredential")
    if data.get("CommandID") != _COMMANDS[kind]:
        raise bad_field("CommandID")
    matching(data, "Remarks", _REMARKS)


def _asked(data: dict[str, Any], kind: Kind, *, receipt: str = "", about: str = "", amount: int = 0) -> Asked:
    return Asked(
        kind=kind,
        business_short_code=credentials.short_code(),
        result_url=url_field(data, "ResultURL"),
        timeout_url=url_field(data, "QueueTimeOutURL"),
        is_operator=operators.is_operator(data["Initiator"], data["SecurityCredential"]),
        receipt=receipt,
        about=about,
        amount=amount,
    )


def read_pull(data: dict[str, Any]) -> tuple[float, float, int]:
    """Return start, end (Unix seconds) and offset of a page. Raises Refused."""
    if str(data.get("ShortCode")) != credentials.short_code():
        raise bad_field("ShortCode")
    offset = str(data.get("OffSetValue", "0"))
    if not offset.isdecimal():
        raise bad_field("OffSetValue")
    return _moment(data, "StartDate"), _moment(data, "EndDate"), int(offset)


def _moment(data: dict[str, Any], name: str) -> float:
    try:
        moment = datetime.strptime(str(data.get(name)), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise bad_field(name) from None
    return moment.replace(tzinfo=identifiers.NAIROBI).timestamp()
