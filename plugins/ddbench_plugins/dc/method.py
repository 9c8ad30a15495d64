"""DC (Zhao, Mopuri & Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021), algorithm 1.

    min_S  E_θ0  Σ_t Σ_c  D( ∇_θ ℓ_c(S; θ_t), ∇_θ ℓ_c(T; θ_t) )       θ_{t+1}: ζ epochs of SGD on S from θ_t

D: Σ over outputs of 1 − cosine between the gradients of an output's weights. With T = 1, as at ipc 1, no network is
ever trained.

Deltas from the authors' code: seeded generators instead of the clock; K networks, theirs K + 1; class sizes may differ.
"""

from collections.abc import Mapping

from ddbench import RunContext
from ddbench.blocks.gradients import CondensationMethod
from ddbench_plugins.dc.params import DCParams


class DC(CondensationMethod[DCParams]):
    """Learns images whose gradients are those of their class."""

    def prepare(self, ctx: RunContext) -> None:
        """Start from noise, or what ``init`` says."""
        self.learn(ctx)

    def step(self, ctx: RunContext) -> Mapping[str, float]:
        """One matching step; then, if the network has further ones, train it on the images."""
        net = self.network(ctx)
        real, counts, stored, syn = self.batches(ctx)
        shown = self.update(*self.match(net, real, counts, syn), syn, stored)
        self.train(ctx)
        return shown
