"""The sockets: a payment's page, and the answer to every other path."""

from __future__ import annotations

import re
from uuid import UUID

from middleware import one_caller
from payments import deliveries
from realtime.audience import audience
from realtime.change import Change
from realtime.database import read
from realtime.live_socket import TOO_MANY_SOCKETS, UNKNOWN_PAYMENT, LiveSocket, asks_for_json, reader_language
from realtime.snapshots import snapshots
from shop.limits import TooOften, count_unknown_id_from

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class UnknownPath(LiveSocket):
    """Tells every path that is none of ours not to come back."""

    async def connect(self) -> None:
        await self.accept()
        await self.finish(UNKNOWN_PAYMENT)


class PaymentConsumer(LiveSocket):
    """Shows one payment: the present version at once, then each newer one, and a heartbeat.

    What waits to be sent is one change, the newest, so a slow reader holds up nothing and nobody.
    """

    _has_ended = False  # with the last version sent, or before it
    _pending: Change | None = None

    async def connect(self) -> None:
        await self.accept()
        transaction_id = _read_uuid(self.scope["url_route"]["kwargs"]["transaction_id"])
        if transaction_id is None:
            await self.finish(UNKNOWN_PAYMENT)
            return
        self.transaction_id = transaction_id
        self.address = one_caller(str((self.scope.get("client") or ("",))[0]))
        self.language = reader_language(self.scope)
        self.as_json = asks_for_json(self.scope)
        await self._watch()

    async def _watch(self) -> None:
        if not audience.admit(self):
            await self.finish(TOO_MANY_SOCKETS)
            return
        facts = await snapshots().of(self.transaction_id)
        if facts is None:
            await self.finish(TOO_MANY_SOCKETS if await read(_guesses_too_often, self.address) else UNKNOWN_PAYMENT)
            return
        self.start_heartbeat()
        self.offer(Change(facts))

    def leave(self) -> None:
        self._pending = None
        super().leave()
        if hasattr(self, "transaction_id"):
            audience.dismiss(self)

    def offer(self, change: Change) -> None:
        """Send `change` soon, unless something newer was sent or is about to be."""
        newest = self._pending.version if self._pending else self.version
        if change.version > newest:
            self._pending = change
            self.write_soon()

    @property
    def has_news(self) -> bool:
        return self._pending is not None

    async def send_news(self) -> None:
        change, self._pending = self._pending, None
        if change is not None:
            text = change.text(self.language, as_json=self.as_json)
            watched, self.version = self.version > 0, change.version
            await self.send(text_data=text)
            self._note_sent(change, watched=watched)

    def _note_sent(self, change: Change, *, watched: bool) -> None:
        self._has_ended = change.is_an_end
        if self._has_ended:
            deliveries.note_sent(self.transaction_id, change.version, deliveries.Channel.SOCKET, watched=watched)

    def note_seen(self, version: int) -> None:
        if self._has_ended and version <= self.version:
            deliveries.note_seen(self.transaction_id, version)


def _guesses_too_often(address: str) -> bool:
    """Count an id that nobody has, together with those asked for over HTTP; known ones are never refused for it."""
    try:
        count_unknown_id_from(address)
    except TooOften:
        return True
    return False


def _read_uuid(text: str) -> UUID | None:
    # UUID() alone takes braces, urn: and the digits of other scripts.
    return UUID(text) if _UUID.fullmatch(text) else None
