"""Greedy choices, of equals the first; facility location without looking at every row. Symbols: N rows, n picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ddbench.core.errors import NodeFailureError

TIE = 1e-12
"""Values that differ by less than so much of their scale are equal."""

HELD_BYTES = 2**29
"""A matrix [N, N] of so many bytes is held; of a larger one, blocks are computed whenever they are looked at."""
BLOCK_BYTES = 2**25

Rows = Callable[[Tensor], Tensor]
"""Positions [m] → these rows of a symmetric matrix [N, N], [m, N] float64."""


def first_of_largest(values: Tensor, scale: float | Tensor) -> Tensor:
    """The position of the largest value, of those within :data:`TIE` of it the first: int64 scalar.

    Args:
        values: [N]; −∞ for those that must not be picked.
        scale: How large numbers were that the values are sums or differences of.

    Raises:
        NodeFailureError: If one is no number.
    """
    largest = values.max()  # no number if one of them is none
    if bool(largest.isnan()):
        raise NodeFailureError("nan", "what an image would add is no number")
    return torch.nonzero(values >= largest - TIE * scale)[0, 0]


def blocks(like: Tensor) -> Iterator[Tensor]:
    """All positions of ``like`` [N] in turn, as many at a time as rows of a matrix [N, N] fit a block."""
    yield from torch.split(torch.arange(len(like), device=like.device), rows_per_block(len(like)))


def rows_per_block(n_rows: int) -> int:
    """Rows of a matrix [N, N] of float64 that fit a block."""
    return max(1, BLOCK_BYTES // (8 * n_rows))


def held(rows: Rows, like: Tensor) -> Rows:
    """The same rows, looked up where the matrix may be held, else computed again each time.

    Args:
        rows: Computes them.
        like: [N], on their device.
    """
    n_rows = len(like)
    if 8 * n_rows**2 > HELD_BYTES:
        return rows
    whole = torch.empty(n_rows, n_rows, dtype=torch.float64, device=like.device)
    for part in blocks(like):
        whole[part] = rows(part)
    return whole.__getitem__


def facility_location(similarities: Rows, sums: Tensor, n: int, scale: float | Tensor) -> Tensor:
    """The rows that greedily add most to Σ_i max_{j picked} S_ij, in order.

    What a row adds never grows as more is picked, so that what it added when last looked at is a bound: only rows whose
    bound reaches the best are looked at again (Minoux, 1978), more and more at a time.

    Args:
        similarities: Of S, all ≥ 0.
        sums: Row sums of S, [N] float64: what a first pick adds.
        n: How many, ≤ N.
        scale: Of a sum, for ties: N times the largest similarity.

    Returns:
        [n] int64, distinct; the same as when every row is looked at for every pick.

    Raises:
        NodeFailureError: If a sum or a similarity is no number.
    """
    slack, most = 2 * TIE * scale, rows_per_block(len(sums))
    if not bool(sums.isfinite().all()):
        raise NodeFailureError("nan", "what an image would add is no number")
    bounds, covered = sums.clone(), torch.zeros_like(sums)
    picked: list[Tensor] = []
    for _ in range(n):
        if bool(bounds.max() <= TIE * scale):  # none adds anything but rounding: the first one, without a look
            picked.append(torch.nonzero(bounds > -torch.inf)[0, 0])
            bounds[picked[-1]] = -torch.inf
            continue
        order = bounds.argsort(descending=True, stable=True)
        order = order[: len(order) - len(picked)]  # picked rows are bounded by −∞
        gains = torch.full_like(sums, -torch.inf)
        seen, step = 0, 1
        while seen < len(order) and bool(bounds[order[seen]] >= gains.max() - slack):
            part = order[seen : seen + step]
            bounds[part] = gains[part] = (similarities(part) - covered).clamp_min_(0.0).sum(1)
            seen, step = seen + step, min(2 * step, most)
        best = first_of_largest(gains, scale)
        covered = covered.maximum(similarities(best[None])[0])
        bounds[best] = -torch.inf
        picked.append(best)
    return torch.stack(picked)
