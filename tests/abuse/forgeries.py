"""What a customer tries who would rather not pay: callbacks of their own, on every path that they can think of."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable

from payments.callback_token import make_callback_token
from payments.models import Transaction

SAFARICOM = "196.201.214.200"
NO_TOKEN = "/mpesa/stk_push_callback/"

Forgery = Callable[[Transaction, Transaction, random.Random], tuple[str, dict[str, str]]]


def path_of(token: str) -> str:
    return f"/payments/callback/{token}/"


def _truncated(token: str, dice: random.Random) -> str:
    return token[: dice.randrange(1, len(token))]


def _one_digit_off(token: str, dice: random.Random) -> str:
    at = dice.choice([place for place, sign in enumerate(token) if sign != "."])
    return token[:at] + ("0" if token[at] != "0" else "1") + token[at + 1 :]


def _guess(mine: Transaction, dice: random.Random) -> str:
    return f"{mine.pk.hex}.{dice.randbytes(16).hex()}"


def _mixed(mine: Transaction, other: Transaction) -> str:
    """Return the id of one payment with the MAC of another, which the forger may have paid."""
    return f"{mine.pk.hex}.{make_callback_token(other.pk).partition('.')[2]}"


def _foreign(mine: Transaction) -> str:
    """Return a token made with a key that is none of ours, or no longer."""
    return f"{mine.pk.hex}.{hmac.new(b'yesterday' * 4, mine.pk.hex.encode(), hashlib.sha256).hexdigest()[:32]}"


# What a forger tries for `mine`; `other` is a payment of the forger's own. The path, and what the request claims.
FORGERIES: dict[str, Forgery] = {
    "no token": lambda _mine, _other, _dice: (NO_TOKEN, {}),
    "the id as the token": lambda mine, _other, _dice: (path_of(str(mine.pk)), {}),
    "an empty MAC": lambda mine, _other, _dice: (path_of(f"{mine.pk.hex}."), {}),
    "the MAC of another payment": lambda mine, other, _dice: (path_of(_mixed(mine, other)), {}),
    "truncated": lambda mine, _other, dice: (path_of(_truncated(make_callback_token(mine.pk), dice)), {}),
    "another case": lambda mine, _other, _dice: (path_of(make_callback_token(mine.pk).upper()), {}),
    "one digit off": lambda mine, _other, dice: (path_of(_one_digit_off(make_callback_token(mine.pk), dice)), {}),
    "a guess": lambda mine, _other, dice: (path_of(_guess(mine, dice)), {}),
    "a guess on the seed's path": lambda mine, _other, dice: (f"{NO_TOKEN}{_guess(mine, dice)}/", {}),
    "a key of yesterday": lambda mine, _other, _dice: (path_of(_foreign(mine)), {}),
    "the address of Safaricom in front": lambda _mine, _other, _dice: (
        NO_TOKEN,
        {"HTTP_X_FORWARDED_FOR": f"{SAFARICOM}, 41.90.0.1", "HTTP_X_REAL_IP": SAFARICOM},
    ),
    "the address of Safaricom behind": lambda _mine, _other, _dice: (
        NO_TOKEN,
        {"HTTP_X_FORWARDED_FOR": f"41.90.0.1, ::ffff:{SAFARICOM}", "HTTP_FORWARDED": f"for={SAFARICOM}"},
    ),
}  # fmt: skip


def forgery(number: int, mine: Transaction, other: Transaction, dice: random.Random) -> tuple[str, dict[str, str]]:
    """Return path and claims (as CGI names them) of one attempt to have `mine` believed paid."""
    return list(FORGERIES.values())[number % len(FORGERIES)](mine, other, dice)


def is_hint(number: int) -> bool:
    """Return whether the forgery goes to the seed's path, which answers every stranger alike."""
    name = list(FORGERIES)[number % len(FORGERIES)]
    return "seed" in name or name == "no token" or "Safaricom" in name
