"""Losses of emotion, valence and arousal for `model.compile`, in which labels may be missing.

A missing label is NaN in valence or arousal, and a row of zeros in an emotion. It is left out
before anything is computed of it, and losses are means over what is there; so one fit can mix
data sets that have one kind of label with others that have both. After `augmentation.Mixup` a row
holds as much of a label as was mixed in: rows of emotion whose sum is below 1, and sample weights
of valence and arousal.

    model.compile(
        loss={
            "emotion": keras_affect.losses.MaskedCategoricalCrossentropy(),
            "valence_arousal": keras_affect.losses.ConcordanceLoss(),
        },
    )
"""

from keras_affect.losses.concordance import ConcordanceLoss
from keras_affect.losses.label_distribution import LabelDistributionLoss
from keras_affect.losses.masked import MaskedCategoricalCrossentropy, MaskedMeanSquaredError

__all__ = [
    "ConcordanceLoss",
    "LabelDistributionLoss",
    "MaskedCategoricalCrossentropy",
    "MaskedMeanSquaredError",
]
