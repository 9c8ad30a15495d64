"""The architecture families that ddbench brings along."""

from __future__ import annotations

from ddbench.core.api import ArchInfo
from ddbench.core.plugin.hooks import hookimpl
from ddbench.core.plugin.registry import Draft

FAMILIES: tuple[ArchInfo, ...] = (
    ArchInfo(
        name="convnet",
        bases=tuple(f"convnet{depth}" for depth in range(1, 6)),
        target="ddbench.models.convnet:build",
        summary="depth × (conv 3×3, norm, ReLU, average pooling), one linear layer: the net of the distillation papers",
        dc_augmentation={"bn": "crop_noise"},
        aliases={"convnet": "convnet3"},
    ),
    ArchInfo(
        name="mlp",
        bases=("mlp",),
        target="ddbench.models.mlp_lenet_alexnet_vgg:mlp",
        summary="two hidden linear layers with ReLU",
        narrow=512,
        norms=("nn",),
    ),
    ArchInfo(
        name="lenet",
        bases=("lenet",),
        target="ddbench.models.mlp_lenet_alexnet_vgg:lenet",
        summary="LeNet-5 with ReLU and max pooling",
        width=6,
        narrow=16,
        norms=("nn",),
        aliases={"lenet5": "lenet"},
    ),
    ArchInfo(
        name="alexnet",
        bases=("alexnet",),
        target="ddbench.models.mlp_lenet_alexnet_vgg:alexnet",
        summary="AlexNet for small images: five convolutions, three max poolings, one linear layer",
        norms=("nn", "in", "bn"),
    ),
    ArchInfo(
        name="vgg",
        bases=("vgg11",),
        target="ddbench.models.mlp_lenet_alexnet_vgg:vgg11",
        summary="VGG-11 for small images: eight convolutions 3×3, five max poolings, one linear layer",
        width=64,
        narrow=16,
    ),
    ArchInfo(
        name="resnet",
        bases=("resnet18",),
        target="ddbench.models.resnet:resnet18",
        summary="ResNet-18 with a 3×3 stem; -ap: average pooling instead of strides, no global pooling",
        width=64,
        narrow=16,
        variants=("ap",),
    ),
)


@hookimpl
def ddbench_register_architectures(registry: Draft[ArchInfo]) -> None:
    """The families of ``ddbench.models``."""
    for family in FAMILIES:
        registry.add(family)
