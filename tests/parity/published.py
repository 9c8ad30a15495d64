"""Reading the published implementations' numbers (``data/``, or the folder that ``DDBENCH_PARITY_DIR`` names)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ddbench.models import build_model

TOLERANCE = 1e-8


def read(name: str) -> dict[str, Tensor]:
    """All arrays of ``name.npz`` as tensors."""
    folder = Path(os.environ.get("DDBENCH_PARITY_DIR") or Path(__file__).parent / "data")
    with np.load(folder / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays}


def network(numbers: dict[str, Tensor], prefix: str = "p") -> nn.Module:
    """The published nets (depth 3, instance norm, float64) with the parameters ``prefix00``, ``prefix01`` …."""
    values = [numbers[key] for key in sorted(numbers) if key[: len(prefix)] == prefix and key[len(prefix) :].isdigit()]
    images = next(numbers[key] for key in ("x", "x_syn") if key in numbers)
    width, channels = values[0].shape[:2]
    net = build_model(
        f"convnet3-w{width}-in", channels=channels, classes=len(values[-1]), size=images.shape[-1], seed=0
    ).double()
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), values, strict=True):
            parameter.copy_(value)
    return net


def assert_agrees(ours: Tensor, theirs: Tensor) -> None:
    """Agreement to 1e-8, relative to the largest magnitude."""
    scale = theirs.abs().max()
    torch.testing.assert_close(ours.detach().double() / scale, theirs / scale, rtol=0, atol=TOLERANCE)
