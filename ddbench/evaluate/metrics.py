"""Predictions and what is measured on them. Percent in [0, 100]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.api import Predictor

if TYPE_CHECKING:
    from ddbench.data.split import Split

CHUNK = 250
"""Images per forward pass in evaluation: small enough that activations stay in the processor's cache."""


def logits_of(predictor: Predictor, split: Split) -> Tensor:
    """Logits [N, K] on the CPU for all images of a split."""
    parts = [predictor(split.images(index)).float().cpu() for index in torch.split(torch.arange(len(split)), CHUNK)]
    return torch.cat(parts)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy [%]."""
    return 100.0 * float((logits.argmax(1) == labels.to(logits.device)).double().mean())


def measure(logits: Tensor, labels: Tensor, classes: int) -> dict[str, object]:
    """top1 [%], loss (cross-entropy) and accuracy per class [%] (None for a class without test images).

    Args:
        logits: [N, K].
        labels: [N] int64.
        classes: K.
    """
    labels = labels.to(logits.device)
    hits = logits.argmax(1) == labels
    per_class = [
        float(100.0 * hits[labels == c].double().mean()) if bool((labels == c).any()) else None for c in range(classes)
    ]
    loss = functional.cross_entropy(logits, labels)
    return {"top1": accuracy(logits, labels), "loss": float(loss), "per_class": per_class}
