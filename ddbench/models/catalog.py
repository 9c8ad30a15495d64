"""The architecture families that ddbench brings along."""

from __future__ import annotations

from ddbench.api import ArchInfo

FAMILIES: tuple[ArchInfo, ...] = (
    ArchInfo(
        name="convnet",
        bases=tuple(f"convnet{depth}" for depth in range(1, 6)),
        target="ddbench.models.convnet:build",
        summary="depth × (conv 3×3, norm, ReLU, average pooling), one linear layer: the net of the distillation papers",
    ),
)
