"""The students of the papers beside ConvNet and ResNet: MLP, LeNet, AlexNet, VGG-11 (Zhao et al., ICLR 2021).

Images of 8 to 64 pixels with any number of channels. Grey images of 28 pixels are padded to 32 in the first layer; at
64 pixels, the first layer of LeNet and AlexNet and a last pooling of VGG have stride 2. Small images are pooled less:
nothing would be left, and instance norm of one pixel is zero whatever it shows. PyTorch's default initialisation.
Widths scale all layers of a net in proportion to its first.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ddbench.models.convnet import NORMS
from ddbench.models.names import ArchName

VGG11 = ((1,), (2,), (4, 4), (8, 8), (8, 8))
"""Widths of the convolutions between poolings, as multiples of the first."""

LARGE = 64
"""Pixels from which the first layer of LeNet, AlexNet and ResNet, and VGG's last one, take every second one."""


class Classifier(nn.Module):
    """A body and a last linear layer.

    Args:
        body: Images → features of any shape.
        features: Their number.
        classes: K.
    """

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.features = body
        self.classifier = nn.Linear(features, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] → the flattened input of the classifier [n, D]."""
        return cast("Tensor", self.features(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] → logits [n, K]."""
        return cast("Tensor", self.classifier(self.embed(x)))


class Stack:
    """Layers under construction, and the side of the map that they leave.

    Args:
        channels: Image channels.
        size: Height = width of the images [pixels].
        norm: A key of ``NORMS``.
    """

    def __init__(self, channels: int, size: int, norm: str = "nn") -> None:
        self.layers: list[nn.Module] = []
        self.channels, self.size = channels, size
        self._norm = NORMS[norm]

    @property
    def features(self) -> int:
        """Numbers in the map."""
        return self.channels * self.size * self.size

    def conv(self, width: int, kernel: int, padding: int, stride: int = 1) -> Stack:
        """Convolution, norm, ReLU."""
        self.layers.append(nn.Conv2d(self.channels, width, kernel, stride=stride, padding=padding))
        if self._norm is not None:
            self.layers.append(self._norm(width))
        self.layers.append(nn.ReLU(inplace=True))
        self.channels, self.size = width, (self.size + 2 * padding - kernel) // stride + 1
        return self

    def pool(self, *, last: bool = False) -> Stack:
        """Max pooling 2×2, if at least two pixels a side are left for the layers that follow (the last leaves one)."""
        if self.size >= (2 if last else 4):
            self.layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            self.size //= 2
        return self


def first_padding(channels: int, size: int, usual: int) -> int:
    """Padding of a first layer: two more for grey images of 28 pixels, which become 32."""
    return usual + 2 if (channels, size) == (1, 28) else usual


def mlp(name: ArchName, *, channels: int, classes: int, size: int) -> Classifier:
    """Flatten → width → width → K, with ReLU."""
    width = name.width
    hidden = nn.Sequential(
        nn.Flatten(), nn.Linear(channels * size * size, width), nn.ReLU(inplace=True), nn.Linear(width, width),
        nn.ReLU(inplace=True),
    )  # fmt: skip
    return Classifier(hidden, width, classes)


def lenet(name: ArchName, *, channels: int, classes: int, size: int) -> Classifier:
    """Conv 6 (5×5), pool, conv 16 (5×5), pool, linear 120, linear 84; maps too small for 5×5 are padded by 2."""
    width = name.width
    first = 0 if size >= 32 else 2  # 28 → 28, as the authors do for MNIST
    stack = Stack(channels, size).conv(width, 5, first, stride=2 if size >= LARGE else 1).pool()
    stack.conv(max(1, width * 16 // 6), 5, 0 if stack.size >= 10 else 2).pool(last=True)
    hidden, last = width * 120 // 6, width * 84 // 6
    body = nn.Sequential(
        *stack.layers, nn.Flatten(), nn.Linear(stack.features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, last),
        nn.ReLU(inplace=True),
    )  # fmt: skip
    return Classifier(body, last, classes)


def alexnet(name: ArchName, *, channels: int, classes: int, size: int) -> Classifier:
    """Conv 128 (5×5), pool, conv 192 (5×5), pool, conv 256, 192, 192 (3×3), pool."""
    scaled = [max(1, name.width * channels_ // 128) for channels_ in (128, 192, 256, 192, 192)]
    stack = Stack(channels, size, name.norm)
    stack.conv(scaled[0], 5, first_padding(channels, size, 2), stride=2 if size >= LARGE else 1).pool()
    stack.conv(scaled[1], 5, 2).pool()
    for width in scaled[2:]:
        stack.conv(width, 3, 1)
    stack.pool(last=True)
    return Classifier(nn.Sequential(*stack.layers), stack.features, classes)


def vgg11(name: ArchName, *, channels: int, classes: int, size: int) -> Classifier:
    """64, pool, 128, pool, 256, 256, pool, 512, 512, pool, 512, 512, pool; all 3×3."""
    stack = Stack(channels, size, name.norm)
    padding = first_padding(channels, size, 1)
    for number, stage in enumerate(VGG11, 1):
        for factor in stage:
            stack.conv(name.width * factor, 3, padding)
            padding = 1
        stack.pool(last=number == len(VGG11))
    if size >= LARGE:  # 2 × 2 left: every second pixel, as PAD's networks for TinyImageNet
        stack.layers.append(nn.AvgPool2d(kernel_size=1, stride=2))
        stack.size = (stack.size + 1) // 2
    return Classifier(nn.Sequential(*stack.layers), stack.features, classes)
