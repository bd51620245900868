"""Pictures that show the same, though their pixels differ: other crops, sizes, compressions.

Each picture gets a fingerprint of 64 bits: whether brightness grows or falls between neighbours
on a grid of 9 by 8 cells (the "difference hash" that picture search has used since about 2013).
Pictures whose fingerprints differ in three bits or fewer are candidates, and are near-duplicates
if their pixels then also correlate. Faces are alike, so neither test alone would do. In FER+ train
and valid this finds 827 pairs; of 60 drawn from them and looked at, all show one photograph twice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["CORRELATION", "DIFFERING_BITS", "THUMBNAIL", "fingerprint", "pairs", "thumbnail"]

#: Side of the picture that is kept of each for comparing, in pixels.
THUMBNAIL = 16
#: Most bits in which fingerprints of near-duplicates differ.
DIFFERING_BITS = 3
#: Least correlation of near-duplicates' thumbnails.
CORRELATION = 0.95

_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def _gray(picture: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.float32]:
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("L")
    return np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32)


def thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture, uint8 `(height, width, 1 or 3)`, as uint8 `(16, 16)`."""
    return _gray(picture, THUMBNAIL, THUMBNAIL).astype(np.uint8)


def fingerprint(picture: npt.NDArray[np.uint8]) -> int:
    """The 64 bits of a picture, uint8 `(height, width, 1 or 3)`."""
    cells = _gray(picture, 9, 8)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])
    return int.from_bytes(bits.tobytes())


def pairs(
    fingerprints: npt.NDArray[np.uint64], thumbnails: npt.NDArray[np.uint8]
) -> list[tuple[int, int]]:
    """All pairs of near-duplicates.

    Two fingerprints that differ in at most three of 64 bits agree in at least one of four runs of
    16 bits, so only pictures that share such a run are compared: no pair is missed, and few are
    looked at.

    Args:
        fingerprints: `(pictures,)`.
        thumbnails: `(pictures, 16, 16)`.

    Returns:
        Pairs (lower place, higher place) in order.
    """
    found: set[tuple[int, int]] = set()
    for run in range(4):
        shared = (fingerprints >> np.uint64(16 * run)) & np.uint64(0xFFFF)
        order = np.argsort(shared, kind="stable")
        borders = np.flatnonzero(np.diff(shared[order])) + 1
        for group in np.split(order, borders):
            for place, index in enumerate(group[:-1]):
                others = group[place + 1 :]
                differing = fingerprints[others] ^ fingerprints[index]
                bits = _ONES[differing.view(np.uint8).reshape(-1, 8)].sum(axis=1)
                for other in others[bits <= DIFFERING_BITS]:
                    found.add((min(int(index), int(other)), max(int(index), int(other))))
    return [
        pair
        for pair in sorted(found)
        if _correlation(thumbnails[pair[0]], thumbnails[pair[1]]) >= CORRELATION
    ]


def _correlation(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    a, b = (values.astype(np.float64) - values.mean() for values in (first, second))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    # Pictures of one tone have nothing to compare; they are equal pixels or none at all.
    return float((a * b).sum() / size) if size > 0 else 0.0
