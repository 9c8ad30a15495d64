"""Real images that represent a class: k-means medoids. Symbols: n clusters, D features.

Importing this imports scikit-learn (115 MB), so that a warm-up has it in memory before anything is measured.
"""

from __future__ import annotations

import torch
from sklearn.cluster import KMeans
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
