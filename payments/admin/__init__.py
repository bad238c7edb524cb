"""What staff see of the money. Nothing about a payment can be edited here: a status changes through the one door."""

from __future__ import annotations

from payments.admin import evidence, letters, payment_list, prompts  # noqa: F401 - each registers its models
from payments.books import admin as books  # noqa: F401
from payments.c2b import admin as by_hand  # noqa: F401
from payments.refunds import admin as refunds  # noqa: F401
