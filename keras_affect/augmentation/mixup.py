"""Batches in which each picture is a mixture of two, and so are its labels."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import ops, tree

from keras_affect._arguments import invalid
from keras_affect.augmentation.keys import uniform_of_keys

__all__ = ["Mixup"]

#: Where the keys' draws stand; `FacePipeline` draws from the streams 0 to 2, `Cutout` from 100.
_STREAM = 200


@keras.saving.register_keras_serializable(package="keras_affect")
class Mixup:
    """`share * batch + (1 - share) * batch[partners]`, for pictures, labels and sample weights.

    Each picture's partner is drawn from a permutation of the batch, its share from Beta(alpha,
    alpha): at 0.2 most are close to 0 or 1, at 1 all are equally likely.

    This is no layer, since layers inside a model never see labels. It is called on batches: in
    `tf.data`, where TensorFlow is Keras's backend, or in a training loop on any backend. With
    `keys` the draws are functions of the keys alone, the same in any order and at any number of
    parallel calls.

    **Missing labels.** A row of `valence_arousal` may be NaN, an `emotion` row all 0. A NaN never
    spreads: where one of two numbers is NaN the result is the other one. How much of a picture
    that label describes is then said in one of two ways:

    - An all-0 row needs none: beside it a row of shares that sum to 1 becomes one that sums to
      its own share, and its cross-entropy counts for as much.
    - With `mask_missing=True` the result always has sample weights, one for each label in the
      labels' own structure, as `model.fit` takes them: the sample weights mixed after being set
      to 0 where a label is missing. A label that both lack becomes 0 with weight 0, since a loss
      of NaN stays NaN at any weight. Where both lack a part of it alone, as the arousal beside a
      rated valence, that part stays NaN, which `losses.MaskedMeanSquaredError` leaves out and a
      loss that does not mask shows as NaN: a row's one weight says nothing of its parts.

    Args:
        alpha: Parameter of the Beta distribution, a finite number above 0.
        mode: `"sample"`: each picture has a share of its own. `"batch"`: one share a batch, as in
            the authors' code.
        mask_missing: Whether to return what is missing as sample weights, see above.
        seed: Integer that draws without keys start from. None: from a random one.

    Call arguments:
        images: `(batch, height, width, channels)`, or more dimensions, the batch first. Integers
            are cast to `keras.config.floatx()`.
        labels: A tensor or any tree (dict, list, tuple) of tensors `(batch, ...)`, floating-point.
            Default None.
        sample_weight: One tensor `(batch,)`, or a tree of them in the labels' structure. Default
            None.
        keys: uint64 `(batch,)`, from `augmentation.with_keys` or `datasets.draws.example_keys`.

    Returns:
        A tuple of as many parts as were given, images first, each in the structure in which it
        came: `(images, labels)` as `model.fit` takes them, for instance.

    Raises:
        ValueError: If an argument is none of these; if labels are integers, which cannot be mixed,
            or have no or another batch dimension than the images; if the sample weights'
            structure fits neither.

    Reference:
        - [Zhang et al. 2018, "mixup: beyond empirical risk minimization"](
          https://arxiv.org/abs/1710.09412)
        - Devroye 1996, "Random variate generation in one line of code", Winter Simulation
          Conference: Beta(alpha, alpha) from two uniform numbers.

    Example:
    ```python
    mixup = Mixup(alpha=0.2)
    images, labels = mixup(images, {"emotion": emotion, "valence_arousal": valence_arousal})

    dataset = with_keys(dataset, seed=0).map(
        lambda keys, images, labels: mixup(images, labels, keys=keys), num_parallel_calls=4
    )
    ```
    """

    def __init__(
        self,
        alpha: float = 0.2,
        mode: Literal["sample", "batch"] = "sample",
        mask_missing: bool = False,
        seed: int | None = None,
    ) -> None:
        number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
        if not (number and 0 < alpha < math.inf):
            raise invalid("alpha", "a finite number above 0", alpha)
        if mode not in ("sample", "batch"):
            raise invalid("mode", '"sample" or "batch"', mode)
        if not isinstance(mask_missing, bool):
            raise invalid("mask_missing", "True or False", mask_missing)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise invalid("seed", "None or an integer", seed)
        self.alpha = alpha
        self.mode = mode
        self.mask_missing = mask_missing
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def __call__(
        self, images: Any, labels: Any = None, sample_weight: Any = None, keys: Any = None
    ) -> tuple[Any, ...]:
        """Draw and apply: see the class."""
        images = ops.convert_to_tensor(images)
        if len(images.shape) < 4:
            raise ValueError(
                "Invalid value for argument `images`. Expected shape (batch, height, width, "
                f"channels). Received: shape {tuple(images.shape)}"
            )
        shares, partners = self.draw(ops.shape(images)[0], keys)
        return self.apply(images, labels, sample_weight, shares=shares, partners=partners)

    def draw(self, batch: Any, keys: Any = None) -> tuple[Any, Any]:
        """Shares and partners for `apply`.

        Args:
            batch: The number of pictures, an integer or a scalar tensor.
            keys: As in the call. None: from the seed generator.

        Returns:
            Shares, float32 `(batch,)` in [0, 1], and partners, int32 `(batch,)`, a permutation of
            0, 1, ..., batch - 1.
        """
        if keys is None:
            points = keras.random.uniform((batch, 3), dtype="float32", seed=self.seed_generator)
        else:
            points = uniform_of_keys(keys, 3, stream=_STREAM)
        # A sorted draw is a permutation in which every order is equally likely.
        partners = ops.cast(ops.argsort(points[:, 2]), "int32")
        if self.mode == "batch":
            points = ops.broadcast_to(points[:1], ops.shape(points))
        # Devroye's one line is (1 + c / sqrt(c^2 + w / (1 - w))) / 2 with w = u^(1 / alpha) and
        # c = cos(2 pi v). Brought to one denominator it has no quotient that overflows at small
        # alpha, where ratios of gamma draws become 0 / 0.
        exponent = ops.log(points[:, 0]) / self.alpha
        power, rest = ops.exp(exponent), -ops.expm1(exponent)
        cosine = ops.cos(2 * math.pi * points[:, 1])
        shares = 0.5 + 0.5 * cosine * ops.sqrt(rest / (power + rest * ops.square(cosine)))
        return ops.clip(shares, 0.0, 1.0), partners

    def apply(
        self,
        images: Any,
        labels: Any = None,
        sample_weight: Any = None,
        *,
        shares: Any,
        partners: Any,
    ) -> tuple[Any, ...]:
        """The mixture for given shares and partners; draws nothing.

        Args:
            images: As in the call.
            labels: As in the call.
            sample_weight: As in the call.
            shares: `(batch,)` in [0, 1], what of each picture stays.
            partners: Integers `(batch,)`, whom it is mixed with.

        Returns:
            As the call.
        """

        def mix(values: Any) -> Any:
            return _mix(values, shares, partners)

        def mix_known(values: Any) -> Any:
            return _mix_known(values, shares, partners)

        images = _floating(images)
        if labels is not None:
            leaves = [
                _label(path, leaf, images.shape[0]) for path, leaf in tree.flatten_with_path(labels)
            ]
            labels = tree.pack_sequence_as(labels, leaves)
        if sample_weight is not None:
            sample_weight = tree.map_structure(_floating, sample_weight)
            _check_weights(sample_weight, labels, images.shape[0])
        if self.mask_missing and labels is not None:
            leaves = tree.flatten(labels)
            given = tree.flatten(sample_weight) if tree.is_nested(sample_weight) else None
            weights = [
                mix(_present(leaf, weight))
                for leaf, weight in zip(leaves, given or [sample_weight] * len(leaves), strict=True)
            ]
            labels = tree.map_structure(lambda leaf: _zero_if_missing(mix_known(leaf)), labels)
            return mix(images), labels, tree.pack_sequence_as(labels, weights)
        parts = [mix(images)]
        if labels is not None or sample_weight is not None:
            parts.append(None if labels is None else tree.map_structure(mix_known, labels))
        if sample_weight is not None:
            parts.append(tree.map_structure(mix, sample_weight))
        return tuple(parts)

    def get_config(self) -> dict[str, Any]:
        """The arguments, as `from_config` takes them."""
        return {
            "alpha": self.alpha,
            "mode": self.mode,
            "mask_missing": self.mask_missing,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Mixup:
        """The object of those arguments."""
        return cls(**config)


def _mix(values: Any, shares: Any, partners: Any) -> Any:
    """`shares * values + (1 - shares) * values[partners]`."""
    shares = ops.cast(shares, values.dtype)
    shares = ops.reshape(shares, (-1,) + (1,) * (len(values.shape) - 1))
    return shares * values + (1 - shares) * ops.take(values, partners, axis=0)


def _mix_known(values: Any, shares: Any, partners: Any) -> Any:
    """The same, but of a number and NaN the number."""
    others = ops.take(values, partners, axis=0)
    mixed = ops.where(ops.isnan(others), values, _mix(values, shares, partners))
    return ops.where(ops.isnan(values), others, mixed)


def _floating(values: Any) -> Any:
    values = ops.convert_to_tensor(values)
    if keras.backend.is_float_dtype(values.dtype):
        return values
    return ops.cast(values, keras.config.floatx())


def _label(path: tuple[Any, ...], leaf: Any, batch: int | None) -> Any:
    """A label as a tensor, if it can be mixed."""
    name = "labels" + "".join(f"[{key!r}]" for key in path)
    leaf = ops.convert_to_tensor(leaf)
    dtype = keras.backend.standardize_dtype(leaf.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "Invalid value for argument `labels`. Expected floating-point labels: numbers of "
            "classes cannot be mixed, their shares can, so turn them into "
            "keras.ops.one_hot(labels, classes) first, with a loss such as "
            f"categorical_crossentropy. Received: {name} of dtype {dtype}"
        )
    shape = tuple(leaf.shape)
    wrong = not shape or (None not in (shape[0], batch) and shape[0] != batch)
    if wrong:
        size = "batch" if batch is None else batch
        raise ValueError(
            f"Invalid value for argument `labels`. Expected shape ({size}, ...), a row an image. "
            f"Received: {name} of shape {shape}"
        )
    return leaf


def _check_weights(sample_weight: Any, labels: Any, batch: int | None) -> None:
    for leaf in tree.flatten(sample_weight):
        shape = tuple(leaf.shape)
        if not shape or (None not in (shape[0], batch) and shape[0] != batch):
            raise ValueError(
                "Invalid value for argument `sample_weight`. Expected shape "
                f"({'batch' if batch is None else batch},). Received: shape {shape}"
            )
    if not tree.is_nested(sample_weight):
        return
    try:
        tree.assert_same_structure(labels, sample_weight)
    except (TypeError, ValueError):
        structure = tree.map_structure(lambda leaf: tuple(leaf.shape), sample_weight)
        raise ValueError(
            "Invalid value for argument `sample_weight`. Expected a tensor, or a tree in the "
            f"labels' structure. Received: shapes {structure}"
        ) from None


def _there(leaf: Any) -> Any:
    """Booleans `(batch,)`: whether any number of the row is there."""
    there = ops.logical_not(ops.isnan(leaf))
    if len(leaf.shape) > 1:
        there = ops.any(ops.reshape(there, (ops.shape(leaf)[0], -1)), axis=1)
    return there


def _present(leaf: Any, weight: Any) -> Any:
    """Weights `(batch, ...)`, 0 for a row of labels of which no number is there."""
    there = _there(leaf)
    if weight is None:
        return ops.cast(there, keras.config.floatx())
    there = ops.reshape(there, (-1,) + (1,) * (len(weight.shape) - 1))
    return ops.where(there, weight, ops.zeros_like(weight))


def _zero_if_missing(leaf: Any) -> Any:
    """Labels with 0 in the rows of which no number is there."""
    there = ops.reshape(_there(leaf), (-1,) + (1,) * (len(leaf.shape) - 1))
    return ops.where(there, leaf, ops.zeros_like(leaf))
