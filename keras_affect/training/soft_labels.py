"""Labels that teachers have a share of, for a training that does not ask them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from keras_affect.datasets.ferplus import Labelled
from keras_affect.ensembles import Ensemble

__all__ = ["with_answers"]

_BATCH = 256


def with_answers(labelled: Labelled, teacher: Any, share: float) -> Labelled:
    """Labels and what a teacher says of the pictures, as they are and mirrored, averaged.

    Cross-entropy and squared error against such labels have the gradients of `share` times that
    against the teacher and `1 - share` times that against the labels.

    Args:
        labelled: Pictures with shares of the eight emotions, valence and arousal.
        teacher: A model of these emotions that returns a dict, as those of `keras_affect.models`;
            where it gives no "valence_arousal", these stay as they are.
        share: The teacher's, in [0, 1].
    """
    both = Ensemble([teacher], flips=True, name="teacher_and_mirror")
    data = labelled.data
    parts = []
    for start in range(0, len(data), _BATCH):
        chosen = range(start, min(start + _BATCH, len(data)))
        images = np.stack([data.picture(index) for index in chosen]).astype(np.float32)
        parts.append(both.predict_on_batch(images))
    answers = {
        name: np.concatenate([np.asarray(part[name], np.float32) for part in parts])
        for name in parts[0]
    }
    emotion = answers["emotion"]
    emotion /= emotion.sum(axis=1, keepdims=True)  # in bfloat16 they sum to 1 only nearly
    points = answers.get("valence_arousal", labelled.valence_arousal)
    return replace(
        labelled,
        emotion=((1 - share) * labelled.emotion + share * emotion).astype(np.float32),
        valence_arousal=((1 - share) * labelled.valence_arousal + share * points).astype(
            np.float32
        ),
    )
