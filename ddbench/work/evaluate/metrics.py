"""Predictions and what is measured on them. Percent in [0, 100]."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.core.api import Predictor
from ddbench.core.correctness import pack

if TYPE_CHECKING:
    from ddbench.core.api import Images

CHUNKS = {"cpu": 128, "cuda": 2048}
"""Images per forward pass in evaluation; on a CPU few enough that activations stay in its cache (twice as fast)."""


def logits_of(predictor: Predictor, split: Images) -> Tensor:
    """Logits [N, K] on the CPU for all images of a split."""
    return predict_all(predictor, split.images, len(split), split.device)


def predict_all(predictor: Predictor, fetch: Callable[[Tensor], Tensor], n: int, device: torch.device) -> Tensor:
    """Logits [n, K] on the CPU for the images that ``fetch(index)`` gives for indices 0 … n − 1."""
    chunks = torch.split(torch.arange(n), CHUNKS.get(device.type, 128))
    return torch.cat([predictor(fetch(index)).float().cpu() for index in chunks])


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy [%]."""
    return 100.0 * float((logits.argmax(1) == labels.to(logits.device)).double().mean())


def measure(logits: Tensor, labels: Tensor, classes: int) -> dict[str, object]:
    """top1 [%], loss (cross-entropy), accuracy per class [%] (None for a class without test images), what is correct.

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
    correct = pack(hits.cpu().numpy())
    return {"top1": accuracy(logits, labels), "loss": float(loss), "per_class": per_class, "correct": correct}
