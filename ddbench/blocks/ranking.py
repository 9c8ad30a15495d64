"""Which images of a ranking are kept: the hardest, the easiest, or some of all grades; of each class or of all.

Symbols: N training images, n of them to be kept, m candidates in the order that decides between equals.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddbench.blocks.dynamics_params import Balance, Order, ScoreParams, dropped
from ddbench.blocks.sampling import groups
from ddbench.core.api import RunContext, Selection
from ddbench.core.errors import NodeFailureError

STRATA = 50
"""Grades of hardness that a stratified choice tells apart; fewer where fewer images are kept."""

Rule = Callable[[Tensor, int], Tensor]
"""(Hardness of m candidates [m], in the order that decides between equals; how many) → their positions, distinct."""


def ranked(ctx: RunContext, hardness: Tensor, params: ScoreParams) -> Selection:
    """Keep images by their hardness, as ``order`` and ``balance`` say.

    Args:
        ctx: The run.
        hardness: [N], finite; the larger, the harder.
        params: The method's.

    Raises:
        NodeFailureError: If a score is no number.
    """
    return chosen(ctx, hardness, RULES[params.order], params.balance)


def chosen(ctx: RunContext, hardness: Tensor, rule: Rule, balance: Balance) -> Selection:
    """Apply a rule to the hardness of each class, or to that of all images together; arguments as for :func:`ranked`.

    Equals are told apart by the repetition's order of the images, which is that of ``random``.
    """
    require_numbers(hardness)
    scores, competing = hardness.double().cpu(), groups(ctx, balance, shuffled=True)
    indices = torch.cat([group.members[rule(scores[group.members], group.n)] for group in competing])
    return Selection(indices, scores=scores.float())


def require_numbers(scores: Tensor) -> None:
    """Fail the cell unless every score is finite.

    Args:
        scores: [N], or a row for each image.

    Raises:
        NodeFailureError: Otherwise, with status ``nan``.
    """
    wrong = int((~torch.isfinite(scores).view(len(scores), -1).all(1)).sum())
    if wrong:
        raise NodeFailureError("nan", f"the score of {wrong} of {len(scores)} images is no number")


def without_hardest(hardness: Tensor, n: int, share: float) -> Tensor:
    """Positions of all candidates but the ⌊share · m⌋ hardest, as far as n are left: [·] int64, ascending."""
    left = torch.ones(len(hardness), dtype=torch.bool)
    left[hardest(hardness, min(dropped(share, len(hardness)), len(hardness) - n))] = False
    return torch.nonzero(left).flatten()


def hardest(hardness: Tensor, n: int) -> Tensor:
    """Positions of the n hardest, the hardest first: [n] int64."""
    return hardness.argsort(descending=True, stable=True)[:n]


def easiest(hardness: Tensor, n: int) -> Tensor:
    """Positions of the n easiest, the easiest first: [n] int64."""
    return hardness.argsort(stable=True)[:n]


def stratified(scores: Tensor, n: int, strata: int = STRATA) -> Tensor:
    """Positions of n candidates from all strata of their scores, as equally many of each as it has: [n] int64.

    The range of the scores is cut into strata of equal width, the last one closed. The smallest stratum, of equals that
    of lower scores, gives its share first: what is wanted still, divided by the strata that are left, or all it has.

    Args:
        scores: [m], finite, m ≥ n.
        n: How many.
        strata: How many strata; n where that is fewer.

    Source: Zheng et al., Coverage-centric Coreset Selection, ICLR 2023, algorithm 1.
    """
    count = min(strata, n)
    low, high = scores.min(), scores.max()
    width = (high - low).clamp_min(torch.finfo(scores.dtype).tiny)
    place = ((scores - low) * count / width).long().clamp(max=count - 1)  # in this order whole numbers stay exact
    members = [torch.nonzero(place == i).flatten() for i in range(count)]
    kept, wanted = [], n
    for left, one in zip(range(count, 0, -1), sorted(members, key=len), strict=True):  # sorted is stable
        kept.append(one[: wanted // left])
        wanted -= len(kept[-1])
    return torch.cat(kept)


def all_grades(hardness: Tensor, n: int) -> Tensor:
    """Positions of n candidates from all strata, which begin with the hardest, as CCS's do by AUM: [n] int64."""
    return stratified(-hardness, n)


RULES: dict[Order, Rule] = {"hard_first": hardest, "easy_first": easiest, "stratified": all_grades}
