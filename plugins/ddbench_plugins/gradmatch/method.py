"""GradMatch (Killamsetty, Sivasubramanian, Ramakrishnan, De & Iyer, ICML 2021, algorithm 2), within each class.

Orthogonal matching pursuit of the mean b of the last-layer gradients g. With G the picked ones, repeatedly

1. pick argmax_x ⟨g_x, b − G w⟩, with its sign, of images not yet picked;
2. refit w = argmin ‖G w − b‖² + λ ‖w‖².

At the end w = argmin over w ≥ 0 of the same, and images of weight 0 are dropped. Everything is in terms of inner
products: A = GᵀG + λI and c = Gᵀb decide w.

Deltas: gradients are those of one softmax and of single images; weights are those of the mean gradient, so that classes
count alike; the set is chosen once, before training.
"""

import torch
from scipy.optimize import nnls
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features, last_layer
from ddbench.blocks.greedy import first_of_largest
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench_plugins.gradmatch.params import GradMatchParams


class GradMatch(Selector[GradMatchParams]):
    """Keeps images whose weighted gradients are the mean one; students train with the weights."""

    def select(self, ctx: RunContext) -> Selection:
        """Match the mean gradient of every class."""
        p, found = self.params, features.said(ctx)
        return last_layer.select(ctx, found, p.balance, lambda gradients, group: pursue(gradients, group.n, lam=p.lam))


def pursue(gradients: Gradients, n: int, *, lam: float = 1.0) -> Picks:
    """The rows that GradMatch picks, in order, without those of weight 0.

    Args:
        gradients: Of N images.
        n: How many rows to pick at most, ≤ N.
        lam: λ.

    Returns:
        Rows [k] int64, distinct, 1 ≤ k ≤ n, of equals the first; weights [k] float64, > 0. Where no weight is (as when
        there is no gradient to match), all n rows with equal weights.
    """
    wanted = gradients.dot(gradients.mean())  # ⟨g_i, b⟩ of every row
    free = torch.ones_like(wanted, dtype=torch.bool)
    products = wanted.new_empty(n, len(wanted))  # of the picked gradients with all
    picked: list[Tensor] = []
    left = wanted  # ⟨g_i, b − G w⟩
    for k in range(n):
        best = first_of_largest(left.where(free, -torch.inf), wanted.abs().max())
        free[best] = False
        picked.append(best)
        products[k] = gradients.products(best[None])[0]
        rows = torch.stack(picked)
        system = products[: k + 1, rows] + lam * torch.eye(k + 1).to(wanted)
        left = wanted - solved(system, wanted[rows], definite=lam > 0) @ products[: k + 1]
    weights = not_negative(system, wanted[rows])
    kept = weights > 0
    return Picks(rows[kept], weights[kept]) if bool(kept.any()) else Picks(rows, torch.ones_like(weights))


def solved(a: Tensor, c: Tensor, *, definite: bool) -> Tensor:
    """The w with A w = c; the shortest least-squares one where A [k, k] is not definite (λ = 0)."""
    if definite:
        return torch.cholesky_solve(c[:, None], torch.linalg.cholesky(a))[:, 0]
    inverse: Tensor = torch.linalg.pinv(a, hermitian=True)
    return inverse @ c


def not_negative(a: Tensor, c: Tensor) -> Tensor:
    """The argmin over w ≥ 0 of wᵀ A w − 2 cᵀ w: least squares with the root R of A = RᵀR, and R w ≈ R⁻ᵀ c."""
    values, vectors = torch.linalg.eigh(a)
    real = values > len(a) * torch.finfo(a.dtype).eps * values.max()
    scale = values[real].sqrt()
    root, target = scale[:, None] * vectors[:, real].T, vectors[:, real].T @ c / scale
    if not len(root):
        return torch.zeros_like(c)
    return torch.from_numpy(nnls(root.cpu().numpy(), target.cpu().numpy())[0]).to(c)
