"""Kernel ridge regression, f(x) = K_xs (K_ss + λ I)⁻¹ y_s: its loss (KIP) and the best labels (Label Solve).

Nguyen et al., "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021. λ = ρ tr(K_ss) / n, so that ρ means the
same for every kernel and set.

Symbols: n images of the set (s), b of a real batch, N real images (t), K classes; labels are centred. All is float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from ddbench.blocks.ridge import centred
from ddbench.core.api import CondensedSet, Recipe
from ddbench.core.errors import NodeFailureError

NETWORK = Recipe(
    updates=5000, batch=100, momentum=0.9, weight_decay=0.0, augmentation="none", optimiser="sgd", schedule="cosine"
)
"""How the papers train networks on a set with hard labels; of the rates that they search, the protocol's own."""
NETWORK_OF_LABELS = NETWORK.model_copy(update={"loss": "mse"})
"""The same on a set with centred labels."""


def targets(condensed: CondensedSet, classes: int) -> Tensor:
    """What a set's labels are to a regression, [n, K] float64: onehot − 1/K, p − 1/K, or centred ones as they are.

    Logits are softmaxed first.

    Args:
        condensed: The set.
        classes: K.

    Raises:
        NodeFailureError: If its images are weighted.
    """
    if condensed.weights is not None:
        why = "its images are weighted, and kernel ridge regression takes each of them for one"
        raise NodeFailureError("failed", f"the set cannot be used: {why}")
    labels, space = condensed.labels, condensed.label_space
    if space == "hard":
        return centred(labels, classes)
    labels = labels.double()
    if space == "centred":
        return labels
    return (labels.softmax(1) if space == "logits" else labels) - 1 / classes


def regularised(gram: Tensor, ridge: float) -> Tensor:
    """K_ss + ρ tr(K_ss) / n · I, differentiable.

    Args:
        gram: K_ss, [n, n].
        ridge: ρ.
    """
    found = gram.clone()
    found.diagonal().add_(ridge * gram.diagonal().mean())
    return found


def _factor(gram: Tensor, ridge: float) -> Tensor:
    """Cholesky's of K_ss + λ I, [n, n]."""
    found, failed = torch.linalg.cholesky_ex(regularised(gram, ridge))
    if failed:
        why = f"the kernel of the set is not positive definite with ridge {ridge:g}"
        raise NodeFailureError("nan", f"{why}: images diverged, or are too much alike")
    return cast(Tensor, found)


def coefficients(gram: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """(K_ss + λ I)⁻¹ y_s, [n, K], by Cholesky; differentiable.

    Args:
        gram: K_ss, [n, n].
        labels: y_s, [n, K].
        ridge: ρ.

    Raises:
        NodeFailureError: If the matrix is not positive definite in float64.
    """
    return torch.cholesky_solve(labels, _factor(gram, ridge))


def solutions(gram: Tensor, labels: Tensor, ridges: Sequence[float]) -> dict[float, Tensor]:
    """:func:`coefficients` for each ridge for which there are any in float64.

    Args:
        gram: K_ss, [n, n].
        labels: y_s, [n, K].
        ridges: ρ of each.

    Raises:
        NodeFailureError: If there are none at all.
    """
    found = {}
    for ridge in ridges:
        factor, failed = torch.linalg.cholesky_ex(regularised(gram, ridge))
        if not failed and bool((alpha := torch.cholesky_solve(labels, factor)).isfinite().all()):
            found[ridge] = alpha
    if found:
        return found
    raise NodeFailureError("nan", f"the kernel of the set cannot be solved for with any ridge of {list(ridges)}")


def loss(across: Tensor, gram: Tensor, labels: Tensor, wanted: Tensor, ridge: float) -> Tensor:
    """½ · mean over images and classes of (y_b − K_bs (K_ss + λ I)⁻¹ y_s)²: KIP's loss; λ is differentiated, too.

    Args:
        across: K_bs, [b, n].
        gram: K_ss, [n, n].
        labels: y_s, [n, K].
        wanted: y_b, [b, K].
        ridge: ρ.
    """
    return (wanted - across @ coefficients(gram, labels, ridge)).square().mean() / 2


def best_labels(gram: Tensor, blocks: Iterable[tuple[Tensor, Tensor]], ridge: float) -> Tensor:
    """(K_ts (K_ss + λ I)⁻¹)⁺ y_t, [n, K]: of all labels of the set those with the least error on the real images.

    The pseudo-inverse drops singular values below N · eps · the largest. A = K_ts (K_ss + λ I)⁻¹ is never held as a
    whole: blocks of its rows are reduced by QR one after the other, A = Q R, so A⁺ y_t = R⁺ Qᵀ y_t; Householder's QR
    loses no digits, as normal equations would.

    Args:
        gram: K_ss, [n, n].
        blocks: Rows of K_ts, [·, n], each with the real images' labels, [·, K].
        ridge: ρ.

    Raises:
        ValueError: If there are no rows.
        NodeFailureError: If K_ss + λ I is not positive definite in float64.
    """
    n = len(gram)
    factor = _factor(gram, ridge)
    reduced, rows = gram.new_zeros(0, 0), 0
    for across, labels in blocks:
        part = torch.cat([torch.cholesky_solve(across.mT, factor).mT, labels], 1)
        rows += len(part)
        reduced = torch.linalg.qr(part if not len(reduced) else torch.cat([reduced, part]), mode="r")[1]
    if not rows:
        raise ValueError("there are no real images to learn labels from")
    # [A, y] = Q [[R, Qᵀ y], [0, ·]]: one triangle for both.
    triangle, projected = reduced[:n, :n], reduced[:n, n:]
    left, sizes, right = torch.linalg.svd(triangle, full_matrices=False)
    kept = sizes > rows * torch.finfo(sizes.dtype).eps * sizes[0]
    inverse = torch.where(kept, 1 / sizes, 0.0)
    found: Tensor = right.mT @ (inverse[:, None] * (left.mT @ projected))
    return found
