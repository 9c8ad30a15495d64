"""k-means medoids (the selector behind "K-Center" in DC-BENCH, Cui et al., NeurIPS 2022), within each class.

Cluster the features of a class into as many clusters as the budget gives it, and keep the real image nearest each
centre. Deltas: the authors' selector is not published, only its results; two centres never share an image here.
"""

import torch
from sklearn.cluster import KMeans
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench_plugins.kmeans.params import KMeansMedoidsParams


class KMeansMedoids(Selector[KMeansMedoidsParams]):
    """Keeps one image per cluster; budgets are not nested."""

    def select(self, ctx: RunContext) -> Selection:
        """Cluster every class with the same seed."""
        seed = ctx.private_seed("kmeans") % 2**32  # the range that scikit-learn takes

        def medoids(h: Tensor, n: int) -> Tensor:
            clusters = KMeans(n, n_init=self.params.n_init, max_iter=self.params.max_iter, random_state=seed)
            centres = clusters.fit(h.cpu().numpy()).cluster_centers_
            return nearest_distinct(torch.from_numpy(centres), h.cpu())

        return Selection(features.select_per_class(ctx, medoids))


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
