"""Gradients of single images in the last layer, as factors that are never multiplied out; and choosing by them.

Symbols: n images, K classes, D features; z logits, h features, y the image's class. With e = softmax(z) − onehot(y),
the gradient of the cross entropy in bias and weights is g = [e, e ⊗ h] = e ⊗ [1, h], a matrix [K, 1 + D]. Hence

    ⟨g_i, g_j⟩ = ⟨e_i, e_j⟩ (1 + ⟨h_i, h_j⟩),        ‖g‖ = ‖e‖ √(1 + ‖h‖²).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ddbench.blocks.dynamics import errors
from ddbench.blocks.dynamics_params import Balance
from ddbench.blocks.features import Outputs, refuse_nan
from ddbench.blocks.sampling import Group, groups
from ddbench.core.api import RunContext, Selection


@dataclass(frozen=True)
class Gradients:
    """Those of n images.

    Attributes:
        e: [n, K] float64.
        h: [1, h] of every image, [n, 1 + D] float64.
    """

    e: Tensor
    h: Tensor

    @classmethod
    def of(cls, features: Tensor, logits: Tensor, labels: Tensor) -> Gradients:
        """From what a network says.

        Args:
            features: [n, D].
            logits: [n, K], on the same device.
            labels: [n] int64, on the same device.
        """
        h = torch.ones(len(features), 1 + features.shape[1], dtype=torch.float64, device=features.device)
        h[:, 1:] = features
        return cls(h[:, :0], h).with_logits(logits, labels)

    def with_logits(self, logits: Tensor, labels: Tensor) -> Gradients:
        """Those of the same features under other logits [n, K] of images with labels [n]."""
        e, own = errors(logits, labels), labels[:, None]
        # p − 1 rounds to 0 long before the other probabilities do; errors sum to 0.
        e.scatter_(1, own, 0.0)
        e.scatter_(1, own, -e.sum(1, keepdim=True))
        return Gradients(e, self.h)

    def take(self, rows: Tensor) -> Gradients:
        """Those of the images ``rows``."""
        return Gradients(self.e[rows], self.h[rows])

    def __len__(self) -> int:
        return len(self.e)

    @cached_property
    def norms(self) -> Tensor:
        """‖g‖, [n]."""
        return cast(Tensor, self.e.norm(dim=1) * self.h.norm(dim=1))

    def units(self) -> Gradients:
        """The same directions, of length 1; a gradient of length 0 stays 0, so that its cosine with all is 0."""
        norms = self.norms
        return Gradients(self.e / norms.where(norms > 0, torch.inf)[:, None], self.h)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Σ_i w_i g_i for weights [n], a matrix [K, 1 + D]."""
        return (self.e * weights[:, None]).T @ self.h

    def mean(self) -> Tensor:
        """The mean gradient, a matrix [K, 1 + D]."""
        return self.e.T @ self.h / len(self)

    def dot(self, matrix: Tensor) -> Tensor:
        """The inner product of every gradient with a matrix [K, 1 + D]: [n]."""
        return (self.h @ matrix.T).mul_(self.e).sum(1)

    def products(self, rows: Tensor) -> Tensor:
        """Inner products of the gradients ``rows`` [m] with all: [m, n]."""
        return (self.h[rows] @ self.h.T).mul_(self.e[rows] @ self.e.T)

    def similarities(self, rows: Tensor) -> Tensor:
        """½ + ½ ⟨g_i, g_j⟩ of :meth:`units`, hence ½ + ½ cosine: [m, n] in [0, 1]; ½ with a gradient of length 0."""
        return self.products(rows).mul_(0.5).add_(0.5).clamp_(0.0, 1.0)

    def distances(self, rows: Tensor) -> Tensor:
        """Euclidean distances of the gradients ``rows`` [m] to all: [m, n]; 0 where it is less than its rounding."""
        squares = self.norms.square()
        lengths = squares[rows][:, None] + squares
        found = self.products(rows).mul_(-2.0).add_(lengths)
        rounding = lengths.mul_((self.e.shape[1] + self.h.shape[1]) * torch.finfo(torch.float64).eps)
        return found.masked_fill_(found <= rounding, 0.0).sqrt_()


class Picks(NamedTuple):
    """What a rule chose of a group: positions [k] int64, distinct, and weights [k] if there are any."""

    rows: Tensor
    weights: Tensor | None = None


def select(ctx: RunContext, found: Outputs, balance: Balance, rule: Callable[[Gradients, Group], Picks]) -> Selection:
    """Apply a rule to the gradients of each class, or to those of all images together, in float64 on the device.

    Args:
        ctx: The run.
        found: What a network says of all training images.
        balance: Whether each class gives what the budget gives it.
        rule: Gradients of a group, ascending by index, and the group → what is chosen.

    Raises:
        NodeFailureError: If what the network says is not numbers.
    """
    refuse_nan(found, "images")
    labels, indices, weights = ctx.train.labels.cpu(), [], []
    parts = groups(ctx, balance, shuffled=False)
    for done, group in enumerate(parts):
        own = (one[group.members].to(ctx.device) for one in (*found, labels))
        picks = rule(Gradients.of(*own), group)
        indices.append(group.members[picks.rows.cpu()])
        if picks.weights is not None:
            weights.append(picks.weights.float().cpu())
        ctx.progress(done + 1, len(parts), "groups")
    if not weights:
        return Selection(torch.cat(indices))
    ctx.warn("images have weights: students train on the weighted mean of their losses")
    return Selection(torch.cat(indices), torch.cat(weights))
