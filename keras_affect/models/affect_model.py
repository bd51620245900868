"""What all models have in common: one signature, inputs, heads, weights and configuration."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from keras_affect._arguments import check_flag, check_rate
from keras_affect.models import arguments
from keras_affect.models.blocks import CHANNELS_LAST, Blocks
from keras_affect.models.freezing import freeze_alone, frozen_layers
from keras_affect.models.heads import class_names_of, heads
from keras_affect.models.loading import load_weights_by_name, trained_argument
from keras_affect.models.mirroring import mean_of_both, mean_of_maps, with_mirror_images

__all__ = ["AffectModel"]

_ARGUMENTS = """

Args:
    input_shape: `(height, width, channels)`; sides of at least {least_side}.
    weights: A name that ships, as "ferplus" for the newest or "ferplus_v1" (`list_models(
        weights=True)` says which models ship any); a path to a ``.weights.h5`` file; or None for
        random ones. Defaults to {weights!r}. With other `classes` than those of a name that
        ships, the backbone is taken and the emotion head stays random, with a warning.
    classes: How many, or their names in order. 8 means the eight emotions.
    include_top: Whether the model ends in its heads. Without them it returns features.
    valence_arousal: Whether there is a second output beside the emotion.
    pooling: Without the top alone: "avg" or "max" for features `(batch, channels)` pooled over
        all places, None for the feature map `(batch, height, width, channels)`.
    width: Factor on the channels and hidden units of every layer, rounded to multiples of 8.
        None for that of the weights, where `weights` is a name that ships, else 1.{own_arguments}
    mirrored: Whether the network sees each picture mirrored left to right too, as one batch, and
        averages its features of both before the heads: it then says the same of a face and of its
        mirror image, with no weight more, in twice the time. Of a feature map the mirror's is
        turned back first. None for as the weights were trained, where `weights` is a name that
        ships, else False.
    l1: Coefficient of the sum of kernels' absolute values, which joins the loss.
    l2: Coefficient of the sum of kernels' squares, which joins the loss.
    dropout: Rate of dropout {dropout_place}, in [0, 1). None for {dropout:g}.
    drop_connect: Rate of DropConnect, in [0, 1), on {drop_connect_place}.
    stochastic_depth: {stochastic_depth}
    activation: After each convolution and hidden dense layer: a name of Keras or a function.
    kernel_initializer: Of all kernels but those of the heads: a name of Keras or an
        initializer, as `keras_affect.initializers.MSRA()`.
    skip_mismatch: Whether weights that a `weights` path lacks, or has in another shape, stay
        random.
    name: The model's name. None for {name!r}.
    dtype: Dtype policy of the layers, as "mixed_bfloat16"; the heads' outputs are float32.

Input shape:
    `(batch, height, width, channels)`, raw pixels in [0, 255].

Output shape:
    A dict: "emotion" `(batch, classes)`, probabilities; "valence_arousal" `(batch, 2)` in
    [-1, 1]. Without the top one tensor, see `pooling`.

Raises:
    ValueError: If an argument is not of the form above, or `weights` names what does not ship.
