"""JPEG files of any stated size without their pixels: flat gray is a few bits a block."""

from __future__ import annotations

import io

from PIL import Image

# A flat mid-gray block is "no difference in brightness, end of block", 00 1010 in the standard
# Huffman tables. Four of them fill three bytes, and no byte is 0xFF.
_FOUR_BLOCKS = b"\x28\xa2\x8a"


def flat(width: int, height: int) -> bytes:
    """A whole, sequential, gray JPEG of mid-gray; width times height a multiple of 256."""
    assert width % 8 == height % 8 == 0
    blocks = width * height // 64
    assert blocks % 4 == 0
    header, _ = _small("L")
    return _sized(header, width, height) + _FOUR_BLOCKS * (blocks // 4) + b"\xff\xd9"


def stated(width: int, height: int, **options: object) -> bytes:
    """A JPEG of which only the header says that it is so large."""
    header, rest = _small("RGB", **options)
    return _sized(header, width, height) + rest


def _small(mode: str, **options: object) -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), "gray").save(buffer, "JPEG", **options)
    content = buffer.getvalue()
    scan = content.index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    return content[:start], content[start:]


def _sized(header: bytes, width: int, height: int) -> bytes:
    at = max(header.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2"))
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return header[: at + 5] + size + header[at + 9 :]
