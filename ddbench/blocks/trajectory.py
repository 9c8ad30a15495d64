"""Trajectory matching's loss: how far from the expert the student ends (Cazenavette et al., CVPR 2022, eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ddbench.blocks import unroll
from ddbench.blocks.functional import flatten


def match(
    model: nn.Module,
    start: Tensor | Sequence[Tensor],
    target: Tensor | Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    lr: float | Tensor,
    batches: Tensor | Sequence[Tensor],
    **options: Any,
) -> unroll.Unrolled:
    """The normalised distance ‖θ_N − θ*‖² / ‖θ_0 − θ*‖² after N student steps, and its gradients.

    Args:
        model: The student's network.
        start: θ_0, the expert's snapshot at t.
        target: θ*, the expert's snapshot at t + M.
        images: [n, C, H, W].
        labels: [n] int64 classes or [n, K] float logits.
        lr: Step size of the student.
        batches: N index tensors [b].
        options: As :func:`ddbench.blocks.unroll.backward`.

    Raises:
        ValueError: If start and target are equal: the distance has no scale then.
    """
    begin, end = flatten(start), flatten(target)
    scale = (begin - end).square().sum()
    if float(scale) == 0.0:
        raise ValueError("the expert did not move between start and target: are the snapshots distinct tensors?")

    def distance(theta: Tensor) -> Tensor:
        return (theta - end).square().sum() / scale

    return unroll.backward(model, begin, batches, images, labels, lr, outer=distance, **options)
