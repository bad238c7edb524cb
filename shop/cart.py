"""The basket: SKUs and quantities in the session; prices are always those of the moment it is looked at."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django.contrib.sessions.backends.base import SessionBase

from shop.models import LARGEST_AMOUNT, LARGEST_QUANTITY, MOST_LINES, Product

SESSION_KEY = "cart"
ID_KEY = "cart_id"


@dataclass(frozen=True)
class CartLine:
    product: Product
    quantity: int

    @property
    def total(self) -> int:
        """Whole KES."""
        return self.product.price * self.quantity

    @property
    def one_less(self) -> int:
        return self.quantity - 1

    @property
    def one_more(self) -> int:
        return min(self.quantity + 1, LARGEST_QUANTITY)


class Cart:
    """One session's basket. What is no longer sold falls out of it by itself."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    @cached_property
    def lines(self) -> list[CartLine]:
        quantities = self._quantities()
        found = {product.sku: product for product in Product.objects.filter(sku__in=quantities, is_active=True)}
        return [CartLine(found[sku], quantity) for sku, quantity in quantities.items() if sku in found]

    def __iter__(self) -> Iterator[CartLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def total(self) -> int:
        """Whole KES."""
        return sum(line.total for line in self.lines)

    @property
    def is_too_much(self) -> bool:
        return self.total > LARGEST_AMOUNT

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def id(self) -> str:
        """Name this basket, from its first product until it is emptied or ordered; empty for one from before that."""
        return str(self._session.get(ID_KEY, ""))

    @property
    def items(self) -> list[tuple[str, int]]:
        """What `place_order` takes."""
        return [(line.product.sku, line.quantity) for line in self.lines]

    def add(self, sku: str, quantity: int) -> bool:
        """Put more of a product into the basket; return False when it holds no more of it."""
        wanted = self._quantities().get(sku, 0) + quantity
        if wanted > LARGEST_QUANTITY:
            return False
        return self.change(sku, wanted)

    def change(self, sku: str, quantity: int) -> bool:
        """Set how many of a product are in the basket, 0 takes it out; return False when the basket is full."""
        quantities = self._quantities()
        if quantity < 1:
            quantities.pop(sku, None)
        elif sku not in quantities and len(quantities) >= MOST_LINES:
            return False
        else:
            quantities[sku] = quantity
        self._keep(quantities)
        return True

    def clear(self) -> None:
        self._keep({})

    def _quantities(self) -> dict[str, int]:
        return dict(self._session.get(SESSION_KEY, {}))

    def _keep(self, quantities: dict[str, int]) -> None:
        self._session[SESSION_KEY] = quantities
        if not quantities:
            self._session.pop(ID_KEY, None)
        elif not self.id:
            self._session[ID_KEY] = secrets.token_hex(16)
        self.__dict__.pop("lines", None)
