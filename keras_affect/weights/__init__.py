"""The trained weights that ship in the wheel, and their catalog. No Keras in here."""

from keras_affect.weights.catalog import Entry, entries, find

__all__ = ["Entry", "entries", "find"]
