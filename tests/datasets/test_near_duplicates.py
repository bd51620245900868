import numpy as np
from PIL import Image, ImageFilter

from keras_affect.datasets import near_duplicates, synthetic


def drawn(count):
    return [synthetic.draw(index, seed=5)[0] for index in range(count)]


def found(pictures):
    return near_duplicates.pairs(
        np.array([near_duplicates.fingerprint(p) for p in pictures], np.uint64),
        np.stack([near_duplicates.thumbnail(p) for p in pictures]),
    )


def changed(picture):
    """The same picture after a camera's worth of harm: blurred, darker, grainy."""
    image = Image.fromarray(picture[..., 0]).filter(ImageFilter.GaussianBlur(0.5))
    grain = np.random.default_rng(0).normal(0, 1.5, picture.shape[:2])
    return np.clip(np.asarray(image) * 0.9 + grain, 0, 255).astype(np.uint8)[..., None]


def test_finds_changed_copies_and_nothing_else():
    pictures = drawn(60)
    copies = [changed(pictures[index]) for index in (4, 17, 33)]
    assert found(pictures + copies) == [(4, 60), (17, 61), (33, 62)]


def test_finds_every_pair_that_comparing_all_with_all_finds():
    generator = np.random.default_rng(2)
    base = generator.integers(0, 2**63, 30, dtype=np.uint64)
    flips = np.array(
        [sum(1 << int(bit) for bit in generator.choice(64, int(n), replace=False))
         for n in generator.integers(0, 6, 30)],
        np.uint64,
    )  # fmt: skip
    prints = np.concatenate([base, base ^ flips])
    thumbnails = np.tile(generator.integers(0, 256, (16, 16), dtype=np.uint8), (60, 1, 1))
    expected = [
        (i, j)
        for i in range(60)
        for j in range(i + 1, 60)
        if (int(prints[i]) ^ int(prints[j])).bit_count() <= near_duplicates.DIFFERING_BITS
    ]
    assert near_duplicates.pairs(prints, thumbnails) == expected
    assert 10 < len(expected) < 30


def test_equal_fingerprints_of_other_pictures_are_no_pair():
    generator = np.random.default_rng(3)
    thumbnails = generator.integers(0, 256, (2, 16, 16), dtype=np.uint8)
    assert near_duplicates.pairs(np.array([7, 7], np.uint64), thumbnails) == []
    flat = np.full((2, 16, 16), 9, np.uint8)
    assert near_duplicates.pairs(np.array([7, 7], np.uint64), flat) == []


def test_colour_pictures_of_any_size():
    picture = np.random.default_rng(4).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    gray = np.asarray(Image.fromarray(picture).convert("L"))[..., None]
    assert near_duplicates.fingerprint(picture) == near_duplicates.fingerprint(gray)
    assert near_duplicates.thumbnail(picture).shape == (16, 16)