"""

_RESIDUAL = """Rate of leaving out the last residual branch in training, in [0, 1); earlier
        ones in proportion to their place (linear decay). Drawn for each sample. At inference a
        residual is multiplied by one minus its rate: weights that ship are adapted to the rate
        given here, those of a path are taken to be trained at it."""


class AffectModel(keras.Model):
    """A network for faces: a backbone of its own and the heads that all models share.

    A subclass gives `backbone` and, where it is not global average pooling and dropout, `top`.
    Both are called before Keras has set up the model, so they belong to the class.
    """

    #: Smallest height and width.
    least_side: ClassVar[int] = 16
    #: The architecture's own rate of dropout.
    default_dropout: ClassVar[float] = 0.0
    #: Where that stands, for the documentation.
    dropout_place: ClassVar[str] = "before the heads"
    #: Whether residual branches are there to be left out.
    has_residuals: ClassVar[bool] = False
    #: Whether dense layers stand before the heads; DropConnect belongs on those.
    has_hidden_dense: ClassVar[bool] = False
    #: The documentation of arguments that the architecture has beside those of all.
    own_arguments: ClassVar[str] = ""
    default_name: ClassVar[str]
    default_weights: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        text = _ARGUMENTS.format(
            least_side=cls.least_side,
            weights=cls.default_weights,
            dropout=cls.default_dropout,
            dropout_place=cls.dropout_place,
            drop_connect_place=(
                "the hidden dense layers" if cls.has_hidden_dense else "the heads' dense layers"
            ),
            stochastic_depth=(
                _RESIDUAL if cls.has_residuals else "0: the network has no residual branches."
            ),
            name=cls.default_name,
            own_arguments=cls.own_arguments,
        )
        # In Keras's order: what it is, its arguments, where it comes from, how it is used.
        before, *after = re.split(r"(?=\n    (?:Reference|Example):\n)", cls.__doc__ or "")
        cls.__doc__ = before.rstrip() + textwrap.indent(text, "    ") + "".join(after)

    def __init__(
        self,
        input_shape: Sequence[int] = (48, 48, 1),
        weights: str | None = None,
        classes: int | Sequence[str] = 8,
        *,
        include_top: bool = True,
        valence_arousal: bool = True,
        pooling: str | None = None,
        width: float | None = None,
        mirrored: bool | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | None = None,
        drop_connect: float = 0.0,
        stochastic_depth: float = 0.0,
        activation: Any = "relu",
        kernel_initializer: Any = "he_normal",
        skip_mismatch: bool = False,
        name: str | None = None,
        dtype: Any = None,
        _own: Mapping[str, Any] | None = None,
    ) -> None:
        cls = type(self)
        # Of subclasses that have arguments of their own: the backbone takes them, and the
        # configuration has them.
        own = dict(_own or {})
        shape = arguments.check_shape(input_shape, cls.least_side)
        class_names = class_names_of(classes)
        check_flag("include_top", include_top)
        check_flag("valence_arousal", valence_arousal)
        check_flag("skip_mismatch", skip_mismatch)
        arguments.check_choice("pooling", pooling, (None, "avg", "max"))
        if include_top and pooling is not None:
            raise ValueError(
                "Invalid value for argument `pooling`. Expected None with include_top=True: what "
                f"stands before the heads is the architecture's own. Received: pooling={pooling!r}"
            )
        if width is None:
            width = float(trained_argument(cls.__name__, weights, "width", 1.0))
        arguments.check_width(width)
        if mirrored is None:
            mirrored = bool(trained_argument(cls.__name__, weights, "mirrored", False))
        check_flag("mirrored", mirrored)
        arguments.check_coefficient("l1", l1)
        arguments.check_coefficient("l2", l2)
        dropout = check_rate("dropout", cls.default_dropout if dropout is None else dropout)
        drop_connect = check_rate("drop_connect", drop_connect)
        stochastic_depth = check_rate("stochastic_depth", stochastic_depth)
        if stochastic_depth > 0 and not cls.has_residuals:
            raise ValueError(
                f"Invalid value for argument `stochastic_depth`. Expected 0: {cls.__name__} has "
                "no residual branches that could be left out. "
                f"Received: stochastic_depth={stochastic_depth!r}"
            )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        blocks = Blocks(
            policy=policy,
            width=width,
            activation=arguments.check_activation(activation),
            kernel_initializer=arguments.check_initializer(kernel_initializer),
            kernel_regularizer=keras.regularizers.L1L2(l1, l2) if l1 or l2 else None,
            dropout=dropout,
            drop_connect=drop_connect,
            stochastic_depth=stochastic_depth,
        )

        # === Functional model ===
        inputs = keras.Input(shape, name="image")
        # A factor alone keeps black at 0, which is what convolutions pad with.
        x = keras.layers.Rescaling(1 / 255, dtype=policy, name="rescaling")(inputs)
        x = cls.backbone(with_mirror_images(x) if mirrored else x, blocks, **own)
        if mirrored and not include_top:
            x = mean_of_maps(x)
        outputs: Any
        if include_top:
            features = cls.top(x, blocks)
            outputs = heads(
                mean_of_both(features) if mirrored else features,
                class_names,
                valence_arousal,
                kernel_regularizer=blocks.kernel_regularizer,
                drop_connect=0.0 if cls.has_hidden_dense else drop_connect,
            )
        elif pooling is None:
            outputs = x
        else:
            outputs = (
                keras.layers.GlobalAveragePooling2D
                if pooling == "avg"
                else keras.layers.GlobalMaxPooling2D
            )(data_format=CHANNELS_LAST, dtype=policy, name="pool")(x)
        super().__init__(inputs, outputs, name=name or cls.default_name)

        # === Config ===
        self.class_names = class_names
        self.include_top = include_top
        self.valence_arousal = valence_arousal
        self.pooling = pooling
        self.width = width
        self.mirrored = mirrored
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.drop_connect = drop_connect
        self.stochastic_depth = stochastic_depth
        self.activation = blocks.activation
        self.kernel_initializer = blocks.kernel_initializer
        self._blocks = blocks
        self._own = own

        if weights is not None:
            load_weights_by_name(self, weights, skip_mismatch)

    @classmethod
    def backbone(cls, x: Any, blocks: Blocks) -> Any:
        """From pixels in [0, 1] to a feature map, both `(batch, height, width, channels)`."""
        raise NotImplementedError

    @classmethod
    def top(cls, x: Any, blocks: Blocks) -> Any:
        """From the feature map to what the heads read, `(batch, features)`."""
        x = keras.layers.GlobalAveragePooling2D(
            data_format=CHANNELS_LAST, dtype=blocks.policy, name="pool"
        )(x)
        return blocks.drop(x, blocks.dropout, "dropout")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this architecture again, and "frozen", the layers that do not
        train, if there are any; weights come from the saved file.
        """
        initializer = self.kernel_initializer
        frozen = frozen_layers(self)
        return {
            "input_shape": list(self.input_shape[1:]),
            "weights": None,
            "classes": list(self.class_names),
            "include_top": self.include_top,
            "valence_arousal": self.valence_arousal,
            "pooling": self.pooling,
            "width": self.width,
            **self._own,
            "mirrored": self.mirrored,
            "l1": self.l1,
            "l2": self.l2,
            "dropout": self.dropout,
            "drop_connect": self.drop_connect,
            "stochastic_depth": self.stochastic_depth,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": (
                initializer
                if isinstance(initializer, str)
                else keras.initializers.serialize(initializer)
            ),
            "name": self.name,
            "dtype": keras.dtype_policies.serialize(self._blocks.policy),
            **({"frozen": frozen} if frozen else {}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that `get_config` describes, with random weights."""
        arguments = {name: value for name, value in config.items() if name != "frozen"}
        model = cls(**arguments)
        freeze_alone(model, config.get("frozen", ()))
        return model
