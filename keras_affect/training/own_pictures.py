"""A fine-tuning on a folder of one's own pictures, in which each class has a folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from keras_affect import models
from keras_affect._files import written_whole
from keras_affect.augmentation import face_pipeline
from keras_affect.datasets.batches import batches_of
from keras_affect.datasets.picture_files import pictures_in
from keras_affect.models.affect_model import AffectModel
from keras_affect.runtime.crops import fit
from keras_affect.runtime.pictures import read_picture
from keras_affect.training.fine_tuning import FineTuning, fine_tune
from keras_affect.training.progress import EpochLog, ProgressBar
from keras_affect.weights.storage import variables_by_key

__all__ = ["OwnPictures", "fine_tune_on_folder", "read_folder"]


@dataclass(frozen=True)
class OwnPictures:
    """Pictures in memory, with the classes that their folders name.

    Attributes:
        images: uint8 `(pictures, height, width, channels)`.
        labels: int64 `(pictures,)`, places in `class_names`.
        class_names: Names of the classes.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Picture `index`, uint8 `(height, width, channels)`."""
        return self.images[index]

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The pictures' own bytes: they are in memory already."""
        return tuple(image.tobytes() for image in self.images)

    @property
    def one_hot(self) -> npt.NDArray[np.float32]:
        """float32 `(pictures, classes)`."""
        return np.eye(len(self.class_names), dtype=np.float32)[self.labels]

    def take(self, chosen: npt.NDArray[Any]) -> OwnPictures:
        """The pictures at these places."""
        return OwnPictures(self.images[chosen], self.labels[chosen], self.class_names)

    def divided(self, share: float, seed: int) -> tuple[OwnPictures, OwnPictures]:
        """Most of the pictures, and of each class about `share`, one at least, to test on.

        Raises:
            ValueError: If a class has fewer than two pictures.
        """
        rng = np.random.default_rng(seed)
        test: list[int] = []
        for place, name in enumerate(self.class_names):
            members = rng.permutation(np.flatnonzero(self.labels == place))
            if len(members) < 2:
                raise ValueError(f"{name}: {len(members)} picture; at least 2 are needed")
            test += members[: max(1, round(share * len(members)))].tolist()
        rest = np.setdiff1d(np.arange(len(self)), test)
        return self.take(rest), self.take(np.sort(test))


