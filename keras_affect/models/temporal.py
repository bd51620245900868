"""Clips: emotion, valence and arousal over time, by a recurrent network over frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_affect._arguments import check_flag, check_rate
from keras_affect.models import arguments
from keras_affect.models.blocks import drop_connected
from keras_affect.models.frame_encoder import FrameEncoder
from keras_affect.models.freezing import freeze_alone, frozen_layers
from keras_affect.models.heads import class_names_of, emotion_head
from keras_affect.models.loading import load_weights_by_name

__all__ = ["TemporalAffect"]


@keras.saving.register_keras_serializable(package="keras_affect")
class TemporalAffect(keras.Model):
    """An LSTM over the frames of a clip: valence and arousal a frame, emotion a clip.

    Each frame goes through an encoder for pictures, any model of this package without its heads.
    An LSTM runs over what it gives, forward alone, so that a device can do the same frame by
    frame: what it says of a frame rests on that frame and those before it. Valence and arousal
    are read from its output at each frame, the emotion from its output at the last: what the
    clip shows, as far as it was seen.

    Clips of a batch may differ in length: frames behind the end of the shorter ones are filled
    with -1, which no pixel is. They change no output and no state, the losses of
    `keras_affect.losses` leave them out, and `keras_affect.datasets.clips` fills them in.

    What the other models of this package take as arguments and is not here, the encoder was
    built with. At the defaults 477,130 parameters and 50.4 million multiply-adds a frame, nearly
    all of them the encoder's.

    Args:
        encoder: A built model from `(batch, height, width, channels)`, raw pixels in [0, 255],
            to features `(batch, features)` or a map `(batch, height, width, features)`, which is
            averaged over its places, as `LightweightCNN(include_top=False, pooling="avg")`. The
            default has the weights "ferplus_v3", which see a frame once and not its mirror image
            too: a clip has many frames, and two fifths of the time for each. It is used as it is,
            not copied: set `model.encoder.trainable = False` to train the LSTM alone.
        weights: A path to a ``.weights.h5`` file with weights of all of the model, the encoder's
            too; None leaves the LSTM and the heads random. None ship.
        classes: How many, or their names in order. 8 means the eight emotions.
        time: Frames of each clip, or None for any number.
        valence_arousal: Whether there is a second output beside the emotion.
        units: Numbers in the LSTM's output, and in its cell.
        l1: Coefficient of the sum of absolute values of the LSTM's and the heads' kernels, which
            joins the loss.
        l2: Likewise, of their squares.
        dropout: Rate of dropout on the encoder's features, before the LSTM, in [0, 1).
        drop_connect: Rate of DropConnect on the LSTM's recurrent kernel, in [0, 1): one mask for
            all steps of a clip.
        freeze_normalization: Whether batch normalisation in the encoder keeps its statistics and
            factors in training. Frames of one clip look alike, so that their statistics are not
            those of faces, and padding would count among them. False is for an encoder that
            starts from random weights.
        skip_mismatch: Whether weights that a `weights` path lacks, or has in another shape, stay
            random.
        name: The model's name. None for "temporal_affect".
        dtype: Dtype policy of the LSTM, as "mixed_bfloat16"; the encoder keeps its own, and the
            heads' outputs are float32.

    Attributes:
        encoder: The encoder.
        class_names: The names of the classes.

    Input shape:
        `(batch, time, height, width, channels)`, raw pixels in [0, 255], or -1 in frames that
        are padding.

    Output shape:
        A dict: "emotion" `(batch, classes)`, probabilities; "valence_arousal" `(batch, time, 2)`
        in [-1, 1].

    Raises:
        ValueError: If an argument is not of the form above.

    Reference:
        - Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9.
        - Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models", ICLR
          (arXiv:1708.02182): DropConnect on the recurrent kernel.

    Example:
        >>> encoder = keras_affect.models.LightweightCNN(include_top=False, pooling="avg")
        >>> model = keras_affect.models.TemporalAffect(encoder, units=64, drop_connect=0.3)
        >>> model(np.zeros((1, 16, 48, 48, 1)))["valence_arousal"].shape
        TensorShape([1, 16, 2])
    """

    def __init__(
        self,
        encoder: Any = None,
        weights: str | None = None,
        classes: int | Sequence[str] = 8,
        *,
        time: int | None = None,
        valence_arousal: bool = True,
        units: int = 64,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        drop_connect: float = 0.0,
        freeze_normalization: bool = True,
        skip_mismatch: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        class_names = class_names_of(classes)
        for argument, count in (("time", time), ("units", units)):
            _check_count(argument, count, or_none=argument == "time")
        for argument, flag in (
            ("valence_arousal", valence_arousal),
            ("freeze_normalization", freeze_normalization),
            ("skip_mismatch", skip_mismatch),
        ):
            check_flag(argument, flag)
        arguments.check_coefficient("l1", l1)
        arguments.check_coefficient("l2", l2)
        check_rate("dropout", dropout)
        check_rate("drop_connect", drop_connect)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        if encoder is None:
            from keras_affect.models.lightweight_cnn import LightweightCNN

            # Not the newest, which see mirror images: the LSTM averages over frames as it is.
            encoder = LightweightCNN(weights="ferplus_v3", include_top=False, pooling="avg")
        shape = _frame_shape(encoder)
        if freeze_normalization:
            for layer in encoder._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False

        # === Layers ===
        def regularizer() -> Any:
            return keras.regularizers.L1L2(l1, l2) if l1 or l2 else None

        lstm = keras.layers.LSTM(
            units,
            return_sequences=True,
            return_state=True,
            kernel_regularizer=regularizer(),
            recurrent_regularizer=regularizer(),
            dtype=policy,
            name="lstm",
        )

        # === Functional model ===
        frames = keras.Input((time, *shape), name="frames")
        x = FrameEncoder(encoder, dtype=policy, name="encoder")(frames)
        x = keras.layers.Dropout(dropout, dtype=policy, name="dropout")(x)
        each, last, _ = drop_connected(lstm, drop_connect)(x)
        outputs = {"emotion": emotion_head(last, len(class_names), "emotion", regularizer())}
        if valence_arousal:
            outputs["valence_arousal"] = keras.layers.Dense(
                2,
                activation="tanh",
                kernel_regularizer=regularizer(),
                dtype="float32",
                name="valence_arousal",
            )(each)
        super().__init__(frames, outputs, name=name or "temporal_affect")

        # === Config ===
        self.class_names = class_names
        self.time = time
        self.valence_arousal = valence_arousal
        self.units = units
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.drop_connect = drop_connect
        self.freeze_normalization = freeze_normalization
        self._policy = policy

        if weights is not None:
            load_weights_by_name(self, weights, skip_mismatch)

    @property
    def encoder(self) -> Any:
        """The model that each frame goes through."""
        # Not kept as an attribute: Keras would take it for a second place of the same layers.
        return self.get_layer("encoder").layer

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this architecture again, and "frozen", the layers that do not
        train; weights come from the saved file.
        """
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "weights": None,
            "classes": list(self.class_names),
            "time": self.time,
            "valence_arousal": self.valence_arousal,
            "units": self.units,
            "l1": self.l1,
            "l2": self.l2,
            "dropout": self.dropout,
            "drop_connect": self.drop_connect,
            "freeze_normalization": self.freeze_normalization,
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self._policy),
            "frozen": frozen_layers(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that `get_config` describes, with random weights."""
        encoder = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        arguments = {name: value for name, value in config.items() if name != "frozen"}
        model = cls(**{**arguments, "encoder": encoder})
        if "frozen" in config:  # files of before have none, and what `freeze_normalization` says
            freeze_alone(model, config["frozen"])
        return model


def _frame_shape(encoder: Any) -> tuple[int, int, int]:
    """(height, width, channels) of an encoder's pictures."""
    try:
        given, features = encoder.input_shape, encoder.output_shape
        fits = (
            isinstance(encoder, keras.Model)
            and len(given) == 4
            and all(given[1:])
            and isinstance(features, tuple)
            and len(features) in (2, 4)
            and isinstance(features[-1], int)
        )
    except (AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        found = getattr(encoder, "output_shape", None)
        raise ValueError(
            "Invalid value for argument `encoder`. Expected a built Keras model from pictures "
            "(batch, height, width, channels) to features (batch, features), as "
            'LightweightCNN(include_top=False, pooling="avg"). '
            f"Received: encoder={getattr(encoder, 'name', encoder)!r} with output shape {found}"
        )
    return given[1:]


def _check_count(name: str, count: int | None, or_none: bool) -> None:
    if or_none and count is None:
        return
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected an integer of 1 or more"
            f"{', or None' if or_none else ''}. Received: {name}={count!r}"
        )
