"""A `TemporalAffect` that learnt, on the weights that ship, and clips for it.

int8 is about ranges, and a network of random weights has others than one that was trained.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from keras_affect.datasets import synthetic

#: Frames of a clip, and of the faces that turn into one another in it.
FRAMES, STAY = 64, 8


@functools.cache
def drawn_clips(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Frames uint8 `(count, 64, 48, 48, 1)`, and labels as `TemporalAffect` learns them.

    Drawn faces turn into one another, in noise. What is to be learnt of valence and arousal needs
    a state: the mean over what was seen, older frames counting less.
    """
    rng = np.random.default_rng(seed)
    faces, labels = synthetic.arrays(count * (FRAMES // STAY + 1), seed)
    faces = faces.reshape(count, -1, *faces.shape[1:]).astype(np.float64)
    points = labels["valence_arousal"].reshape(count, -1, 2)
    place = np.arange(FRAMES) // STAY
    turned = np.clip(np.arange(FRAMES) % STAY / (STAY / 2), 0, 1)[:, None]
    share = turned[..., None, None]
    frames = (1 - share) * faces[:, place] + share * faces[:, place + 1]
    frames = np.clip(np.rint(frames + rng.normal(0, 8, frames.shape)), 0, 255).astype(np.uint8)
    course = (1 - turned) * points[:, place] + turned * points[:, place + 1]
    for frame in range(1, FRAMES):
        course[:, frame] = 0.8 * course[:, frame - 1] + 0.2 * course[:, frame]
    emotion = labels["emotion"].reshape(count, -1, 8)[:, -1]
    return frames, {"emotion": emotion, "valence_arousal": course.astype(np.float32)}


def trained(clips: int = 24, epochs: int = 60, seed: int = 0) -> Any:
    """The LSTM and the heads after some seconds of training; the encoder is what ships."""
    import keras

    from keras_affect import losses, models

    keras.utils.set_random_seed(seed)
    # With what keeps a network from leaning on any one number, as one would train it.
    model = models.TemporalAffect(units=32, dropout=0.3, drop_connect=0.2)
    frames, labels = drawn_clips(clips, seed)
    # The encoder learns nothing here, so it sees each frame once and not in every epoch.
    features = np.stack([model.encoder(clip.astype(np.float32), training=False) for clip in frames])
    given = keras.Input(features.shape[1:])
    dropped = model.get_layer("dropout")(given)
    each, last, _ = model.get_layer("lstm_drop_connect")(dropped)
    rest = keras.Model(
        given,
        {
            "emotion": model.get_layer("emotion")(last),
            "valence_arousal": model.get_layer("valence_arousal")(each),
        },
    )
    rest.compile(
        keras.optimizers.Adam(5e-3),
        loss={
            "emotion": losses.MaskedCategoricalCrossentropy(),
            "valence_arousal": losses.ConcordanceLoss(),
        },
        jit_compile=False,
    )
    rest.fit(features, labels, batch_size=clips, epochs=epochs, verbose=0)
    # Another model of the same weights: the layers above were called in two places.
    again = models.TemporalAffect(model.encoder, units=32, dropout=0.3, drop_connect=0.2)
    again.set_weights(model.get_weights())
    return again
