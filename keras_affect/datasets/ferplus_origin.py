"""Where FER+ comes from, and what it is known by.

FER+ is two things that two hosts keep: the votes at GitHub, the pictures at Kaggle. The votes are
pinned to a commit. What was downloaded is compared with digests of what the votes and pictures
say, not of the files as such: the pictures are handed out in several packings (csv, zip, tar) and
under several names, and what must agree is the content.

How the digests were got: from a copy of the train and valid splits, the pictures without loss and
the votes, whose rows were read by `datasets.ferplus`. No copy of the whole ``fer2013new.csv`` was
at hand, so there is no hash of that file as such; its length was, and is checked. The test split
is checked for its form, its count of rows and that both files agree row by row, but no digest
vouches for what its rows say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from keras_affect.datasets.ferplus_files import FerPlus, read

__all__ = [
    "COMPETITION",
    "PICTURE_DIGESTS",
    "PIXEL_FILES",
    "VOTES_COMMIT",
    "VOTES_FILE",
    "VOTES_LENGTH",
    "VOTES_URL",
    "VOTE_DIGESTS",
    "check",
    "picture_digest",
    "vote_digest",
]

#: Kaggle's name of the challenge FER2013 (Goodfellow et al. 2013, arXiv:1307.0414).
COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"

#: The names under which Kaggle keeps the pictures as a csv, in the order they are looked for.
PIXEL_FILES = ("icml_face_data.csv", "fer2013.csv")

VOTES_FILE = "fer2013new.csv"
#: A commit of github.com/microsoft/FERPlus (MIT) that holds the votes.
VOTES_COMMIT = "8ad5426c7b69e86e78afccb42c5f516850f52a28"
VOTES_URL = f"https://raw.githubusercontent.com/microsoft/FERPlus/{VOTES_COMMIT}/{VOTES_FILE}"
#: Characters in that file, its line ends counted as one each; all are ASCII.
VOTES_LENGTH = 1_602_762

#: SHA-256 of each split's votes, see `vote_digest`.
VOTE_DIGESTS = {
    "train": "27474c0aaff0b0ddfbcb5bcae1eb791568221ae33b0c505b97e49f1e8d345ce0",
    "valid": "fd8a9c096ad2a7d799db2c7e142878dfd77a637087f09ccd00f29c9e1a4d8338",
}

#: SHA-256 of each split's pictures, see `picture_digest`.
PICTURE_DIGESTS = {
    "train": "baa83b7ec3117bdf4324311e75b52ec7812a2270eed8f939f2178fe69137329f",
    "valid": "ee9871e7ad47aa98d46f1d3db3afa6169642d581f487ba84ec954dfeb2720f25",
}


def vote_digest(data: FerPlus) -> str:
    """SHA-256 of lines ``name,ten counts``, one an image, each ended by a line feed."""
    digest = hashlib.sha256()
    for name, counts in zip(data.names, data.votes, strict=True):
        digest.update(f"{name},{','.join(str(int(count)) for count in counts)}\n".encode())
    return digest.hexdigest()


def picture_digest(data: FerPlus) -> str:
    """SHA-256 of all pictures' own digests (BLAKE2b of 16 bytes over 2,304 pixels), in order."""
    return hashlib.sha256(b"".join(data.digests)).hexdigest()


def check(root: str | Path, pixel_file: str) -> dict[str, int]:
    """Read FER+ as it was put together, and compare it with what it must be.

    Args:
        root: The folder with the pictures' csv and the votes'.
        pixel_file: The pictures' csv, for messages.

    Returns:
        The number of images by split.

    Raises:
        ValueError: If a row is at fault or the content is another; names the file.
    """
    root = Path(root)
    counts = {}
    for split in ("train", "valid", "test"):
        data = read(root, split)
        counts[split] = len(data)
        if split not in VOTE_DIGESTS:
            continue
        if vote_digest(data) != VOTE_DIGESTS[split]:
            raise ValueError(
                f"{root / VOTES_FILE}: its {split} votes are not those of FER+ at commit "
                f"{VOTES_COMMIT[:12]}"
            )
        if picture_digest(data) != PICTURE_DIGESTS[split]:
            raise ValueError(
                f"{root / pixel_file}: its {split} pictures are not those of FER2013, or stand in "
                "another order, so that the votes don't belong to them"
            )
    return counts
