"""ResNet-18 for small images (He et al., CVPR 2016) with the 3×3 stem of CIFAR work, as in Zhao et al., ICLR 2021.

Stages of width w, 2w, 4w, 8w, two basic blocks each; convolutions without bias; instance norm by default. ``ap``: where
a block halves the map, a convolution of stride 1 is followed by average pooling 2×2, and the last map is not pooled.
Maps of two pixels a side are not halved: instance norm of one pixel is zero whatever it shows. The stem has stride 2
from 64 pixels on, and pads grey images of 28 pixels to 32 like all nets here; the authors' stem keeps 28, and their
``ap`` net thus ends in 3 × 3 pixels where ours ends in 4 × 4.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ddbench.models.convnet import NORMS
from ddbench.models.mlp_lenet_alexnet_vgg import LARGE, Classifier, first_padding
from ddbench.models.names import ArchName

BLOCKS = 2
STAGES = 4


class Block(nn.Module):
    """conv, norm, ReLU, conv, norm, plus a shortcut; then ReLU.

    Args:
        before: Channels of the input.
        width: Channels of the output.
        halve: Whether the map is halved.
        norm: A key of ``NORMS``.
        pooled: Whether halving is average pooling instead of a stride.
    """

    def __init__(self, before: int, width: int, *, halve: bool, norm: str, pooled: bool) -> None:
        super().__init__()
        stride = 2 if halve and not pooled else 1
        pool: list[nn.Module] = [nn.AvgPool2d(2)] if halve and pooled else []
        self.first = nn.Sequential(
            nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False), *_norm(norm, width), nn.ReLU(), *pool
        )
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), *_norm(norm, width))
        self.shortcut = nn.Sequential()
        if halve or before != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, width, 1, stride=stride, bias=False), *pool, *_norm(norm, width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[n, before, H, W] → [n, width, H', W']."""
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


def _norm(norm: str, width: int) -> list[nn.Module]:
    make = NORMS[norm]
    return [] if make is None else [make(width)]


def resnet18(name: ArchName, *, channels: int, classes: int, size: int) -> Classifier:
    """The ResNet-18 called ``name``."""
    width, pooled = name.width, name.variant == "ap"
    stride, padding = (2 if size >= LARGE else 1), first_padding(channels, size, 1)
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, stride=stride, padding=padding, bias=False), *_norm(name.norm, width), nn.ReLU()
    ]  # fmt: skip
    size, before = (size + 2 * padding - 3) // stride + 1, width
    for stage in range(STAGES):
        for block in range(BLOCKS):
            halve = stage > 0 and block == 0 and size > 2
            layers.append(Block(before, width << stage, halve=halve, norm=name.norm, pooled=pooled))
            before = width << stage
            if halve:
                size = size // 2 if pooled else (size + 1) // 2
    if not pooled:
        layers.append(nn.AdaptiveAvgPool2d(1))
        size = 1
    return Classifier(nn.Sequential(*layers), before * size * size, classes)
