"""What a training is: every choice that its result depends on, in one dataclass."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_affect._arguments import invalid
from keras_affect._files import written_whole
from keras_affect.weights import architectures

__all__ = ["Recipe", "shipped_recipes"]

_SHIPPED = Path(__file__).parent / "recipes"

_CHOICES = {
    "model": tuple(row.name for row in architectures.architectures() if not row.is_of_clips),
    "labels": ("distribution", "majority", "drawn", "outlier_free"),
    "augmentation": ("none", "light", "strong", "camera", "moderate"),
    "dtype": ("float32", "mixed_bfloat16"),
    "teachers_see": ("batches", "originals"),
}

# Lowest and highest value of each number; the highest is excluded where it is no integer.
_RANGES: dict[str, tuple[float, float]] = {
    "width": (0.1, 8.0),
    "stem_convolutions": (1, 100),
    "dropout": (0.0, 1.0),
    "stochastic_depth": (0.0, 1.0),
    "mixup": (0.0, 100.0),
    "epochs": (1, 100_000),
    "batch_size": (1, 100_000),
    "learning_rate": (1e-9, 100.0),
    "warmup": (1e-3, 1.0),
    "momentum": (0.0, 1.0),
    "weight_decay": (0.0, 1.0),
    "valence_arousal_weight": (0.0, 1e6),
    "seed": (0, 2**31),
    "temperature": (1.0, 1_000.0),
    "start_share": (0.0, 1.0),
}


@dataclass(frozen=True)
class Recipe:
    """A training on FER+.

    Attributes:
        model: The class in `keras_affect.models`.
        width: Factor on its channels.
        stem_convolutions: Convolutions before its first pooling; 1 for other models than
            LightweightCNN, which have no such choice.
        mirrored: Whether the network sees each picture mirrored too, see the models' argument;
            takes twice the time.
        dropout: Rate of dropout where the architecture has it, in [0, 1).
        stochastic_depth: Rate of leaving out the last residual branch, in [0, 1); 0 for models
            without residual branches.
        labels: The rule for the labels, see `datasets.ferplus.load`.
        drop_duplicates: Whether to leave out train pictures that stand pixel for pixel in valid,
            without which choosing by the valid score would be choosing what was learnt by heart.
        augmentation: A name of `augmentation.face_pipeline`; "none" leaves pictures as they are.
        degradation_probability: Share of the pictures that a camera's losses (noise, blur, JPEG)
            fall on, in [0, 1], where the augmentation has any; None for as many as it has.
        mixup: Parameter of `augmentation.Mixup`'s Beta distribution; 0 mixes nothing.
        epochs: Passes over the train split.
        batch_size: Images a step.
        learning_rate: The peak of `schedules.OneCycle`.
        warmup: Share of the steps that rise to it, in (0, 1).
        momentum: Nesterov momentum of stochastic gradient descent, in [0, 1).
        weight_decay: Decoupled decay of kernels (not of biases or normalisation), a step and
            unit of learning rate. Beside L2 regularisation with coefficient c and momentum m it
            does what `weight_decay = 2 c / (1 - m)` does.
        valence_arousal_weight: Weight of the squared error of valence and arousal beside the
            cross-entropy of emotions; 0 leaves the output out of the model.
        dtype: "float32" or "mixed_bfloat16", which is quicker where the processor has it.
        seed: What weights, order, draws and dropout start from.
        start_from: What `models.load` takes (a run's folder, a ``.keras`` file, a shipped name),
            whose weights the training starts from; "" starts from random ones. Where it is
            narrower than `width`, the training starts from what `widen` makes of it; where it has
            fewer convolutions in its stem, from what `deepen` does.
        start_share: Share of the weights that the training started from in those that it ends with,
            in [0, 1): their weighted mean, of batch normalisation's statistics too, keeps what the
            training forgot (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903). 0 without
            `start_from`.
        teachers: What `models.load` takes, each: networks whose averaged outputs are learnt from
            too, see `Distiller`. () for none. As paths of `start_from`, relative ones start where
            the command runs.
        teachers_see: "batches": what the student sees, after augmentation and mixup, each time
            anew. "originals": each picture once, before the training, as it is and mirrored, and
            what they say of both is mixed into its labels. That costs no time in training; a
            student that would learn the pictures by heart has less of it (Beyer et al. 2022,
            arXiv:2106.05237).
        temperature: Of the teachers' probabilities, in [1, 1000); 1 where they see originals.
        teacher_share: Share of the loss that is against the teachers, in (0, 1]; the rest is
            against the labels. 1 leaves the labels out.
    """

    model: str = "LightweightCNN"
    width: float = 1.0
    stem_convolutions: int = 1
    mirrored: bool = False
    dropout: float = 0.3
    stochastic_depth: float = 0.0
    labels: str = "outlier_free"
    drop_duplicates: bool = True
    augmentation: str = "strong"
    degradation_probability: float | None = None
    mixup: float = 0.0
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.12
    warmup: float = 0.3
    momentum: float = 0.9
    weight_decay: float = 5e-3
    valence_arousal_weight: float = 1.0
    dtype: str = "mixed_bfloat16"
    seed: int = 0
    start_from: str = ""
    start_share: float = 0.0
    teachers: tuple[str, ...] = ()
    teachers_see: str = "batches"
    temperature: float = 2.0
    teacher_share: float = 0.5

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise invalid(name, f"one of {', '.join(choices)}", value)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            whole = isinstance(low, int)
            kinds = (int,) if whole else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not (number and low <= value < high):
                raise invalid(
                    name, f"{'an integer' if whole else 'a number'} in [{low:g}, {high:g})", value
                )
        if self.stem_convolutions != 1 and self.model != "LightweightCNN":
            raise invalid("stem_convolutions", f"1 with {self.model}", self.stem_convolutions)
        if not isinstance(self.start_from, str):
            raise invalid("start_from", "a path or name", self.start_from)
        if self.start_share and not self.start_from:
            raise invalid("start_share", "0 without start_from", self.start_share)
        probability = self.degradation_probability
        if probability is not None:
            if self.augmentation not in ("camera", "moderate"):
                raise invalid(
                    "degradation_probability", "None without losses of a camera", probability
                )
            is_number = isinstance(probability, int | float) and not isinstance(probability, bool)
            if not (is_number and 0 <= probability <= 1):
                raise invalid("degradation_probability", "a number in [0, 1]", probability)
        for name in ("mirrored", "drop_duplicates"):
            if not isinstance(getattr(self, name), bool):
                raise invalid(name, "True or False", getattr(self, name))
        teachers = self.teachers
        if not isinstance(teachers, list | tuple) or not all(
            isinstance(teacher, str) and teacher for teacher in teachers
        ):
            raise invalid("teachers", "paths or names", teachers)
        object.__setattr__(self, "teachers", tuple(teachers))  # a file's list
        share = self.teacher_share
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not (is_number and 0 < share <= 1):
            raise invalid("teacher_share", "a number in (0, 1]", share)
        if teachers and self.teachers_see == "originals" and self.temperature != 1:
            raise invalid("temperature", "1 where teachers see originals", self.temperature)

    def differences(self, other: Recipe) -> dict[str, Any]:
        """The fields whose values are not those of another recipe, with this one's values."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        }

    def save(self, path: str | Path) -> None:
        """Write the recipe as JSON; what stands at `path` is replaced."""
        with written_whole(path, overwrite=True) as beside:
            beside.write_text(
                json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8"
            )

    @classmethod
    def load(cls, source: str | Path) -> Recipe:
        """A recipe from a file, or one that ships.

        A file need not have every field: what it lacks has the value that a `Recipe` has without
        it, so that the runs of earlier versions can be read.

        Args:
            source: A ``.toml`` or ``.json`` file, or a name of `shipped_recipes`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If no recipe of that name ships, or the file is not a recipe: names the
                file and what is wrong.
        """
        path = Path(source)
        if not path.suffix and path.name == str(source):
            path = _shipped(str(source))
        if path.suffix not in (".toml", ".json"):
            raise ValueError(f"{path}: not a recipe (expected a .toml or .json file)")
        try:
            text = path.read_text(encoding="utf-8")
            values: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a recipe ({error})") from None
        if not isinstance(values, dict):
            raise ValueError(f"{path}: not a recipe (expected names and values)")
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in values if name not in known]:
            raise ValueError(
                f"{path}: not a recipe (no field of one: {', '.join(unknown)}; there are "
                f"{', '.join(known)})"
            )
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def shipped_recipes() -> dict[str, Path]:
    """The recipes that ship, by name: ``.toml`` files whose heads tell time and score."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def _shipped(name: str) -> Path:
    recipes = shipped_recipes()
    if name not in recipes:
        raise ValueError(
            f"Invalid value for argument `recipe`. Expected a .toml or .json file, or one of "
            f"{', '.join(recipes)}. Received: recipe={name!r}"
        )
    return recipes[name]
