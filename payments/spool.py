"""Callbacks on disk while the database is away: Safaricom tells us once, so what it says must be kept somewhere.

One file per process, held by a lock as long as its owner lives; `replay` empties our own file and those of the dead.
A record is its length, its SHA-256 and its payload, so that one torn by a power cut is seen and skipped. Only
bodies that came with a valid token, or on a secret path, are written, never with the token or the path; and the ids
that Daraja gave to a prompt.

A record that this release cannot read was written by another one, before an upgrade was taken back or by a worker that
is ahead. It stays on disk for that release, and holds up neither expiry nor what comes after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import struct
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import structlog
from django.conf import settings
from django.utils import timezone

log = structlog.get_logger(__name__)

LARGEST_SPOOL = 256 * 1024 * 1024  # bytes, of all files together
_HEAD = struct.Struct(">4sI32s")
_MAGIC = b"PAPO"


class SpoolFull(Exception):
    """Neither the database nor the disk can take the callback: it is refused with 503, nothing was kept."""


class NotOurs(Exception):
    """Another release wrote the record, and only that one knows what it says: it stays on disk."""


@dataclass(frozen=True)
class Arrived:
    """One body that arrived: for which payment its token spoke, from where and when; `route`: who takes it."""

    transaction_id: uuid.UUID | None
    body: bytes
    remote_address: str | None
    received_at: datetime
    route: str = "callback"


_lock = threading.Lock()
_own: tuple[Path, BinaryIO] | None = None
_left: set[Path] = set()  # files of other releases' records alone
# Who takes the records of which route; each inbox puts itself in here, and returns once its record is committed.
takers: dict[str, Callable[[Arrived], object]] = {}


def append(
    transaction_id: uuid.UUID | None, body: bytes, remote_address: str | None, *, route: str = "callback"
) -> None:
    """Write a callback to this process's file and wait until the disk has it; raises `SpoolFull` or OSError."""
    about = {
        "transaction_id": transaction_id and transaction_id.hex,
        "remote_address": remote_address,
        "received_at": timezone.now().isoformat(),
        "route": route,
    }
    payload = json.dumps(about).encode() + b"\n" + body
    record = _record(payload)
    with _lock:
        if _bytes_in(_files()) + len(record) > LARGEST_SPOOL:
            raise SpoolFull
        try:
            _write(record)
        except OSError:
            _leave_own_file()
            raise
    log.warning("callback.spooled", transaction_id=str(transaction_id), route=route)


def _record(payload: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, len(payload), hashlib.sha256(payload).digest()) + payload


def _write(record: bytes) -> None:
    file = _own_file()
    file.write(record)
    file.flush()
    os.fsync(file.fileno())


def _leave_own_file() -> None:
    """Let go of a file that took half a record: what is written after that would never be read."""
    global _own
    mine, _own = _own, None
    if mine is not None:
        with contextlib.suppress(OSError):  # closing tries once more to write what did not fit
            mine[1].close()


def _own_file() -> BinaryIO:
    global _own
    if _own is None:
        directory = _directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / f"{os.getpid()}-{uuid.uuid4().hex}.spool"
        new = path.with_suffix(".new")
        file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Named only when it is locked: in between another process would take it for a dead one's, and delete it.
        new.rename(path)
        _own = path, file
        _sync_directory(directory)
    return _own[1]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def length() -> int:
    """Return how many callbacks wait on disk, in the files of all processes."""
    return sum(_is_ours(path, payload) for path in _files() for payload in _read(path))


def left() -> int:
    """Return how many records on disk only another release can read."""
    return sum(not _is_ours(path, payload) for path in _files() for payload in _read(path))


def is_empty() -> bool:
    """Return whether nothing waits on disk, without reading what does."""
    return _bytes_in(path for path in _files() if path not in _left) == 0


