"""What a camera does to a picture once light has fallen on it: blur and JPEG's loss.

Each picture has a strength of its own, and a whole batch is done by TensorFlow's operators: the
codec itself, called picture by picture, takes longer than training a small network.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["blurred", "compressed"]

# Quantisation of luminance, ITU-T T.81 table K.1, by vertical and horizontal frequency.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)


def _cosines() -> np.ndarray:
    """The orthonormal discrete cosine transform of 8 samples, `(frequency, place)`."""
    frequency, place = np.mgrid[0:8, 0:8]
    rows = np.cos((2 * place + 1) * frequency * np.pi / 16) / 2
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


_COSINES = _cosines()


def blurred(images: tf.Tensor, deviations: tf.Tensor, largest: float) -> tf.Tensor:
    """Pictures under Gaussian blur, their borders reflected.

    Args:
        images: float32 `(batch, height, width, channels)`.
        deviations: float32 `(batch,)`, each picture's standard deviation in pixels, 0 or more.
        largest: A number that no deviation is above; what lies further than three times as far
            is left out.
    """
    reach = max(1, int(np.ceil(3 * largest)))
    places = tf.range(-reach, reach + 1, dtype=tf.float32)
    # A deviation of 0 leaves the middle alone: exp(-inf) is 0.
    scaled = places[None] / tf.maximum(deviations[:, None], 1e-3)
    weights = tf.exp(-0.5 * tf.square(scaled))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    for axis in (1, 2):
        padding = [[reach, reach] if i == axis else [0, 0] for i in range(4)]
        padded = tf.pad(images, padding, "SYMMETRIC")
        size = tf.shape(images)[axis]
        total = tf.zeros_like(images)
        for step in range(2 * reach + 1):
            part = padded[:, step : step + size] if axis == 1 else padded[:, :, step : step + size]
            total += part * weights[:, step, None, None, None]
        images = total
    return images


def compressed(images: tf.Tensor, qualities: tf.Tensor) -> tf.Tensor:
    """Pictures as JPEG gives them back, each channel as luminance.

    Args:
        images: float32 `(batch, height, width, channels)` in [0, 255].
        qualities: float32 `(batch,)`, libjpeg's quality, from 1 to 100.

    Returns:
        float32 in [0, 255], whole numbers.

    Reference:
        ITU-T T.81 (1992), annexes A and K; quality scales the table as libjpeg does.
    """
    shape = tf.shape(images)
    height, width, channels = shape[1], shape[2], shape[3]
    # Whole blocks of 8: what is added at the right and below is cut off again.
    down, right = -height % 8, -width % 8
    padded = tf.pad(images, [[0, 0], [0, down], [0, right], [0, 0]], "SYMMETRIC")
    rows, columns = (height + down) // 8, (width + right) // 8
    # Channels beside the batch: each picture's table is broadcast over them and over the blocks.
    planes = tf.transpose(tf.round(padded) - 128.0, (0, 3, 1, 2))
    blocks = tf.reshape(planes, (-1, channels, rows, 8, columns, 8))
    frequencies = tf.einsum("ui,bcrixj,vj->bcruxv", _COSINES, blocks, _COSINES)
    scale = tf.where(qualities < 50, 5000.0 / qualities, 200.0 - 2.0 * qualities)
    table = tf.floor((_LUMINANCE * scale[:, None, None] + 50.0) / 100.0)
    table = tf.clip_by_value(table, 1.0, 255.0)[:, None, None, :, None, :]
    kept = tf.round(frequencies / table) * table
    blocks = tf.einsum("ui,bcruxv,vj->bcrixj", _COSINES, kept, _COSINES)
    planes = tf.reshape(blocks, (-1, channels, height + down, width + right))
    whole = tf.transpose(planes, (0, 2, 3, 1))[:, :height, :width] + 128.0
    return tf.clip_by_value(tf.round(whole), 0.0, 255.0)
