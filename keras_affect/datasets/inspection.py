"""What a data set holds and what is wrong with it, counted before a network is trained on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from keras_affect import emotions
from keras_affect.datasets import near_duplicates
from keras_affect.datasets.decoding import in_order

__all__ = ["DataReport", "Place", "SplitReport", "inspect"]


class Split(Protocol):
    """What `inspect` needs of a split: `LabelledPictures` and `ferplus.Labelled` have it."""

    @property
    def emotion(self) -> npt.NDArray[np.float32]:
        """`(pictures, 8)`, or `(pictures, 10)` of FER+'s votes."""

    @property
    def valence_arousal(self) -> npt.NDArray[np.float32]:
        """`(pictures, 2)`."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Picture `index`; ValueError if it is at fault."""


@dataclass(frozen=True, order=True)
class Place:
    """A picture's place: its split, and its number there from 0."""

    split: str
    index: int


@dataclass(frozen=True)
class SplitReport:
    """What one split holds.

    Attributes:
        pictures: How many.
        classes: Pictures by their strongest emotion.
        without_emotion: Pictures without one.
        without_valence_arousal: Pictures that lack valence, arousal or both.
        valence_arousal: For each axis its mean, standard deviation, least and greatest value over
            the pictures that have it.
        agreement: Where labels are votes or shares of them: the mean share of the strongest
            emotion; None where each picture has one emotion outright.
        unanimous: Then also the part of the pictures whose votes all went to one emotion.
        examples: The numbers of the first pictures of each class.
    """

    pictures: int
    classes: Mapping[str, int]
    without_emotion: int
    without_valence_arousal: int
    valence_arousal: Mapping[str, Mapping[str, float]]
    agreement: float | None
    unanimous: float | None
    examples: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class DataReport:
    """What `inspect` found.

    Attributes:
        splits: By name.
        within: Groups of pictures of one split that are equal pixel for pixel.
        across: Groups of such pictures that stand in more than one split.
        conflicting: Groups of either kind whose strongest emotions differ.
        near: Pairs of near-duplicates, as `near_duplicates` defines them, that aren't equal.
        unreadable: What is wrong with each picture that could not be decoded.
    """

    splits: Mapping[str, SplitReport]
    within: Sequence[tuple[Place, ...]] = field(default_factory=tuple)
    across: Sequence[tuple[Place, ...]] = field(default_factory=tuple)
    conflicting: Sequence[tuple[Place, ...]] = field(default_factory=tuple)
    near: Sequence[tuple[Place, Place]] = field(default_factory=tuple)
    unreadable: Sequence[str] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)

    @property
    def near_across(self) -> list[tuple[Place, Place]]:
        """The pairs of near-duplicates that stand in two splits."""
        return [pair for pair in self.near if pair[0].split != pair[1].split]


def inspect(
    splits: Mapping[str, Split],
    *,
    near: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Look at every picture once.

    Of each picture a hash, a fingerprint and a thumbnail are kept: about half a kilobyte.

    Args:
        splits: By name.
        near: Whether to look for near-duplicates too.
        progress: Called as ``progress(done, of)`` after each picture.

    Returns:
        The report. A picture that can't be decoded is listed in it, and raises nothing.

    Raises:
        ValueError: If there is no picture at all.
    """
    total = sum(len(split) for split in splits.values())
    if total == 0:
        raise ValueError("Invalid value for argument `splits`. Expected at least one picture.")
    places: list[Place] = []
    by_digest: dict[bytes, list[int]] = {}
    side = near_duplicates.THUMBNAIL if near else 0
    prints = np.empty(total, np.uint64)
    thumbnails = np.empty((total, side, side), np.uint8)
    unreadable: list[str] = []
    done = 0
    for name, split in splits.items():
        for index, picture in in_order(split, range(len(split))):
            if isinstance(picture, ValueError):
                unreadable.append(str(picture))
            else:
                digest = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
                by_digest.setdefault(digest, []).append(len(places))
                if near:
                    prints[len(places)] = near_duplicates.fingerprint(picture)
                    thumbnails[len(places)] = near_duplicates.thumbnail(picture)
                places.append(Place(name, index))
            done += 1
            if progress is not None:
                progress(done, total)
    groups = [
        tuple(places[member] for member in group) for group in by_digest.values() if len(group) > 1
    ]
    across = [group for group in groups if len({place.split for place in group}) > 1]
    pairs: list[tuple[Place, Place]] = []
    if near:
        # One of each group of equals: two groups of ten would else be a hundred pairs.
        chosen = np.array([group[0] for group in by_digest.values()], np.int64)
        pairs = [
            (places[chosen[first]], places[chosen[second]])
            for first, second in near_duplicates.pairs(prints[chosen], thumbnails[chosen])
        ]
    return DataReport(
        {name: _describe(split) for name, split in splits.items()},
        within=[group for group in groups if group not in across],
        across=across,
        conflicting=[group for group in groups if _differ(splits, group)],
        near=pairs,
        unreadable=unreadable,
    )


def _strongest(split: Split, index: int) -> int:
    shares = split.emotion[index, : len(emotions.NAMES)]
    return int(shares.argmax()) if shares.any() else -1


def _differ(splits: Mapping[str, Split], group: Sequence[Place]) -> bool:
    found = {_strongest(splits[place.split], place.index) for place in group} - {-1}
    return len(found) > 1


def _describe(split: Split) -> SplitReport:
    shares = split.emotion[:, : len(emotions.NAMES)]
    labelled = shares.any(axis=1)
    strongest = np.where(labelled, shares.argmax(axis=1), -1)
    # Of ten votes those for "unknown" and "not a face" count too: they are disagreement.
    totals = split.emotion.sum(axis=1)
    highest = np.divide(shares.max(axis=1), totals, out=np.zeros(len(split)), where=totals > 0)[
        labelled
    ]
    spread = bool(labelled.any()) and bool((highest < 1 - 1e-6).any())
    points = split.valence_arousal
    axes = {}
    for place, axis in enumerate(("valence", "arousal")):
        values = points[:, place][np.isfinite(points[:, place])].astype(np.float64)
        if len(values):
            axes[axis] = {
                "mean": float(values.mean()),
                "deviation": float(values.std()),
                "least": float(values.min()),
                "greatest": float(values.max()),
            }
    return SplitReport(
        pictures=len(split),
        classes={
            name: int((strongest == place).sum()) for place, name in enumerate(emotions.NAMES)
        },
        without_emotion=int((~labelled).sum()),
        without_valence_arousal=int(np.isnan(points).any(axis=1).sum()),
        valence_arousal=axes,
        agreement=float(highest.mean()) if spread else None,
        unanimous=float((highest > 1 - 1e-6).mean()) if spread else None,
        examples={
            name: np.flatnonzero(strongest == place)[:12].tolist()
            for place, name in enumerate(emotions.NAMES)
        },
    )
