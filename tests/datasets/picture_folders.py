"""Folders of pictures with tables, in the forms in which data sets are handed out."""

from __future__ import annotations

import csv

import numpy as np
from PIL import Image

#: AffectNet's columns of 2017.
AFFECTNET_HEADER = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)


def pixels_of(number, size=48, channels=1):
    shape = (size, size) if channels == 1 else (size, size, channels)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_csv(path, header, rows, encoding="utf-8", delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows] if header else rows)
    return path


def write_affectnet_list(root, rows, name="training.csv", header=AFFECTNET_HEADER):
    """`rows`: (expression, valence, arousal) each, or None to write no picture for a row of 0."""
    lines = []
    for number, row in enumerate(rows):
        path = f"{number % 3}/{number:04d}.png"
        if row is not None:
            picture = np.zeros((80, 100), np.uint8)
            picture[20:68, 30:78] = pixels_of(number)
            save(root / "Manually_Annotated_Images" / path, picture)
        corners = [(32, 22), (75, 22), (32, 65), (75, 65)]
        points = [corners[min(i, 3)] for i in range(68)]
        landmarks = ";".join(f"{x:.2f};{y:.2f}" for x, y in points)
        lines.append([path, 30, 20, 48, 48, landmarks, *(row or (0, 0.0, 0.0))])
    return write_csv(root / name, header, lines)


def write_affectnet_folders(root, rows, split="train_set", as_text=True):
    """`rows`: (expression, valence, arousal) each; numbers as text, as in the copies given out."""
    annotations = root / split / "annotations"
    annotations.mkdir(parents=True)
    for number, values in enumerate(rows):
        save(root / split / "images" / f"{number}.png", pixels_of(number, 224, 3))
        for part, value in zip(("exp", "val", "aro"), values, strict=True):
            np.save(
                annotations / f"{number}_{part}.npy", np.array(str(value) if as_text else value)
            )
        points = np.array([[60, 70], [160, 70], [60, 170], [160, 170]])[np.arange(68) % 4]
        np.save(annotations / f"{number}_lnd.npy", points.astype(np.float64).ravel())
    return root
