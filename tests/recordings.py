"""Recordings of training that were never trained: what a test says that a proxy net said of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ddbench.blocks.dynamics import MEASURES, PRESENTED, kept_file
from ddbench.blocks.dynamics_params import kept_epochs


def recording(
    folder: Path,
    n: int,
    epochs: int,
    *,
    presented: Mapping[str, Tensor] | None = None,
    logits: Mapping[int, Tensor] | None = None,
    features: Tensor | None = None,
    nets: Mapping[int, nn.Module] | None = None,
    classes: int = 3,
) -> Path:
    """Write the artifact ``dynamics`` of n images; what is not given says nothing: 0, and right in every epoch.

    Args:
        folder: Where; made.
        n: Images.
        epochs: T.
        presented: [T, n] by measure.
        logits: [n, K] by epoch.
        features: [n, D] after the last epoch.
        nets: Networks by epoch.
        classes: K of logits that are not given.
    """
    folder.mkdir(parents=True)
    values = np.zeros((len(MEASURES), epochs, n), dtype=np.float32)
    values[MEASURES.index("correct")] = 1
    for name, given in (presented or {}).items():
        values[MEASURES.index(name)] = given.numpy()
    np.save(folder / PRESENTED, values)
    for epoch in kept_epochs(epochs):
        tensors = {"logits": (logits or {}).get(epoch, torch.zeros(n, classes)).float().contiguous()}
        if epoch == epochs:
            tensors["features"] = (torch.zeros(n, 2) if features is None else features).float().contiguous()
        if nets and epoch in nets:
            tensors |= {f"net.{name}": value.clone() for name, value in nets[epoch].state_dict().items()}
        save_file(tensors, kept_file(folder, epoch))
    return folder
