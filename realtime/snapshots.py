"""What a page is shown when it opens: read in one statement for all that open while the last was on its way.

A single page is read for at once. When a restarted server has thousands come back, each statement serves a roomful,
and neither the database nor its threads are asked once per page.
"""

from __future__ import annotations

import asyncio
import contextvars
from uuid import UUID

from payments.documents import AT_ONCE, Facts, load_facts_of
from realtime.database import read
from realtime.listener import listener

READERS = 2  # statements on their way at once; the second only when more wait than the next one takes


class Snapshots:
    """The pages of one loop that wait for their first state."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._waiting: dict[UUID, asyncio.Future[Facts | None]] = {}
        self._readers: set[asyncio.Task[None] | None] = set()

    async def of(self, transaction_id: UUID) -> Facts | None:
        """Join the payment's group, then return its facts; None when there is no such payment.

        In this order, so that a change in between comes twice instead of never. Raises what the database raises.
        """
        future = self._waiting.get(transaction_id)
        if future is None:
            future = self._waiting[transaction_id] = self.loop.create_future()
            self._read_soon()
        return await asyncio.shield(future)  # another page of the same payment may wait for it too

    def _read_soon(self) -> None:
        if not self._readers or (len(self._waiting) > AT_ONCE and len(self._readers) < READERS):
            # Without the context of the page that came first: its id does not belong into the others' log lines.
            self._readers.add(self.loop.create_task(self._read(), context=contextvars.Context()))

    async def _read(self) -> None:
        try:
            while self._waiting:
                await self._read_some()
        finally:
            # Not when the loop gets to tell that the task is done: who comes in between would wait for nobody.
            self._readers.discard(asyncio.current_task())

    async def _read_some(self) -> None:
        some = {key: self._waiting.pop(key) for key in list(self._waiting)[:AT_ONCE]}
        try:
            await listener().join(*some)
            found = {facts["transaction_id"]: facts for facts in await read(load_facts_of, [*some])}
        except Exception as error:
            for future in some.values():
                future.set_exception(error)
        else:
            for key, future in some.items():
                future.set_result(found.get(str(key)))


_snapshots: Snapshots | None = None


def snapshots() -> Snapshots:
    """Return those of the running loop."""
    global _snapshots
    if _snapshots is None or _snapshots.loop is not asyncio.get_running_loop():
        _snapshots = Snapshots()
    return _snapshots
