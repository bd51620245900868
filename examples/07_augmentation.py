"""A page of pictures: each augmentation on a face, several draws of each.

The face is that of Grace Hopper, from the photograph of the United States Navy that matplotlib
ships (public domain), cut and shrunk to the 48x48 gray pixels that models see; or the square in the
middle of any picture of yours. Nothing is downloaded. The page is one HTML file with its pictures
inside.

    python examples/07_augmentation.py --out augmentation.html
    python examples/07_augmentation.py --picture FACE.jpg --out mine.html

Time: some seconds. What to expect: a row of eight draws for each part of
`keras_affect.augmentation.face_pipeline` alone, then for its named strengths, for `Cutout` with
other fillings, and for `Mixup` with drawn faces. A change that a person would not see past is one
that a model should not be taught on.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import tensorflow as tf
from matplotlib.cbook import get_sample_data
from PIL import Image

import keras_affect as ka
from keras_affect.augmentation import Cutout, Mixup, face_pipeline
from keras_affect.datasets.draws import example_keys
from keras_affect.runtime import PictureError, read_picture

SIDE = 48
DRAWS = 8
#: Left, top, right and bottom of the face in matplotlib's photograph, in its pixels.
FACE = (139, 90, 390, 341)
SHOWN = 3  # screen pixels a pixel

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Augmentation of face crops</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
img { image-rendering: pixelated; margin: 0 2px 2px 0; vertical-align: top; }
figure { margin: 0 0 1.5rem; }
figcaption { margin-bottom: .3rem; }
code { background: #f2f2f2; padding: .1em .3em; }
</style>
<h1>Augmentation of face crops</h1>
<p>$face Each row shows $draws draws of one setting, seed $seed.</p>
<figure><figcaption>As it is</figcaption>$original</figure>
$rows
</html>
""")


@dataclass(frozen=True)
class Row:
    """A setting as one would write it, what it does, and how it is called on a batch."""

    code: str
    words: str
    change: Callable[[np.ndarray, tf.Tensor], tuple[np.ndarray, list[str]]]


def pipeline(words: str, strength: str = "none", **settings: float) -> Row:
    written = [f'"{strength}"', *(f"{name}={value}" for name, value in settings.items())]
    augment = face_pipeline(strength, **settings)
    return Row(
        f"face_pipeline({', '.join(written)})",
        words,
        lambda images, keys: (augment(images, keys).numpy(), [""] * len(images)),
    )


def cutout(words: str, size: int, fill_value: float) -> Row:
    layer = Cutout(size, fill_value=fill_value)
    return Row(
        f"Cutout({size}, fill_value={fill_value})",
        words,
        lambda images, keys: (layer(images, keys).numpy(), [""] * len(images)),
    )


def mixup(words: str, alpha: float) -> Row:
    mix = Mixup(alpha)

    def change(images: np.ndarray, keys: tf.Tensor) -> tuple[np.ndarray, list[str]]:
        count = len(images)
        drawings = ka.datasets.synthetic.arrays(count)[0].astype("float32")
        # The label is the share that is the photograph. Partners are given, not drawn: the other
        # draws of the photograph would show nothing.
        labels = np.repeat(np.float32([[1], [0]]), count, axis=0)
        shares, _ = mix.draw(count, keys)
        mixed, known = mix.apply(
            np.concatenate([images, drawings]),
            labels,
            shares=np.concatenate([shares, shares]),
            partners=np.roll(np.arange(2 * count), count),
        )
        return mixed[:count].numpy(), [f"photograph {share:.2f}" for share in known[:count, 0]]

    return Row(f"Mixup({alpha})(images, labels)", words, change)


def rows() -> list[Row]:
    return [
        pipeline("Mirrored, half of the time.", flip=0.5),
        pipeline("Turned by up to 15 degrees; the border is reflected.", rotation=15.0),
        pipeline("Scaled by 1/1.18 to 1.18.", scale=1.18),
        pipeline("Moved by up to 4 pixels.", shift=4.0),
        pipeline("Contrast times 1/1.5 to 1.5.", contrast=1.5),
        pipeline("Brightness times 1/1.3 to 1.3.", brightness=1.3),
        pipeline("Gaussian noise of up to 12 gray levels.", noise=12.0),
        pipeline("A square of the picture's mean.", cutout=14, cutout_probability=1.0),
        pipeline("A mild mixture of all.", "light"),
        pipeline("The strong one, which trainings use.", "strong"),
        pipeline("The strong one with noise and darkness, for cameras.", "camera"),
        pipeline("Less of it, and no square: what ferplus_v2 learnt from.", "moderate"),
        cutout("A square of a number: here black.", 14, 0.0),
        cutout("Larger, and gray.", 22, 128.0),
        mixup("With drawn faces, shares mostly near 0 or 1.", 0.2),
        mixup("Shares from anywhere.", 1.0),
    ]


def photograph() -> np.ndarray:
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        return _gray(image, FACE)


def picture(path: Path) -> np.ndarray:
    image = read_picture(path).image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return _gray(image, (left, top, left + side, top + side))


def _gray(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    face = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    return np.asarray(face, np.float32)[:, :, None]


def _img(pixels: np.ndarray, title: str) -> str:
    image = Image.fromarray(np.rint(pixels[..., 0]).clip(0, 255).astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    size = SIDE * SHOWN
    return (
        f'<img src="data:image/png;base64,{data}" width="{size}" height="{size}" '
        f'alt="{html.escape(title)}" title="{html.escape(title)}">'
    )


def page(face: np.ndarray, words: str, seed: int) -> str:
    images = np.repeat(face[None], DRAWS, axis=0)
    figures = []
    for row in rows():
        keys = example_keys(seed, tf.constant(0, tf.int64), tf.range(DRAWS, dtype=tf.int64))
        changed, titles = row.change(images, keys)
        shown = "".join(map(_img, changed, (title or row.words for title in titles)))
        notes = [html.escape(title) for title in titles if title]
        figures.append(
            f"<figure><figcaption><code>{html.escape(row.code)}</code> {html.escape(row.words)}"
            f"</figcaption>{shown}" + (f"<br>{', '.join(notes)}" if notes else "") + "</figure>"
        )
    return PAGE.substitute(
        face=html.escape(words),
        draws=DRAWS,
        seed=seed,
        original=_img(face, "the face"),
        rows="\n".join(figures),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("augmentation.html"))
    parser.add_argument("--picture", type=Path, help="a face of yours instead of the photograph")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace what stands at --out")
    arguments = parser.parse_args()
    if arguments.seed < 0:
        parser.error(f"--seed must be 0 or more, and is {arguments.seed}")
    if arguments.out.exists() and not arguments.overwrite:
        parser.error(f"{arguments.out} is there already; --overwrite replaces it")
    if not arguments.out.parent.is_dir():
        parser.error(f"{arguments.out.parent} is no folder")
    if arguments.picture is None:
        face, words = photograph(), "Grace Hopper, by the United States Navy; public domain."
    else:
        try:
            face, words = picture(arguments.picture), f"{arguments.picture.name}."
        except (OSError, PictureError) as error:
            parser.error(str(error))
    arguments.out.write_text(page(face, words, arguments.seed), encoding="utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