def take_by_route(arrived: Arrived) -> object:
    """Give a record to whom its route names; raises `NotOurs` when this release has no such route."""
    taker = takers.get(arrived.route)
    if taker is None:
        raise NotOurs
    return taker(arrived)


def replay(take: Callable[[Arrived], object] | None = None) -> int:
    """Give every spooled callback to `take`, then delete the files; return how many were taken.

    `take`, by default whom the route names, returns once the callback is committed and raises when it cannot be yet:
    then everything stays for the next time, and what was taken already is recognised as a copy. Of a record for which
    it raises `NotOurs` the file stays, with such records alone.
    """
    take = take or take_by_route
    taken = _replay_own(take)
    for path in _files():
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # another process may be faster
            if _is_orphan(file):
                taken += _empty(path, take)
    return taken


def _replay_own(take: Callable[[Arrived], object]) -> int:
    """Close our own file first, so that callbacks which come meanwhile begin another one."""
    global _own
    with _lock:
        mine, _own = _own, None
    if mine is None:
        return 0
    path, file = mine
    with file:
        return _empty(path, take)


def _is_orphan(file: BinaryIO) -> bool:
    """Return whether the process that wrote the file is gone: it held the lock as long as it lived."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _empty(path: Path, take: Callable[[Arrived], object]) -> int:
    taken, others = 0, []
    for payload in _read(path, report=True):
        try:
            take(_arrived(payload))
        except NotOurs:
            others.append(payload)
        else:
            taken += 1
    if others:
        _leave(path, others, among_ours=taken > 0)
    else:
        path.unlink(missing_ok=True)
        _left.discard(path)
    if taken or not others:
        log.info("spool.replayed", callbacks=taken)
    return taken


def _leave(path: Path, payloads: list[bytes], *, among_ours: bool) -> None:
    """Let the file wait for the release that wrote these; ours, taken now, would else be taken again each time."""
    if among_ours:
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(map(_record, payloads))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync_directory(path.parent)
    if path not in _left:
        log.error("spool.of_another_release", records=len(payloads))
    _left.add(path)


def _is_ours(path: Path, payload: bytes) -> bool:
    try:
        return path not in _left and _arrived(payload).route in takers
    except NotOurs:
        return False


def _read(path: Path, *, report: bool = False) -> Iterator[bytes]:
    """Yield the whole records of a file, as they were written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    at = 0
    while at < len(data):
        payload = _payload(data, at)
        if payload is None:
            at = _skip(data, at, report=report)
            continue
        yield payload
        at += _HEAD.size + len(payload)


def _skip(data: bytes, at: int, *, report: bool) -> int:
    """Return where the next record may begin: one that is torn or damaged must not hide those after it."""
    following = data.find(_MAGIC, at + 1)
    if following < 0:
        following = len(data)
    if report:
        log.error("spool.torn", bytes_skipped=following - at)
    return following


def _payload(data: bytes, at: int) -> bytes | None:
    """Return the whole, undamaged record that begins at `at`, or None."""
    head = data[at : at + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    magic, size, digest = _HEAD.unpack(head)
    payload = data[at + _HEAD.size : at + _HEAD.size + size]
    whole = magic == _MAGIC and len(payload) == size and hashlib.sha256(payload).digest() == digest
    return payload if whole else None


def _arrived(payload: bytes) -> Arrived:
    about, _, body = payload.partition(b"\n")
    try:
        facts = json.loads(about)
        return Arrived(
            uuid.UUID(hex=facts["transaction_id"]) if facts["transaction_id"] else None,
            body,
            facts["remote_address"],
            datetime.fromisoformat(facts["received_at"]),
            facts.get("route", "callback"),  # written before there were others
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NotOurs from None


def _files() -> list[Path]:
    return sorted(_directory().glob("*.spool"))


def _bytes_in(files: Iterable[Path]) -> int:
    total = 0
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # replayed by another process meanwhile
            total += path.stat().st_size
    return total


def _directory() -> Path:
    return Path(settings.CALLBACK_SPOOL_DIR)
