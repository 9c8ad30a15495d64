"""k-means medoids (the selector behind "K-Center" in DC-BENCH, Cui et al., NeurIPS 2022), within each class.

Cluster the features of a class into as many clusters as the budget gives it, and keep the real image nearest each
centre. Deltas: the authors' selector is not published, only its results; two centres never share an image here.
"""

from functools import partial

from ddbench import RunContext, Selection, Selector
from ddbench.blocks import features
from ddbench.blocks.medoids import medoids
from ddbench_plugins.kmeans.params import KMeansMedoidsParams


class KMeansMedoids(Selector[KMeansMedoidsParams]):
    """Keeps one image per cluster; budgets are not nested."""

    def select(self, ctx: RunContext) -> Selection:
        """Cluster every class with the same seed."""
        p = self.params
        seed = ctx.private_seed("kmeans") % 2**32  # the range that scikit-learn takes
        return Selection(
            features.select_per_class(ctx, partial(medoids, seed=seed, n_init=p.n_init, max_iter=p.max_iter))
        )
