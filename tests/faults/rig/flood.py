"""Push so many messages about payments that exist, as fast as one process can: `… flood 5000`."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from typing import Any


async def _push(documents: list[dict[str, Any]], count: int) -> None:
    from channels.layers import get_channel_layer

    from realtime.layer import group_name

    layer = get_channel_layer()
    for facts in itertools.islice(itertools.cycle(documents), count):
        message = {"type": "payment.changed", "version": facts["version"], "facts": facts}
        await layer.group_send(group_name(facts["transaction_id"]), message)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    import django

    django.setup()
    from payments.documents import facts
    from payments.models import Transaction

    documents = [facts(payment) for payment in Transaction.objects.order_by("-created_at")[:20]]
    begin = time.monotonic()
    asyncio.run(_push(documents, int(sys.argv[1])))
    print(f"{sys.argv[1]} messages about {len(documents)} payments in {time.monotonic() - begin:.2f} s")


if __name__ == "__main__":
    main()