def read_folder(
    folder: str | Path, shape: tuple[int, int, int], console: Console | None = None
) -> OwnPictures:
    """Pictures from a folder that has a folder for each class.

    Each is read as `runtime.AffectInterpreter` reads a picture that is one face: brought to the
    model's size with its aspect kept.

    Args:
        folder: Its folders' names are those of the classes, in the order of the alphabet.
        shape: `(height, width, channels)` of the model, with 1 or 3 channels.
        console: Where to show progress, or None.

    Raises:
        NotADirectoryError: If there is no such folder.
        ValueError: If it has fewer than two folders, one of them has no picture, or a picture
            can't be read; names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: {len(classes)} folders in it; expected one for each of two or more classes"
        )
    files: list[Path] = []
    labels: list[int] = []
    for place, path in enumerate(classes):
        found = pictures_in(path)
        files += found
        labels += [place] * len(found)
    images = np.empty((len(files), *shape), np.uint8)
    shown = track(files, "reading", console=console, transient=True, disable=console is None)
    for place, file in enumerate(shown):
        images[place] = fit(read_picture(file).image, *shape)
    return OwnPictures(images, np.array(labels), tuple(path.name for path in classes))


def fine_tune_on_folder(
    source: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    head_epochs: int = 5,
    epochs: int = 15,
    learning_rate: float = 1e-4,
    batch_size: int = 32,
    label_smoothing: float = 0.05,
    dropout: float | None = None,
    augmentation: str = "light",
    seed: int = 0,
    console: Console | None = None,
) -> FineTuning:
    """Fine-tune a trained model on one's own pictures and write what came of it.

    A fifth of each class is held out, and scored after each epoch. Classes are balanced by
    weights in the loss. The new model has no valence and arousal: nothing tells what they are on
    these pictures.

    Args:
        source: What `models.load` takes: a name that ships, a ``.keras`` file, a run's folder.
        data: A folder with a folder of pictures for each class; they should show what the model
            will see, faces that fill the picture. Where the names are those of the source's
            classes, its head is kept.
        out: The folder to write: ``model.keras``, ``log.csv`` and ``fine_tuning.json``.
        head_epochs: As in `fine_tune`, and so are the next three.
        epochs: "
        learning_rate: "
        batch_size: "
        label_smoothing: "
        dropout: Rate before the heads, or None for the source's.
        augmentation: A name of `augmentation.face_pipeline`, or "none".
        seed: What order, draws and the division start from.
        console: Where to print progress.

    Returns:
        What both parts logged.

    Raises:
        FileExistsError: If `out` is there already.
        ValueError: If data or an argument are at fault, or the source is none of
            `keras_affect.models`.
    """
    console = console or Console()
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out}: is there already; another folder starts anew")
    keras.utils.set_random_seed(seed)
    trained = models.load(source)
    if not isinstance(trained, AffectModel):
        raise ValueError(
            "Invalid value for argument `source`. Expected a model of keras_affect.models. "
            f"Received: source={str(source)!r}, a {type(trained).__name__}"
        )
    pictures = _in_order_of(trained, read_folder(data, trained.input_shape[1:], console))
    train, valid = pictures.divided(0.2, seed)
    model = _for_classes(trained, pictures.class_names, dropout)
    batches = batches_of(
        train,
        train.one_hot,
        None,
        draw_labels=False,
        batch_size=batch_size,
        shuffle=True,
        seed=seed,
        cache="memory",
        augment=None if augmentation == "none" else face_pipeline(augmentation),
        initial_epoch=0,
        repeat=False,
    )
    counts = ", ".join(
        f"{name} {np.sum(train.labels == place)}" for place, name in enumerate(pictures.class_names)
    )
    console.print(f"{len(train)} pictures to train on ({counts})", highlight=False, markup=False)
    weights = len(train) / (len(pictures.class_names) * np.bincount(train.labels))
    steps = -(-len(train) // batch_size)
    with (
        _folder_unless_empty(out),
        ProgressBar(head_epochs + epochs, steps, 0, console) as bar,
    ):
        result = fine_tune(
            model,
            batches,
            (valid.images.astype(np.float32), {"emotion": valid.one_hot}),
            head_epochs=head_epochs,
            epochs=epochs,
            learning_rate=learning_rate,
            class_weights=weights.tolist(),
            label_smoothing=label_smoothing,
            callbacks=[bar, EpochLog(out / "log.csv")],
            verbose=0,
        )
    with written_whole(out / "model.keras") as beside:
        model.save(beside)
    with written_whole(out / "fine_tuning.json") as beside:
        facts = {
            "source": str(source),
            "classes": list(pictures.class_names),
            "pictures": {"train": len(train), "held_out": len(valid)},
            **asdict(result),
        }
        beside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return result


@contextlib.contextmanager
def _folder_unless_empty(folder: Path) -> Iterator[None]:
    """Make a folder, and take it away again if the block raises before anything stands in it.

    It would refuse the next run, with the argument mended.
    """
    folder.mkdir(parents=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def _in_order_of(trained: Any, pictures: OwnPictures) -> OwnPictures:
    """The same classes in the trained model's order, if they are its classes."""
    names = tuple(trained.class_names)
    if set(names) != set(pictures.class_names):
        return pictures
    places = np.array([names.index(name) for name in pictures.class_names])
    return OwnPictures(pictures.images, places[pictures.labels], names)


def _for_classes(trained: Any, names: tuple[str, ...], dropout: float | None) -> Any:
    """The trained model with a head for these classes, random where they are others."""
    config = trained.get_config()
    config |= {"classes": list(names), "valence_arousal": False, "dtype": "float32"}
    config.pop("frozen", None)  # the head trains, then all of it
    if dropout is not None:
        config["dropout"] = dropout
    model = type(trained).from_config(config)
    before = variables_by_key(trained)
    is_other_head = names != tuple(trained.class_names)
    for key, variable in variables_by_key(model).items():
        if not (is_other_head and key.startswith("emotion/")):
            variable.assign(before[key].value)
    return model
