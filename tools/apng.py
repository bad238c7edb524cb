"""An animated PNG out of screenshots: the same pixels, packed more tightly, with a header for each frame."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def animate(frames: Sequence[tuple[bytes, int]]) -> bytes:
    """Return an endless animation of (PNG, milliseconds); raises ValueError when the frames differ in shape or kind.

    What follows the first frame is what an APNG reader draws; any other reader shows the first.
    """
    chunks = [list(_chunks(png)) for png, _milliseconds in frames]
    header = chunks[0][0][1]
    if any(frame[0] != (b"IHDR", header) for frame in chunks):
        raise ValueError("All frames must have the size and the colours of the first.")
    width, height = struct.unpack(">II", header[:8])
    parts = [SIGNATURE, _chunk(b"IHDR", header), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    number = 0
    for frame, (_png, milliseconds) in zip(chunks, frames, strict=True):
        about = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, milliseconds, 1000, 0, 0)
        parts.append(_chunk(b"fcTL", about))
        pixels = _packed(b"".join(data for kind, data in frame if kind == b"IDAT"))
        is_first, number = number == 0, number + 1
        if is_first:
            parts.append(_chunk(b"IDAT", pixels))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number) + pixels))
            number += 1
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _packed(pixels: bytes) -> bytes:
    """Return the pixels as small as zlib makes them: browsers pack their screenshots in a hurry."""
    return zlib.compress(zlib.decompress(pixels), 9)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise ValueError("This is no PNG.")
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12  # length, kind and checksum


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
