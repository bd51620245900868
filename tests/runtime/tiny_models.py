"""Small models with known weights, as Keras models and as the files made of them."""

from __future__ import annotations

import functools
import io
import json
import warnings
import zipfile
from typing import Any

import numpy as np

from keras_affect import emotions

SHAPE = (48, 48, 1)


def faces(count: int, seed: int = 0) -> np.ndarray:
    """uint8 `(count, 48, 48, 1)`: smooth pictures that differ, from 0 to 255."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (count, 6, 6))
    rows = np.linspace(0, 5, 48)
    weights = np.maximum(0, 1 - abs(rows[:, None] - np.arange(6)))  # linear interpolation
    smooth = np.einsum("yi,nij,xj->nyx", weights, coarse, weights)
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return np.rint(255 * (smooth - low) / (high - low)).astype(np.uint8)[..., None]


@functools.cache
def keras_model(two_heads: bool = True, channels: int = 1, seed: int = 7) -> Any:
    """A model whose outputs vary much from picture to picture."""
    import keras

    init = functools.partial(keras.initializers.RandomNormal, seed=seed)
    image = keras.Input((*SHAPE[:2], channels), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", kernel_initializer=init(stddev=0.5))(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    head = functools.partial(keras.layers.Dense, kernel_initializer=init(stddev=0.2))
    outputs = {"emotion": head(8, activation="softmax", name="emotion")(x)}
    if two_heads:
        outputs["valence_arousal"] = head(2, activation="tanh", name="valence_arousal")(x)
    return keras.Model(image, outputs)


@functools.cache
def flatbuffer(
    two_heads: bool = True, channels: int = 1, int8: bool = False, fixed_batch: int | None = None
) -> bytes:
    """`keras_model`, converted, with nothing behind it."""
    import keras
    import tensorflow as tf

    model = keras_model(two_heads, channels)
    if fixed_batch is not None:
        image = keras.Input(model.input_shape[1:], batch_size=fixed_batch, name="image")
        model = keras.Model(image, model(image))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if int8:
        images = [image[None].astype(np.float32) for image in faces(64, seed=1)]
        images += [np.full((1, *SHAPE), value, np.float32) for value in (0, 255)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    with warnings.catch_warnings():
        # TensorFlow's own, of a setting that its calibration has no use for.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        return converter.convert()


def with_files(content: bytes, **files: str) -> bytes:
    """A flatbuffer with a ZIP archive behind it; the last `_` of a name stands for its dot."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, text in files.items():
            archive.writestr(".".join(name.rsplit("_", 1)), text)
    return buffer.getvalue()


def described(content: bytes, **fields: Any) -> bytes:
    """A flatbuffer with the package's metadata behind it."""
    facts = {
        "format": 1,
        "class_names": list(emotions.NAMES),
        "input": {"height": 48, "width": 48, "channels": 1, "range": [0, 255], "dtype": "uint8"},
        "licence": "Apache-2.0",
    } | fields
    names = "".join(f"{name}\n" for name in facts["class_names"])
    return with_files(content, labels_txt=names, keras_affect_json=json.dumps(facts))
