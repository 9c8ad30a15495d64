"""How far a segment of a trajectory is reproducible: what two continuations of an expert from one snapshot share.

From θ*_t an expert is trained anew over M snapshots, twice, each time on other batches, to θ' and θ'':

    c(t, M) = cos(θ' − θ*_t, θ'' − θ*_t)

No student can end nearer to such continuations, which no step has seen, than their mean does: its matching loss on
these stays above about 1 − c. They start from snapshots of the pool that is matched, so they are no other experts: only
their ends are new. A smaller loss on the pool itself is the noise of the pool's few experts, learned by heart. Symbols:
M snapshots from start to target, P parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.blocks.experts import Experts, continued
from ddbench.blocks.params import ExpertsParams
from ddbench.core.api import RunContext

PAIRS = 5
"""Snapshots that are continued, each twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two continuations.

    Attributes:
        start: θ*_t, [P].
        ends: θ' and θ'', [P] each.
    """

    start: Tensor
    ends: tuple[Tensor, Tensor]

    @property
    def cosine(self) -> float:
        """Between the two ways."""
        one, other = (end.double() - self.start.double() for end in self.ends)
        return float(functional.cosine_similarity(one, other, dim=0, eps=0.0))


def places(experts: int, first: int, bound: int, pairs: int = PAIRS) -> list[tuple[int, int]]:
    """Expert and snapshot of each pair: snapshots evenly over first … bound − 1, experts evenly over the pool."""
    t = torch.linspace(first, bound - 1, pairs).round().long().tolist()
    who = [i * experts // pairs if experts >= pairs else i % experts for i in range(pairs)]
    return list(zip(who, t, strict=True))


def continue_pairs(
    ctx: RunContext, experts: Experts, params: ExpertsParams, *, first: int, bound: int, length: int
) -> Iterator[Pair]:
    """Continue experts, by the recipe of their pool, from starts spread over a window.

    It costs ``2 * PAIRS`` trainings over M snapshots each. Draws come from seeds of their own.

    Args:
        ctx: The run.
        experts: The pool.
        params: How it was trained; not an imported one's, whose recipe is not known.
        first: T⁻.
        bound: T⁺, exclusive.
        length: M.
    """
    for i, (expert, t) in enumerate(places(len(experts), first, bound)):
        start = experts.snapshot(expert, t).to(ctx.device)
        one, other = (_continuation(ctx, params, start, length, f"{i}.{j}") for j in range(2))
        yield Pair(start, (one, other))
        ctx.progress(i + 1, PAIRS, "continuations of experts")


def _continuation(ctx: RunContext, params: ExpertsParams, start: Tensor, length: int, name: str) -> Tensor:
    order, draws = (
        torch.Generator().manual_seed(ctx.private_seed("diagnostics", "continuation", name, use))
        for use in ("order", "augmentation")
    )
    return continued(ctx, params, start, length, order, draws)
