"""What matching methods minimise: distances between mean embeddings (DM) and between gradients (DC, DSA, IDC).

Symbols: K classes, B real and n synthetic images of a class, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from ddbench.blocks.functional import is_fused

EPS = 1e-6
"""Added to the product of norms in DC's distance; absolute, as in the authors' code, so that scale matters near 0."""


def gradient_distance(real_grads: Sequence[Tensor], syn_grads: Sequence[Tensor]) -> Tensor:
    """How much the gradients of one class differ in direction (Zhao et al., ICLR 2021, eq. 10).

    Per parameter tensor of two or more dimensions, one row per output: Σ 1 − ⟨a, b⟩ / (‖a‖ ‖b‖ + 1e-6).
    Tensors of one dimension (biases, norms) count nothing.

    Args:
        real_grads: Gradients on real images, one tensor per parameter.
        syn_grads: Gradients on synthetic images, in the same order and shapes.

    Returns:
        Scalar in [0, 2 · rows]. Differentiable in ``syn_grads`` only.

    Raises:
        ValueError: If the lists differ in length or shapes.
    """
    if [g.shape for g in real_grads] != [g.shape for g in syn_grads]:
        raise ValueError("gradients on real and on synthetic images are of different parameters")
    parts = [
        _row_distance(real.detach().flatten(1), syn.flatten(1))
        for real, syn in zip(real_grads, syn_grads, strict=True)
        if real.ndim > 1
    ]
    return torch.stack(parts).sum()


def gradient_difference(
    real_grads: Sequence[Tensor], syn_grads: Sequence[Tensor], metric: Literal["l1", "mse"]
) -> Tensor:
    """How much the gradients of convolutions differ (Kim et al., ICML 2022, sec. 3): Σ |a − b|, or Σ (a − b)².

    Args:
        real_grads: Gradients on real images, one tensor per parameter.
        syn_grads: Gradients on synthetic images, in the same order and shapes.
        metric: ``l1`` or ``mse``.

    Returns:
        Scalar ≥ 0. Differentiable in ``syn_grads`` only; tensors of one or two dimensions count nothing.

    Raises:
        ValueError: If no tensor has more: a network without convolutions has no such distance.
    """
    gaps = [syn - real.detach() for real, syn in zip(real_grads, syn_grads, strict=True) if real.ndim > 2]
    if not gaps:
        raise ValueError("the distance compares gradients of convolutions, and this network has none")
    return torch.stack([gap.abs().sum() if metric == "l1" else gap.square().sum() for gap in gaps]).sum()


def _row_distance(real: Tensor, syn: Tensor) -> Tensor:
    """Σ over rows of 1 − cosine; both [rows, ·]."""
    norms: Tensor = torch.linalg.vector_norm(real, dim=1) * torch.linalg.vector_norm(syn, dim=1)
    cosines: Tensor = (real * syn).sum(1) / (norms + EPS)
    return (1 - cosines).sum()


def class_gradients(
    net: nn.Module, images: Tensor, labels: Tensor, counts: Sequence[int], *, graph: bool = False
) -> list[tuple[Tensor, ...]]:
    """The gradient of each class's mean cross-entropy, for parameters of two or more dimensions.

    Small classes of equal size share one batched pass (at one image per class 1.7 times as fast with width 32, at ten
    no faster: benchmarks/dc_passes.py), unless batch norm in train mode couples them, or the network's blocks are
    single operations, which are faster class by class. Both ways give the same numbers.

    Args:
        net: The network.
        images: [Σ counts, C, H, W], class-major.
        labels: [Σ counts] int64.
        counts: Images of each class, K numbers ≥ 1.
        graph: Whether to keep the graph to ``images``.

    Returns:
        K tuples, one tensor per parameter.
    """
    if batched(net, counts):
        return _together(net, images, labels, len(counts), graph=graph)
    parameters = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    found = []
    for x, y in zip(torch.split(images, list(counts)), torch.split(labels, list(counts)), strict=True):
        loss = functional.cross_entropy(net(x), y)
        found.append(torch.autograd.grad(loss, parameters, create_graph=graph))
    return found


def batched(net: nn.Module, counts: Sequence[int]) -> bool:
    """Whether :func:`class_gradients` takes all classes through the network in one pass."""
    if is_fused(net):
        return False
    return len(set(counts)) == 1 and counts[0] <= TOGETHER and next(net.buffers(), None) is None


TOGETHER = 4
"""Images per class up to which all classes go through the network in one batched pass."""


def _together(net: nn.Module, images: Tensor, labels: Tensor, classes: int, *, graph: bool) -> list[tuple[Tensor, ...]]:
    """All classes at once: the gradient function mapped over classes."""
    named = dict(net.named_parameters())
    matrices = {name: p.detach() for name, p in named.items() if p.ndim > 1}
    rest = {name: p.detach() for name, p in named.items() if p.ndim <= 1}

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(net, {**parameters, **rest}, (x,)), y)

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    with torch.set_grad_enabled(graph):
        found = each(matrices, images.view(classes, -1, *images.shape[1:]), labels.view(classes, -1))
    return [tuple(found[name][c] for name in matrices) for c in range(classes)]


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
