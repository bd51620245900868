"""Inputs for docs/coming-from-tensorflow-addons.md, and what TensorFlow Addons makes of them.

The page's cells run on the same inputs, which it makes by the same rules; its test compares the
two. Whole numbers divided by powers of 2 or rounded once are the same on any machine.

`connected_components`, `euclidean_dist_transform` and `resampler` are not here: their operators
want CUDA's library, and do not load without it.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

L = tfa.layers


def _scattered(*shape: int) -> np.ndarray:
    """Numbers in [-1, 1), no two alike up to 255 of them."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 37 % 256) / 128 - 1).reshape(shape).astype("float32")


def inputs() -> dict[str, np.ndarray]:
    """By the names that they have on the page."""
    one_hot = np.eye(4, dtype="float32")[[0, 1, 2, 3, 1, 2]]
    # Right in some rows, wrong in others.
    probabilities = _scattered(6, 4) + 1.125 + one_hot
    return {
        "x": 3 * _scattered(4, 6),
        "images": np.rint((_scattered(2, 8, 8, 3) + 1) * 127).astype("float32"),
        "maps": _scattered(2, 4, 4, 6),
        "sequences": _scattered(2, 5, 3),
        "one_hot": one_hot,
        "probabilities": probabilities / probabilities.sum(axis=1, keepdims=True),
        "targets": (_scattered(6, 2)[::-1] + 1) / 2,
        "predictions": (_scattered(6, 2) + 1) / 2,
        "classes": np.array([0, 0, 1, 1, 2, 2]),
        "embeddings": _scattered(6, 3),
        "boxes": np.array([[1, 2, 5, 6], [0, 0, 4, 4], [2, 2, 3, 3]], "float32"),
        "other_boxes": np.array([[2, 3, 6, 8], [0, 1, 4, 3], [5, 5, 7, 7]], "float32"),
        "weights": _scattered(2, 3),
        "gradients": _scattered(4, 2, 3)[::-1].copy(),
    }


def expected() -> dict[str, np.ndarray]:
    """What each function gives, by its name."""
    return {name: np.asarray(function()) for name, function in _functions(**inputs()).items()}


