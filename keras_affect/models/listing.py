"""Which models there are."""

from __future__ import annotations

from keras_affect.weights import architectures

__all__ = ["list_models"]


def list_models(pattern: str = "*", weights: bool = False) -> list[str]:
    """Names of the classes in `keras_affect.models`, from few multiply-adds to many.

    Args:
        pattern: As file names are matched, with ``*`` and ``?``, whatever the case. It is compared
            with the class's name, with its words for what it is ("lite"), and with its weights
            that ship, as "LightweightCNN.ferplus_v1".
        weights: Whether to list only models of which weights ship.

    Returns:
        The names; empty where nothing fits.

    Raises:
        ValueError: If `pattern` is not text.

    Example:
        >>> keras_affect.models.list_models("*lite*")
        ['LightweightCNN']
        >>> keras_affect.models.list_models("vgg*")
        ['VGG16', 'VGG13']
    """
    return [row.name for row in architectures.matching(pattern) if row.shipped or not weights]
