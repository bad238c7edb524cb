"""The README's animation is put together here: no package of ours can do it."""

from __future__ import annotations

import struct
import zlib

import pytest

from tools.apng import SIGNATURE, _chunk, _chunks, animate


def _png(shade: int, width: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, *[shade] * width]))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def test_every_frame_keeps_its_pixels_and_its_time() -> None:
    chunks = list(_chunks(animate([(_png(10), 100), (_png(20), 250), (_png(30), 4000)])))
    assert [kind for kind, _ in chunks] == [
        b"IHDR", b"acTL", b"fcTL", b"IDAT", b"fcTL", b"fdAT", b"fcTL", b"fdAT", b"IEND",
    ]  # fmt: skip
    delays = [struct.unpack(">H", data[20:22])[0] for kind, data in chunks if kind == b"fcTL"]
    assert delays == [100, 250, 4000]
    pixels = [data if kind == b"IDAT" else data[4:] for kind, data in chunks if kind in {b"IDAT", b"fdAT"}]
    assert [zlib.decompress(data)[1] for data in pixels] == [10, 20, 30]


def test_frames_are_numbered_in_one_row() -> None:
    chunks = _chunks(animate([(_png(10), 100), (_png(20), 100), (_png(30), 100)]))
    numbers = [struct.unpack(">I", data[:4])[0] for kind, data in chunks if kind in {b"fcTL", b"fdAT"}]
    assert numbers == [0, 1, 2, 3, 4]


def test_frames_of_different_sizes_make_no_animation() -> None:
    with pytest.raises(ValueError, match="size"):
        animate([(_png(10), 100), (_png(10, width=3), 100)])


def test_what_is_no_png_is_refused() -> None:
    with pytest.raises(ValueError, match="no PNG"):
        animate([(b"GIF89a", 100)])