def _steps(optimizer: object, weights: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    variable = tf.Variable(weights)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
    return variable.numpy()


def _measured(metric: object, *values: np.ndarray) -> np.ndarray:
    metric.update_state(*values)
    return metric.result().numpy()


def _filled(layer: object, sequences: np.ndarray) -> np.ndarray:
    """A recurrent layer's outputs with weights that are a rule, too."""
    layer(sequences)
    layer.set_weights([_scattered(*weight.shape) for weight in layer.get_weights()])
    return layer(sequences).numpy()


def _functions(
    x, images, maps, sequences, one_hot, probabilities, targets, predictions, classes,
    embeddings, boxes, other_boxes, weights, gradients,
):  # fmt: skip
    a, i, lo, m, o, r = (
        tfa.activations, tfa.image, tfa.losses, tfa.metrics, tfa.optimizers, tfa.rnn,
    )  # fmt: skip
    first, second = images
    centres, points = [[2, 3], [7, 0]], np.array([[[0.5, 1.25], [6, 3.5]]] * 2, "float32")
    pooled, places = tf.nn.max_pool_with_argmax(maps, 2, 2, "SAME")
    positive = np.abs(x) + 0.5
    sgd = tf.keras.optimizers.legacy.SGD(0.1)

    def steps(optimizer: object) -> np.ndarray:
        return _steps(optimizer, weights, gradients)

    def cell(of: object) -> np.ndarray:
        return _filled(tf.keras.layers.RNN(of), sequences)

    return {
        "tfa.activations.gelu": lambda: a.gelu(x),
        "tfa.activations.hardshrink": lambda: a.hardshrink(x),
        "tfa.activations.lisht": lambda: a.lisht(x),
        "tfa.activations.mish": lambda: a.mish(x),
        "tfa.activations.rrelu": lambda: a.rrelu(x, training=False),
        "tfa.activations.snake": lambda: a.snake(x, 2.0),
        "tfa.activations.softshrink": lambda: a.softshrink(x),
        "tfa.activations.sparsemax": lambda: a.sparsemax(x),
        "tfa.activations.tanhshrink": lambda: a.tanhshrink(x),
        "tfa.image.adjust_hsv_in_yiq": lambda: i.adjust_hsv_in_yiq(images, 0.5, 0.8, 1.1),
        "tfa.image.angles_to_projective_transforms": lambda: i.angles_to_projective_transforms(
            [0.3, -0.2], 8.0, 8.0
        ),
        "tfa.image.blend": lambda: i.blend(first, second, 0.3),
        "tfa.image.compose_transforms": lambda: i.compose_transforms(
            [[1.0, 0.5, 1, 0, 1, -2, 0, 0], [0.5, 0, 3, 0.25, 1, 0, 0, 0]]
        ),
        "tfa.image.cutout": lambda: i.cutout(images, 4, centres),
        "tfa.image.dense_image_warp": lambda: i.dense_image_warp(
            images, 0.5 * maps[:, :1, :1, :2] + np.zeros((2, 8, 8, 2), "float32")
        ),
        "tfa.image.gaussian_filter2d": lambda: i.gaussian_filter2d(images),
        "tfa.image.interpolate_bilinear": lambda: i.interpolate_bilinear(images, points),
        "tfa.image.mean_filter2d": lambda: i.mean_filter2d(images),
        "tfa.image.median_filter2d": lambda: i.median_filter2d(images),
        "tfa.image.rotate": lambda: i.rotate(images, 0.3),
        "tfa.image.sharpness": lambda: i.sharpness(images, 1.5),
        "tfa.image.shear_x": lambda: i.shear_x(first, 0.3, [128.0] * 3),
        "tfa.image.shear_y": lambda: i.shear_y(first, 0.3, [128.0] * 3),
        "tfa.image.transform": lambda: i.transform(images, [0.5, 0, 3, 0.25, 1, 0, 0, 0]),
        "tfa.image.translate": lambda: i.translate(images, [2.0, -1.0]),
        "tfa.image.translate_xy": lambda: i.translate_xy(first, [2, -1], [128.0] * 3),
        "tfa.image.translations_to_projective_transforms": (
            lambda: i.translations_to_projective_transforms([[2.0, -1.0]])
        ),
        "tfa.layers.AdaptiveAveragePooling1D": lambda: L.AdaptiveAveragePooling1D(2)(maps[0]),
        "tfa.layers.AdaptiveAveragePooling2D": lambda: L.AdaptiveAveragePooling2D(2)(maps),
        "tfa.layers.AdaptiveAveragePooling3D": lambda: L.AdaptiveAveragePooling3D(2)(maps[None]),
        "tfa.layers.AdaptiveMaxPooling1D": lambda: L.AdaptiveMaxPooling1D(2)(maps[0]),
        "tfa.layers.AdaptiveMaxPooling2D": lambda: L.AdaptiveMaxPooling2D(2)(maps),
        "tfa.layers.AdaptiveMaxPooling3D": lambda: L.AdaptiveMaxPooling3D(2)(maps[None]),
        "tfa.layers.FilterResponseNormalization": lambda: L.FilterResponseNormalization()(maps),
        "tfa.layers.GroupNormalization": lambda: L.GroupNormalization(3)(maps),
        "tfa.layers.InstanceNormalization": lambda: L.InstanceNormalization()(maps),
        "tfa.layers.MaxUnpooling2D": lambda: L.MaxUnpooling2D()(pooled, places),
        "tfa.layers.MaxUnpooling2DV2": lambda: L.MaxUnpooling2DV2((2, 4, 4, 6))(pooled, places),
        "tfa.layers.Maxout": lambda: L.Maxout(3)(x),
        "tfa.layers.SpatialPyramidPooling2D": lambda: L.SpatialPyramidPooling2D([1, 2])(maps),
        "tfa.layers.StochasticDepth": lambda: L.StochasticDepth(0.8)([x, x**2], training=False),
        "tfa.layers.TLU": lambda: L.TLU(tau_initializer=tf.keras.initializers.Constant(-0.5))(maps),
        "tfa.losses.contrastive_loss": lambda: lo.contrastive_loss(classes % 2, predictions[:, 0]),
        "tfa.losses.giou_loss": lambda: lo.giou_loss(boxes, other_boxes),
        "tfa.losses.lifted_struct_loss": lambda: lo.lifted_struct_loss(
            tf.constant(classes), tf.constant(embeddings)
        ),
        "tfa.losses.npairs_loss": lambda: lo.npairs_loss(classes, embeddings @ embeddings.T),
        "tfa.losses.npairs_multilabel_loss": lambda: lo.npairs_multilabel_loss(
            one_hot + one_hot[::-1], embeddings @ embeddings.T
        ),
        "tfa.losses.pinball_loss": lambda: lo.pinball_loss(targets, predictions, 0.25),
        "tfa.losses.sigmoid_focal_crossentropy": lambda: lo.sigmoid_focal_crossentropy(
            one_hot, probabilities
        ),
        "tfa.losses.sparsemax_loss": lambda: lo.SparsemaxLoss()(one_hot, 4 * probabilities),
        "tfa.losses.triplet_hard_loss": lambda: lo.triplet_hard_loss(classes, embeddings),
        "tfa.losses.triplet_semihard_loss": lambda: lo.triplet_semihard_loss(classes, embeddings),
        "tfa.losses.WeightedKappaLoss": lambda: lo.WeightedKappaLoss(4)(one_hot, probabilities),
        "tfa.metrics.CohenKappa": lambda: _measured(m.CohenKappa(4), one_hot, probabilities),
        "tfa.metrics.F1Score": lambda: _measured(m.F1Score(4, "macro"), one_hot, probabilities),
        "tfa.metrics.FBetaScore": lambda: _measured(
            m.FBetaScore(4, "macro", 2.0), one_hot, probabilities
        ),
        "tfa.metrics.GeometricMean": lambda: _measured(m.GeometricMean(), positive),
        "tfa.metrics.HammingLoss": lambda: _measured(
            m.HammingLoss("multilabel", threshold=0.25), one_hot, probabilities
        ),
        "tfa.metrics.HarmonicMean": lambda: _measured(m.HarmonicMean(), positive),
        "tfa.metrics.KendallsTauB": lambda: _measured(
            m.KendallsTauB(), targets[:, 0], predictions[:, 1]
        ),
        "tfa.metrics.MatthewsCorrelationCoefficient": lambda: _measured(
            m.MatthewsCorrelationCoefficient(4), one_hot, probabilities
        ),
        "tfa.metrics.MeanMetricWrapper": lambda: _measured(
            m.MeanMetricWrapper(tf.keras.losses.mean_squared_error), targets, predictions
        ),
        "tfa.metrics.MultiLabelConfusionMatrix": lambda: _measured(
            m.MultiLabelConfusionMatrix(4), one_hot, (probabilities > 0.25).astype("float32")
        ),
        "tfa.metrics.RSquare": lambda: _measured(m.RSquare(), targets, predictions),
        "tfa.metrics.SpearmansRank": lambda: _measured(
            m.SpearmansRank(), targets[:, 0], predictions[:, 1]
        ),
        "tfa.metrics.hamming_distance": lambda: m.hamming_distance(classes, classes[::-1]),
        "tfa.optimizers.AdaBelief": lambda: steps(o.AdaBelief(0.1, rectify=False)),
        "tfa.optimizers.AdamW": lambda: steps(o.AdamW(weight_decay=0.01, learning_rate=0.1)),
        "tfa.optimizers.COCOB": lambda: steps(o.COCOB()),
        "tfa.optimizers.ConditionalGradient": lambda: steps(o.ConditionalGradient(0.9, 0.5)),
        "tfa.optimizers.CyclicalLearningRate": lambda: [
            o.CyclicalLearningRate(0.1, 0.5, 4, lambda cycle: 1 / cycle)(step) for step in range(20)
        ],
        "tfa.optimizers.LAMB": lambda: steps(o.LAMB(0.1)),
        "tfa.optimizers.LazyAdam": lambda: steps(o.LazyAdam(0.1)),
        "tfa.optimizers.Lookahead": lambda: steps(o.Lookahead(sgd, sync_period=3)),
        "tfa.optimizers.NovoGrad": lambda: steps(o.NovoGrad(0.1)),
        "tfa.optimizers.ProximalAdagrad": lambda: steps(
            o.ProximalAdagrad(0.1, l1_regularization_strength=0.2, l2_regularization_strength=0.1)
        ),
        "tfa.optimizers.RectifiedAdam": lambda: steps(o.RectifiedAdam(0.1, beta_2=0.5)),
        "tfa.optimizers.SGDW": lambda: steps(o.SGDW(weight_decay=0.01, learning_rate=0.1)),
        "tfa.optimizers.Yogi": lambda: steps(o.Yogi(0.1)),
        "tfa.rnn.LayerNormLSTMCell": lambda: cell(r.LayerNormLSTMCell(4)),
        "tfa.rnn.LayerNormSimpleRNNCell": lambda: cell(r.LayerNormSimpleRNNCell(4)),
        "tfa.rnn.NASCell": lambda: cell(r.NASCell(4)),
        "tfa.rnn.PeepholeLSTMCell": lambda: cell(r.PeepholeLSTMCell(4)),
    }
