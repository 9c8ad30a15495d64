"""ConvNet: the network of the distillation papers (Gidaris & Komodakis, CVPR 2018, as used by Zhao et al., ICLR 2021).

D blocks of conv 3×3 (bias on) → norm → ReLU → average pooling 2×2, then one linear layer; PyTorch's default
initialisation. Instance norm is group norm with one channel per group (affine, eps 1e-5): no running statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ddbench.core.errors import UsageError
from ddbench.models.fused import bf16
from ddbench.models.fused import block as fused
from ddbench.models.fused.tape import Loss, Tape
from ddbench.models.names import ArchName, too_few_pixels

NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "in": lambda width: nn.GroupNorm(width, width),
    "bn": nn.BatchNorm2d,
    "nn": None,
}


class ConvNet(nn.Module):
    """The network.

    Args:
        depth: D, number of blocks, ≥ 1.
        width: Channels of every block.
        norm: A key of ``NORMS``.
        channels: Image channels.
        classes: K.
        size: Height = width of the images [pixels]; at least one pixel must be left after D halvings.
    """

    def __init__(self, depth: int, width: int, norm: str, *, channels: int, classes: int, size: int) -> None:
        super().__init__()
        make_norm = NORMS[norm]
        layers: list[nn.Module] = []
        for block in range(depth):
            # MNIST-like images grow to 32 pixels in the first layer, so that every benchmark halves the same way.
            padding = 3 if block == 0 and channels == 1 and size == 28 else 1
            layers.append(nn.Conv2d(channels if block == 0 else width, width, kernel_size=3, padding=padding))
            if make_norm is not None:
                layers.append(make_norm(width))
            layers += [nn.ReLU(inplace=True), nn.AvgPool2d(kernel_size=2, stride=2)]
            size = (size + 2 * padding - 2) // 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width * size * size, classes)

    @property
    def fused(self) -> bool:
        """Whether norm, ReLU and pooling of a block are one operation now; within ``torch.func`` they never are."""
        return fused.in_use() and self._fusible

    @property
    def _fusible(self) -> bool:
        """Whether each block is what the operation does, and nobody listens to the modules that it would pass over."""
        parts = list(self.features)
        return len(parts) % 4 == 0 and all(
            type(conv) is nn.Conv2d
            and type(norm) is nn.GroupNorm
            and norm.num_groups == norm.num_channels
            and type(relu) is nn.ReLU
            and type(pool) is nn.AvgPool2d
            and (pool.kernel_size, pool.stride, pool.padding) == (2, 2, 0)
            and not any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in rest)
            for conv, *rest in zip(*(parts[i::4] for i in range(4)), strict=True)
            for norm, relu, pool in [rest]
        )

    def embed(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] → the flattened input of the classifier [n, D]."""
        if not fused.used() and self._fusible:
            fused.note_use()  # or would be: results of either engine are its own
        if not (fused.serves(x) and self._fusible):
            return cast("Tensor", self.features(x)).flatten(1)
        half = x.dtype == torch.float32 and fused.trains_in_bf16()
        for conv, norm in zip(self.features[::4], self.features[1::4], strict=True):
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.GroupNorm)
            if half:
                x = bf16.block(x, conv, norm)
            else:
                x = fused.norm_relu_pool(conv(x), norm.weight, norm.bias, norm.eps)
        return x.float().flatten(1) if half else x.flatten(1)

    def tape(self, parameters: Sequence[Tensor], images: Tensor, labels: Tensor, loss: Loss) -> Tape | None:
        """The gradient of a loss at other parameters than its own, to be differentiated again; None if not fused.

        Args:
            parameters: Like :meth:`parameters`.
            images: [b, C, H, W].
            labels: [b] int64 classes, or [b, K] floats.
            loss: Of logits and labels.
        """
        if not (fused.serves(images) and self._fusible):
            return None
        paddings = [cast("int", cast("nn.Conv2d", conv).padding[0]) for conv in self.features[::4]]
        return Tape(parameters, paddings, cast("nn.GroupNorm", self.features[1]).eps, images, labels, loss)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, C, H, W] → logits [n, K]."""
        return cast("Tensor", self.classifier(self.embed(x)))


def build(name: ArchName, *, channels: int, classes: int, size: int) -> ConvNet:
    """The ConvNet called ``name``; its base ends in the depth.

    Raises:
        UsageError: If ``size`` pixels cannot be halved as often as the net is deep.
    """
    if (why := too_few_pixels(name, channels=channels, size=size)) is not None:
        raise UsageError(why)
    depth = int(name.base.removeprefix("convnet"))
    return ConvNet(depth, name.width, name.norm, channels=channels, classes=classes, size=size)
