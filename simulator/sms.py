"""What M-PESA writes on the customer's phone."""

from __future__ import annotations

from django.conf import settings

from simulator import identifiers
from simulator.prompts import Prompt
from simulator.scenarios import Outcome


def shillings(amount: int) -> str:
    return f"Ksh{amount:,}.00"


def spaced_shillings(amount: int) -> str:
    """Return an amount as the prompt writes it; an SMS has no space."""
    return f"Ksh {amount:,}.00"


def shop_name() -> str:
    """Return the payee as M-PESA prints it."""
    return str(getattr(settings, "SHOP_NAME", "the shop")).upper()


def question(prompt: Prompt) -> str:
    """Return the prompt's text; a till has no account."""
    account = "" if prompt.is_till else f" Account no. {prompt.account_reference}"
    return f"Do you want to pay {spaced_shillings(prompt.amount)} to {shop_name()}{account}?"


def confirmation(prompt: Prompt, receipt: str, balance: int, now: float) -> str:
    """Return the SMS about a payment that left `balance` KES."""
    return paid_by_hand(receipt, prompt.amount, "" if prompt.is_till else prompt.account_reference, balance, now)


def paid_by_hand(receipt: str, amount: int, account: str, balance: int, now: float) -> str:
    """Return the SMS about a payment to the pay bill, or to a till, which has no account."""
    clock = identifiers.nairobi(now)
    time = f"{clock:%I:%M %p}".removeprefix("0")
    payee = f"sent to {shop_name()} for account {account}" if account else f"paid to {shop_name()}"
    return (
        f"{receipt} Confirmed. {shillings(amount)} {payee} on {clock.day}/{clock.month}/{clock:%y} at {time}. "
        f"New M-PESA balance is {shillings(balance)}. Transaction cost, Ksh0.00."
    )


def reversal(receipt: str, original_receipt: str, amount: int, balance: int, now: float) -> str:
    """Return the SMS about money that came back; KES."""
    clock = identifiers.nairobi(now)
    time = f"{clock:%I:%M %p}".removeprefix("0")
    return (
        f"{receipt} confirmed. Reversal of transaction {original_receipt} has been successfully reversed on "
        f"{clock.day}/{clock.month}/{clock:%y} at {time} and {shillings(amount)} is credited to your M-PESA account. "
        f"New M-PESA account balance is {shillings(balance)}."
    )


_FAILURES = {
    Outcome.INSUFFICIENT_FUNDS: "You do not have enough money in your M-PESA account to pay {amount} to {shop}. "
    "Your M-PESA balance is {balance}.",
    Outcome.WRONG_PIN: "You have entered a wrong PIN. {amount} was not paid to {shop}.",
    Outcome.PIN_LOCKED: "Your M-PESA PIN is locked. {amount} was not paid to {shop}.",
    Outcome.LIMIT: "You have just paid {amount} to {shop}. Wait two minutes before you pay it again.",
}


def failure(prompt: Prompt, outcome: Outcome, balance: int) -> str:
    """Return the SMS about a payment that failed, empty where there is none."""
    if outcome not in _FAILURES:
        return ""
    facts = {"amount": shillings(prompt.amount), "shop": shop_name(), "balance": shillings(balance)}
    return "Failed. " + _FAILURES[outcome].format(**facts)
