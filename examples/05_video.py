"""A face over time: a streaming model reads a clip frame by frame, as a phone would.

Valence and arousal are read at each frame, and the emotion of the clip as far as it was seen, by
an exported `TemporalAffect`: one frame and the state behind the last one go in, the outputs and
the new state come out. Neither TensorFlow nor Keras is needed for that, and with --model none is
loaded.

Without --model one is trained first, on drawn clips: LightweightCNN with the weights ferplus_v3
reads each frame and stays as it is, an LSTM over it learns. In a clip one person's expression
turns into another's, each frame with the noise of a dark room. What it learns are drawings; it
says nothing of people.

    python examples/05_video.py
    python examples/05_video.py --keep stream.tflite            # keeps the model that it trains
    python examples/05_video.py --model stream.tflite --video CLIP
    python examples/05_video.py --smoke                         # seconds, to see that it runs

CLIP is a folder of pictures in the order of their names, an animated GIF, or a video that OpenCV
reads. In each frame the largest face is read (OpenCV, the extra "faces"); --cropped takes each
frame for a face, and needs no OpenCV.

What it prints beside the predictions: on held-out drawn clips, how often the emotion at the end is
right, and the concordance of valence and arousal, read with the state and without it (set to 0
before each frame; the network learnt with a state, so this shows what the state carries, not what
a network of single pictures could do).

Time: 80 s of processor time, 15 s with --smoke. Seen without arguments: a file of 588 kB whose
valence and arousal are within 0.027 of Keras at every frame, and on 16 held-out clips

    held out, 16 drawn clips: emotion at the end right in 16 of them
    streaming        valence CCC 0.883, arousal CCC 0.846
    each frame alone valence CCC 0.538, arousal CCC 0.669
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from keras_affect import emotions, runtime

#: Frames of a drawn clip, and how many a second they are meant to be.
TIME, RATE = 32, 16
CLIPS, EPOCHS = 64, 20
#: Expressions that drawn clips turn to; contempt, which pulls half of a face, is left out.
SHOWN = ("happiness", "surprise", "sadness", "anger", "disgust", "fear")
#: Standard deviation of each pixel's noise, of 255.
NOISE = 18.0


# === Drawn clips


def drawn_clip(seed: int, time: int) -> tuple[np.ndarray, str, np.ndarray]:
    """Frames uint8 `(time, 48, 48, 1)`, the emotion at the end, valence-arousal `(time, 2)`."""
    from keras_affect.datasets.face_drawing import Face, render
    from keras_affect.datasets.synthetic import PROTOTYPES

    rng = np.random.default_rng(seed)
    first, last = rng.choice(SHOWN, 2, replace=False)
    person = {
        "head_width": rng.uniform(0.7, 0.82),
        "eye_size": rng.uniform(0.17, 0.21),
        "mouth_width": rng.uniform(0.28, 0.36),
        "skin": rng.uniform(130, 200),
        "hair": rng.uniform(30, 90),
        "background": rng.uniform(60, 180),
    }
    # The first comes and goes, the second comes and stays.
    moments, turn = np.arange(time) / time, rng.uniform(0.35, 0.6)
    strength = {
        first: rng.uniform(0.6, 1) * np.clip(moments / 0.15, 0, 1)
        * np.clip((turn - moments) / 0.1, 0, 1),
        last: rng.uniform(0.6, 1) * np.clip((moments - turn) / 0.15, 0, 1),
    }  # fmt: skip
    frames = np.empty((time, 48, 48, 1), np.uint8)
    for frame in range(time):
        units: dict[int, tuple[float, float]] = {}
        for name, course in strength.items():
            for unit, share in PROTOTYPES[name].items():
                pulled = max(share * course[frame], units.get(unit, (0.0, 0.0))[0])
                units[unit] = pulled, pulled
        sway = 0.06 * np.sin(2 * np.pi * (frame / RATE + seed % 7))
        drawing = render(Face(**person, yaw=sway, roll=sway / 2, units=units)).astype(float)
        noisy = drawing + rng.normal(0, NOISE, drawing.shape)
        frames[frame, ..., 0] = np.clip(np.rint(noisy), 0, 255)
    points = sum(
        course[:, None] * emotions.CIRCUMPLEX[emotions.index(name)]
        for name, course in strength.items()
    )
    return frames, str(last), np.asarray(points, np.float32)


def train(path: Path, clips: int, epochs: int, time: int) -> None:
    """A streaming model of drawn clips, written to `path` in int8."""
    import keras

    import keras_affect as ka

    keras.utils.set_random_seed(0)
    drawn = [drawn_clip(seed, time) for seed in range(clips)]
    frames = np.stack([clip for clip, _, _ in drawn])
    labels = {
        "emotion": np.eye(8, dtype=np.float32)[[emotions.index(name) for _, name, _ in drawn]],
        "valence_arousal": np.stack([points for _, _, points in drawn]),
    }
    encoder = ka.models.LightweightCNN(weights="ferplus_v3", include_top=False, pooling="avg")
    encoder.trainable = False
    model = ka.models.TemporalAffect(encoder, units=48, dropout=0.2, drop_connect=0.2)
    model.compile(
        keras.optimizers.Adam(3e-3),
        loss={
            "emotion": ka.losses.MaskedCategoricalCrossentropy(),
            "valence_arousal": ka.losses.ConcordanceLoss(),
        },
        jit_compile=False,
    )
    print(f"training on {clips} drawn clips of {time} frames, {epochs} epochs", flush=True)
    history = model.fit(
        frames.astype(np.float32), labels, batch_size=16, epochs=epochs, verbose=0
    ).history
    print(
        f"loss {history['loss'][0]:.3f} in the first epoch, {history['loss'][-1]:.3f} in the last"
    )
    report = ka.export.to_litert_streaming(
        model,
        path,
        "int8",
        frames[: max(4, clips // 8)],
        description="LSTM over frames, trained on drawn clips by examples/05_video.py",
    )
    print(report)


# === Clips that are given


def frames_of(video: Path) -> Iterator[Any]:
    """The frames of a folder, an animated picture or a video, in their order."""
    if video.is_dir():
        files = sorted(file for file in video.iterdir() if file.suffix.lower() in _PICTURES)
        if not files:
            raise ValueError(f"{video}: holds no picture ({', '.join(_PICTURES)})")
        yield from files
        return
    if not video.is_file():
        raise FileNotFoundError(f"{video}: no such file or folder")
    if video.suffix.lower() in (".gif", ".webp", ".png", ".tif", ".tiff"):
        with Image.open(video) as animated:
            for frame in ImageSequence.Iterator(animated):
                yield frame.convert("RGB")
        return
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            f"{video}: reading a video needs OpenCV ({error}): pip install 'keras-affect[faces]'"
        ) from None
    capture = cv2.VideoCapture(str(video))
    try:
        found = False
        while True:
            is_read, frame = capture.read()
            if not is_read:
                break
            found = True
            yield np.ascontiguousarray(frame[..., ::-1])  # OpenCV's order is blue, green, red
        if not found:
            raise ValueError(f"{video}: not a video that OpenCV reads")
    finally:
        capture.release()


_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read_clip(
    stream: runtime.StreamingAffect, frames: Iterator[Any], cropped: bool
) -> list[runtime.Prediction | None]:
    """A prediction for each frame, None where no face was found: the state waits."""
    found: list[runtime.Prediction | None] = []
    for frame in frames:
        if cropped:
            found.append(stream.step(frame))
            continue
        faces = runtime.find_faces(frame)
        found.append(stream.step(faces[0].crop) if faces else None)
    return found


# === What is shown


def show(found: list[runtime.Prediction | None], rate: float) -> None:
    print("  time  valence  arousal  emotion so far")
    for frame in range(0, len(found), max(1, len(found) // 12)):
        prediction = found[frame]
        if prediction is None:
            print(f"{frame / rate:5.2f}s  no face")
            continue
        pair = (
            "               "
            if prediction.valence is None or prediction.arousal is None
            else f"{prediction.valence:+7.2f}  {prediction.arousal:+7.2f}"
        )
        print(f"{frame / rate:5.2f}s  {pair}  {prediction.emotion} {prediction.probability:.2f}")


def concordance(truth: np.ndarray, found: np.ndarray) -> float:
    covariance = np.mean((truth - truth.mean()) * (found - found.mean()))
    distance = (truth.mean() - found.mean()) ** 2
    return float(2 * covariance / (truth.var() + found.var() + distance))


def compare(stream: runtime.StreamingAffect, clips: int, time: int) -> None:
    """Held-out drawn clips, with and without what came before."""
    rows: dict[str, list[np.ndarray]] = {"truth": [], "streaming": [], "each frame alone": []}
    right = 0
    for seed in range(10_000, 10_000 + clips):
        frames, emotion, points = drawn_clip(seed, time)
        rows["truth"].append(points)
        predictions = stream.predict(frames)
        right += predictions[-1].emotion == emotion
        rows["streaming"].append(np.array([(p.valence, p.arousal) for p in predictions], float))
        alone = [stream.predict([frame])[0] for frame in frames]
        rows["each frame alone"].append(np.array([(p.valence, p.arousal) for p in alone], float))
    truth, *others = (np.concatenate(values) for values in rows.values())
    print(f"held out, {clips} drawn clips: emotion at the end right in {right} of them")
    for name, values in zip(list(rows)[1:], others, strict=True):
        pair = [concordance(truth[:, axis], values[:, axis]) for axis in (0, 1)]
        print(f"{name:17}valence CCC {pair[0]:.3f}, arousal CCC {pair[1]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, help="of to_litert_streaming; else one is trained")
    parser.add_argument("--keep", type=Path, help="where to write the model that is trained")
    parser.add_argument("--video", type=Path, help="a folder, a GIF or a video; else one is drawn")
    parser.add_argument("--cropped", action="store_true", help="frames are faces already")
    parser.add_argument(
        "--rate", type=float, default=RATE, help=f"frames a second of the video, {RATE} if not said"
    )
    parser.add_argument("--smoke", action="store_true", help="few clips and one epoch")
    arguments = parser.parse_args()
    if not arguments.rate > 0:
        parser.error(f"--rate must be above 0, and is {arguments.rate:g}")
    if arguments.keep is not None:
        if arguments.keep.exists():
            parser.error(f"{arguments.keep} is there already")
        if arguments.keep.suffix != ".tflite" or not arguments.keep.parent.is_dir():
            parser.error(f"{arguments.keep}: expected a .tflite in a folder that is there")
    # Before the training, which takes more than a minute.
    if arguments.video is not None and not arguments.video.exists():
        parser.error(f"{arguments.video}: no such file or folder")
    if arguments.video is not None and not arguments.cropped and find_spec("cv2") is None:
        parser.error("faces are found by OpenCV: pip install 'keras-affect[faces]', or --cropped")
    if arguments.keep is not None and arguments.model is not None:
        parser.error("--keep is for a model that is trained, and --model gives one")
    clips, epochs, time = (8, 1, 12) if arguments.smoke else (CLIPS, EPOCHS, TIME)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = arguments.model
            if path is None:
                path = arguments.keep or Path(scratch) / "stream.tflite"
                train(path, clips, epochs, time)
            stream = runtime.StreamingAffect(path)
            if arguments.video is None:
                found = read_clip(stream, iter(drawn_clip(20_000, time)[0]), cropped=True)
            else:
                found = read_clip(stream, frames_of(arguments.video), arguments.cropped)
        except (OSError, ValueError, ImportError) as error:
            parser.error(str(error))
    show(found, arguments.rate)
    if arguments.model is None:
        compare(stream, max(2, clips // 4), time)


if __name__ == "__main__":
    main()
