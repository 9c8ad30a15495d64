"""What distribution matching minimises: distances between mean embeddings (Zhao & Bilen, WACV 2023).

Symbols: K classes, B real and n synthetic images of a class, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_feature_distance(real: Tensor, syn: Tensor) -> Tensor:
    """Squared distance between the mean embeddings of one class (the summand of DM's objective).

    Args:
        real: Embeddings of real images, [B, D].
        syn: Embeddings of synthetic images, [n, D].

    Returns:
        Scalar ≥ 0; 0 exactly when both means agree. Differentiable in ``syn`` only.

    Raises:
        ValueError: If a batch is empty or the feature sizes differ.
    """
    return class_mean_feature_distance(real, syn, [len(real)], [len(syn)])


def class_mean_feature_distance(
    real: Tensor, syn: Tensor, real_counts: Sequence[int], syn_counts: Sequence[int]
) -> Tensor:
    """Sum over classes of :func:`mean_feature_distance`, for class-major batches of all classes.

    Args:
        real: Embeddings of real images, [Σ real_counts, D].
        syn: Embeddings of synthetic images, [Σ syn_counts, D].
        real_counts: B of each class, K numbers.
        syn_counts: n of each class, K numbers.

    Returns:
        Scalar ≥ 0. Differentiable in ``syn`` only.

    Raises:
        ValueError: If a class is empty on one side, counts do not add up, or the feature sizes differ.
    """
    if len(real_counts) != len(syn_counts):
        raise ValueError(f"{len(real_counts)} real classes do not match {len(syn_counts)} synthetic ones")
    if real.shape[1:] != syn.shape[1:]:
        raise ValueError(f"features of real {list(real.shape[1:])} and synthetic {list(syn.shape[1:])} images differ")
    return (class_means(real.detach(), real_counts) - class_means(syn, syn_counts)).square().sum()


def class_means(features: Tensor, counts: Sequence[int]) -> Tensor:
    """Mean of each class of a class-major batch.

    Args:
        features: [Σ counts, D].
        counts: Images of each class, K numbers ≥ 1.

    Returns:
        [K, D].

    Raises:
        ValueError: If a class is empty, or the counts do not add up to the batch.
    """
    if min(counts, default=0) < 1 or sum(counts) != len(features):
        raise ValueError(f"classes of {list(counts)} images do not make up a batch of {len(features)}")
    if len(set(counts)) == 1:
        return features.view(len(counts), counts[0], -1).mean(dim=1)
    return torch.stack([part.mean(dim=0) for part in torch.split(features, list(counts))])
