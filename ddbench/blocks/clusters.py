"""Real images that represent a class: k-means medoids, and k-center. Symbols: n images, D features."""

from __future__ import annotations

import torch
from torch import Tensor


def medoids(h: Tensor, n: int, *, seed: int, n_init: int = 4, max_iter: int = 100) -> Tensor:
    """The rows of ``h`` nearest the centres of n clusters.

    Args:
        h: Features of one class, [N_c, D], N_c ≥ n.
        n: Clusters.
        seed: Of k-means++, in [0, 2³²).
        n_init: k-means++ starts, the best of which counts.
        max_iter: Lloyd iterations per start at most.

    Returns:
        [n] int64, distinct.
    """
    from sklearn.cluster import KMeans  # 115 MB, for those who cluster

    clusters = KMeans(n, n_init=n_init, max_iter=max_iter, random_state=seed)
    centres = clusters.fit(h.cpu().numpy()).cluster_centers_
    return nearest_distinct(torch.from_numpy(centres), h.cpu())


def nearest_distinct(centres: Tensor, h: Tensor) -> Tensor:
    """The row of ``h`` nearest each centre; a row that an earlier centre took is passed over.

    Args:
        centres: [n, D].
        h: [N_c, D], N_c ≥ n.

    Returns:
        [n] int64, distinct.
    """
    distance = torch.cdist(centres, h)
    picked = []
    for row in distance:
        picked.append(row.argmin())
        distance[:, picked[-1]] = torch.inf
    return torch.stack(picked)


def cover(h: Tensor, n: int) -> Tensor:
    """The rows that k-center picks, in order: the one nearest the mean, then always the one farthest from its centre.

    Args:
        h: Features of one class, [N_c, D] float64.
        n: How many rows to pick, ≤ N_c.

    Returns:
        [n] int64, distinct.
    """
    squares = h.square().sum(dim=1)

    def distance_to(point: Tensor) -> Tensor:
        return squares - 2 * (h @ point) + point.square().sum()

    picked = [distance_to(h.mean(dim=0)).argmin()]
    gap = torch.full_like(squares, torch.inf)  # squared distance to the nearest centre
    for _ in range(n - 1):
        gap = gap.minimum(distance_to(h[picked[-1]]))
        gap[picked[-1]] = -torch.inf  # a centre stays one, even among copies of itself
        picked.append(gap.argmax())
    return torch.stack(picked)
