"""Parameters and multiply-adds of each architecture, by hand from the papers' tables.

At 48x48x1 with eight classes. Nothing here asks Keras or the package.
"""

from __future__ import annotations


class Count:
    """Adds up layers: `parameters`, and `multiply_adds` of convolutions and dense layers."""

    def __init__(self) -> None:
        self.parameters = 0
        self.multiply_adds = 0

    def convolution(self, kernel: int, before: int, after: int, side: int, normalized: bool) -> int:
        """A square kernel whose outputs are `side` x `side`; a bias, or four numbers a channel."""
        weights = kernel * kernel * before * after
        self.parameters += weights + (4 if normalized else 1) * after
        self.multiply_adds += weights * side * side
        return after

    def dense(self, before: int, after: int) -> int:
        self.parameters += (before + 1) * after
        self.multiply_adds += before * after
        return after

    def heads(self, features: int) -> tuple[int, int]:
        self.dense(features, 8)
        self.dense(features, 2)
        return self.parameters, self.multiply_adds


def lightweight_cnn(
    width: float = 1.0, stem_convolutions: int = 1, mirrored: bool = False
) -> tuple[int, int]:
    count = Count()
    # Multiples of eight, halves up.
    first, second, third = (8 * int(width * channels / 8 + 0.5) for channels in (32, 64, 88))
    before = count.convolution(3, 1, first, 48, True)
    for _ in range(stem_convolutions - 1):
        count.convolution(3, first, first, 48, True)
    for after, side in ((first, 24), (second, 12), (third, 6)):
        if after != before:
            count.convolution(1, before, after, side, True)
        count.convolution(3, before, after, side, True)
        for _ in range(3):
            count.convolution(3, after, after, side, True)
        before = after
    # Convolutions see the mirror image too, the heads the mean of both.
    count.multiply_adds *= 2 if mirrored else 1
    return count.heads(before)


def resnet18() -> tuple[int, int]:
    count = Count()
    before = count.convolution(7, 1, 64, 48, True)
    for after, side in ((64, 24), (128, 12), (256, 6), (512, 3)):
        if after != before:
            count.convolution(1, before, after, side, True)
        for source in (before, after, after, after):
            count.convolution(3, source, after, side, True)
        before = after
    return count.heads(before)


def resnet50() -> tuple[int, int]:
    count = Count()
    before = count.convolution(7, 1, 64, 48, True)
    for narrow, blocks, side in ((64, 3, 24), (128, 4, 12), (256, 6, 6), (512, 3, 3)):
        count.convolution(1, before, 4 * narrow, side, True)
        for _ in range(blocks):
            count.convolution(1, before, narrow, side, True)
            count.convolution(3, narrow, narrow, side, True)
            before = count.convolution(1, narrow, 4 * narrow, side, True)
    return count.heads(before)


def alexnet() -> tuple[int, int]:
    count = Count()
    # 48 -> 24 by the stride; 11, 5, 2 by windows of three at stride two.
    count.convolution(11, 1, 96, 24, True)
    count.convolution(5, 96, 256, 11, True)
    count.convolution(3, 256, 384, 5, False)
    count.convolution(3, 384, 384, 5, False)
    count.convolution(3, 384, 256, 5, False)
    count.dense(2 * 2 * 256, 4096)
    return count.heads(count.dense(4096, 4096))


def _vgg(groups: tuple[tuple[int, int], ...], side: int, units: int) -> tuple[int, int]:
    count = Count()
    before = 1
    for channels, convolutions in groups:
        for _ in range(convolutions):
            before = count.convolution(3, before, channels, side, False)
        side //= 2
    count.dense(side * side * before, units)
    return count.heads(count.dense(units, units))


def vgg13() -> tuple[int, int]:
    return _vgg(((64, 2), (128, 2), (256, 3), (256, 3)), 64, 1024)


def vgg16() -> tuple[int, int]:
    return _vgg(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 48, 4096)


def googlenet() -> tuple[int, int]:
    count = Count()
    count.convolution(7, 1, 64, 48, True)
    count.convolution(1, 64, 64, 24, False)
    before = count.convolution(3, 64, 192, 24, True)
    # Columns of the paper's table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
    for side, row in (
        (12, (64, 96, 128, 16, 32, 32)),
        (12, (128, 128, 192, 32, 96, 64)),
        (6, (192, 96, 208, 16, 48, 64)),
        (6, (160, 112, 224, 24, 64, 64)),
        (6, (128, 128, 256, 24, 64, 64)),
        (6, (112, 144, 288, 32, 64, 64)),
        (6, (256, 160, 320, 32, 128, 128)),
        (3, (256, 160, 320, 32, 128, 128)),
        (3, (384, 192, 384, 48, 128, 128)),
    ):
        one, before_three, three, before_five, five, pooled = row
        count.convolution(1, before, one, side, False)
        count.convolution(1, before, before_three, side, False)
        count.convolution(3, before_three, three, side, False)
        count.convolution(1, before, before_five, side, False)
        count.convolution(5, before_five, five, side, False)
        count.convolution(1, before, pooled, side, False)
        before = one + three + five + pooled
    return count.heads(before)


def temporal_affect() -> tuple[int, int]:
    """An LSTM of 64 units over LightweightCNN's features; multiply-adds of one frame."""
    encoder = Count()
    encoder.heads(88)
    parameters, multiply_adds = lightweight_cnn()
    count = Count()
    count.parameters = parameters - encoder.parameters
    count.multiply_adds = multiply_adds - encoder.multiply_adds
    for _ in ("into", "forget", "candidate", "out"):
        # Each gate reads the features and the last output at once.
        count.dense(88 + 64, 64)
    return count.heads(64)


COUNTS = {
    "AlexNet": alexnet,
    "GoogLeNet": googlenet,
    "LightweightCNN": lightweight_cnn,
    "ResNet18": resnet18,
    "ResNet50": resnet50,
    "VGG13": vgg13,
    "VGG16": vgg16,
}

#: Models of clips, counted by the frame.
OF_CLIPS = {"TemporalAffect": temporal_affect}


if __name__ == "__main__":
    for name, by_hand in {**COUNTS, **OF_CLIPS}.items():
        parameters, multiply_adds = by_hand()
        print(f"{name}: {parameters:,} parameters, {multiply_adds / 1e6:.1f} million multiply-adds")
