"""JPEG pictures of any size in bounded memory: libjpeg decodes at a half, a quarter, an eighth."""

from __future__ import annotations

from typing import IO

from PIL.JpegImagePlugin import JpegImageFile

__all__ = ["SIGNATURE", "open_within"]

SIGNATURE = b"\xff\xd8\xff"

_BASELINE, _EXTENDED, _START_OF_SCAN = 0xC0, 0xC1, 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}


def open_within(file: IO[bytes], limit: int) -> tuple[JpegImageFile, tuple[int, int]]:
    """A JPEG, opened and not yet decoded, set to decode to at most `limit` pixels if that can be.

    `Image.open` refuses large pictures before one can ask for fewer of their pixels. So the
    format's own class is called; the caller compares the result's `size` with the limit.

    Args:
        file: A seekable file, at its start.
        limit: The most pixels to decode to.

    Returns:
        (picture, (width, height) in full). The picture's own `size` is the one that it will
        decode to. That is still above the limit if an eighth of each side is, or if the file is
        of a kind that libjpeg holds in memory whole (progressive, or each colour in a scan of
        its own), whatever size is asked for.
    """
    streams = _decodes_in_strips(file)
    file.seek(0)
    image = JpegImageFile(file)
    width, height = image.size
    if width * height > limit and streams:
        for factor in (2, 4, 8):
            if -(-width // factor) * -(-height // factor) <= limit:
                image.draft(None, (width // factor, height // factor))
                break
    return image, (width, height)


def _decodes_in_strips(file: IO[bytes]) -> bool:
    """Whether one scan holds all colours in sequence; False too for a header that breaks off."""
    file.seek(2)
    colours = None
    while True:
        marker = file.read(2)
        while marker == b"\xff\xff":  # any number of fill bytes may stand before a marker
            marker = b"\xff" + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            return False
        kind = marker[1]
        if kind in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(file.read(2), "big")
        body = file.read(max(0, length - 2))
        if kind in _FRAMES:
            if kind not in (_BASELINE, _EXTENDED) or len(body) < 6:
                return False
            colours = body[5]
        elif kind == _START_OF_SCAN:
            return bool(body) and body[0] == colours
