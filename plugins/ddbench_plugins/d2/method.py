"""D2 pruning (Maharana, Yadav & Bansal, ICLR 2024): message passing between neighbours, forward and in reverse.

1. Score every image by its hardness s ≥ 0: forgetting events, or AUM turned around.
2. Link images i and j if either is among the k nearest of the other by d_ij, the distance of L2-normalised features.
3. Forward: s_i ← s_i + Σ_{j ∈ N(i)} exp(−d_ij) s_j, of all at once.
4. Reverse: keep the image i of the largest s, of equals the first, then s_j ← s_j − exp(−γ d_ij) s_i for its neighbours
   j; repeat.

The graph is that of one class, or of all images (``balance``), after the ⌊β m⌋ hardest of the m are dropped, as in CCS.
Symbols: m candidates in the order that decides between equals, D features.
"""

import heapq
import math

import torch
from torch import Tensor

from ddbench import RunContext, Selection, Selector
from ddbench.blocks.dynamics import Dynamics, aum, forgetting
from ddbench.blocks.greedy import TIE
from ddbench.blocks.nearest import neighbours
from ddbench.blocks.ranking import require_numbers, without_hardest
from ddbench.blocks.sampling import groups
from ddbench_plugins.d2.params import D2Params


class D2(Selector[D2Params]):
    """Keeps images that are hard, and not beside one that is kept."""

    def select(self, ctx: RunContext) -> Selection:
        """Score, then link, pass messages and pick, group by group."""
        p, dynamics = self.params, Dynamics.of(ctx)
        events = p.score == "forgetting"
        hardness = forgetting(dynamics.presented("correct")) if events else -aum(dynamics.margins(p.of))
        features = dynamics.features()
        for one in (hardness, features):
            require_numbers(one)
        hardness -= hardness.min()
        competing, picked = groups(ctx, p.balance, shuffled=True), []
        for done, (members, n, _) in enumerate(competing):
            left = members[without_hardest(hardness[members], n, p.beta)]
            picked.append(left[d2(features[left], hardness[left], n, k=p.k, gamma=p.gamma)])
            ctx.progress(done + 1, len(competing), "groups")
        return Selection(torch.cat(picked), scores=hardness.float())


def d2(h: Tensor, hardness: Tensor, n: int, *, k: int, gamma: float) -> Tensor:
    """Positions of n candidates in the order of the picks: [n] int64.

    Args:
        h: Features [m, D].
        hardness: [m] float64, ≥ 0.
        n: How many, ≤ m.
        k: Nearest others that an image links itself to.
        gamma: γ of the reverse pass.
    """
    start, end, distance = links(*neighbours(h, min(k, len(h) - 1)))
    forward = hardness.index_add(0, start, (-distance).exp() * hardness[end])
    ends, damping = end.tolist(), (-gamma * distance).exp().tolist()
    bounds = [0, *start.bincount(minlength=len(h)).cumsum(0).tolist()]
    scores: list[float] = forward.tolist()
    levels = Levels(TIE * max(map(abs, scores)))
    ranks = [levels.of(score) for score in scores]
    heap = [(-rank, i) for i, rank in enumerate(ranks)]
    heapq.heapify(heap)
    picked: dict[int, None] = {}
    while len(picked) < n:
        negative, i = heapq.heappop(heap)
        if i in picked or -negative != ranks[i]:
            continue  # the entry is older than the score
        picked[i] = None
        for place in range(bounds[i], bounds[i + 1]):
            j = ends[place]
            scores[j] -= damping[place] * scores[i]
            ranks[j] = levels.of(scores[j])
            heapq.heappush(heap, (-ranks[j], j))
    return torch.tensor(list(picked), dtype=torch.int64)


class Levels:
    """One number for all that differ by rounding: the first of them that was met.

    Args:
        width: Numbers that differ by less are equal, ≥ 0.
    """

    def __init__(self, width: float) -> None:
        self._width = width
        self._known: dict[float, float] = {}

    def of(self, value: float) -> float:
        """The number that stands for ``value``."""
        if not self._width:
            return value
        place = float(value // self._width)
        for near in (place, place - 1, place + 1):
            if abs(self._known.get(near, math.inf) - value) <= self._width:
                return self._known[near]
        return self._known.setdefault(place, value)


def links(near: Tensor, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Links between rows either of which is near the other, each in both directions, sorted.

    Args:
        near: [m, k] positions.
        distances: [m, k].

    Returns:
        Where each starts and ends, int64, and how long it is.
    """
    m, k = near.shape
    one, other = torch.arange(m).repeat_interleave(k), near.flatten()
    both, which = torch.unique(torch.cat([one * m + other, other * m + one]), return_inverse=True)
    length = distances.new_empty(len(both)).index_copy_(0, which, distances.flatten().repeat(2))
    return both // m, both % m, length
