"""CCS: coverage-centric coreset selection (Zheng et al., ICLR 2023, algorithm 1).

1. Score every image by its AUM (Pleiss et al., 2020), the mean margin over training: small is hard.
2. Drop the ⌊β N⌋ hardest, which are often mislabelled.
3. Cut the range of the scores that are left into 50 strata of equal width.
4. From the smallest stratum to the largest: sample what is wanted still, divided by the strata that are left, or all
   that the stratum has.

Deltas: margins are of logits (the authors' code takes probabilities); samples are the first images of the repetition's
order, which is ``random``'s; fewer strata where fewer images are kept.
"""

from functools import partial

from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, aum
from ddbench.blocks.ranking import chosen, stratified, without_hardest
from ddbench_plugins.ccs.params import CCSParams


class CCS(Selector[CCSParams]):
    """Covers all grades of hardness but the hardest."""

    def select(self, ctx: RunContext) -> Selection:
        """Score, then sample by strata."""
        p = self.params
        hardness = -aum(Dynamics.of(ctx).margins(p.of))
        return chosen(ctx, hardness, partial(covered, beta=p.beta, strata=p.strata), p.balance)


def covered(hardness: Tensor, n: int, *, beta: float, strata: int) -> Tensor:
    """Positions of n candidates from all strata of what is left without the hardest: [n] int64.

    Args:
        hardness: [m], m ≥ n, in the order that decides between equals.
        n: How many.
        beta: Share that is dropped, as far as n are left.
        strata: How many strata, at most.
    """
    positions = without_hardest(hardness, n, beta)
    return positions[stratified(-hardness[positions], n, strata)]
