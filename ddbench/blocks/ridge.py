"""Ridge regression on features in closed form, differentiable (the last layer of FRePo and LD), and its targets.

Symbols: n synthetic and b real images, D features, K classes (targets). F_s: features of the synthetic images, [n, D].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def centred(labels: Tensor, classes: int) -> Tensor:
    """Classes as targets of a regression: onehot − 1/K, [n, K] float64.

    Args:
        labels: [n] int64.
        classes: K.
    """
    return functional.one_hot(labels, classes).double() - 1 / classes


def ridge_weights(features: Tensor, targets: Tensor, strength: float, *, relative: bool = False) -> Tensor:
    """W = F_sᵀ (F_s F_sᵀ + λ I)⁻¹ Y: the linear layer that fits Y best for its norm, λ being what the norm costs.

    The system has n unknowns a class, and W is all that predictions need: F W costs b D K, where the kernel between
    real and synthetic images would cost b D n.

    Args:
        features: F_s, [n, D].
        targets: Y, [n, K].
        strength: λ > 0, or with ``relative`` λ / mean diagonal of F_s F_sᵀ, where the gradient knows of that mean.
        relative: How λ is meant.

    Returns:
        [D, K], differentiable in features and targets.
    """
    kernel = features @ features.T
    diagonal = kernel.diagonal()
    penalty = strength * (diagonal.mean() if relative else torch.ones_like(diagonal[0]))
    solved: Tensor = torch.linalg.solve(kernel + torch.diag_embed(penalty.expand_as(diagonal)), targets)
    return features.T @ solved
