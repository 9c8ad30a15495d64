"""Which rows are nearest: looked for in float32, decided in float64. Symbols: N rows, D features, k points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_CHUNK = 512


class Rows:
    """Rows that are held and multiplied in float32, and compared as if that were float64.

    A product in float32 is wrong by no more than its rounding (Higham, *Accuracy and Stability of Numerical
    Algorithms*, 2002, eq. 3.5), which leaves few rows that might be the nearest; float64 decides between these.

    Args:
        h: [N, D], float32 as features are stored; of float64 nothing is saved, and the choice is the same.
    """

    def __init__(self, h: Tensor) -> None:
        self.h = h
        self.squares = torch.cat([part.double().square().sum(dim=1) for part in torch.split(h, _CHUNK)])
        self.mean = torch.stack([part.double().sum(dim=0) for part in torch.split(h, _CHUNK)]).sum(dim=0) / len(h)
        self._rounding = 2 * (h.shape[1] + 2) * torch.finfo(h.dtype).eps * self.squares.sqrt()

    def points(self, which: Tensor) -> Tensor:
        """Rows as float64, [n, D]."""
        return self.h[which].double()

    def rough(self, point: Tensor) -> Tensor:
        """Squared distances [N] float64 to a point [D] float64, wrong by :meth:`margin` at most."""
        return self.squares - 2 * (self.h @ point.to(self.h.dtype)).double() + point.square().sum()

    def margin(self, length: Tensor) -> Tensor:
        """How wrong :meth:`rough` may be, [N], for points of norm ``length`` or less."""
        return self._rounding * length

    def exact(self, which: Tensor, points: Tensor) -> Tensor:
        """Squared distances in float64, [n, k], of the rows ``which`` [n] to points [k, D], alike for equal rows."""
        return torch.stack([(self.points(which) - point).square().sum(dim=1) for point in points], dim=1)

    def nearest(self, point: Tensor, free: Tensor | None = None) -> Tensor:
        """The position of the row nearest a point [D] float64, among those that are ``free`` [N] bool."""
        rough = self.rough(point)
        if free is not None:
            rough = rough.where(free, torch.inf)
        return smallest(rough, self.margin(point.norm()), lambda left: self.exact(left, point[None])[:, 0])


def smallest(rough: Tensor, margin: Tensor, exact: Callable[[Tensor], Tensor]) -> Tensor:
    """The position of the smallest value.

    Args:
        rough: [N], each wrong by ``margin`` at most.
        margin: [N].
        exact: Positions [n] → their values [n]; called with those that may be the smallest.

    Returns:
        int64 scalar.
    """
    left = torch.nonzero(rough - margin <= (rough + margin).min()).flatten()
    return left[exact(left).argmin()]


_ROWS = 64
_PAIRS = 1024


def neighbours(h: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest others of each row by the Euclidean distance of rows of length 1, of equals the first ones.

    Products of directions less their mean find few candidates, which are measured in float64. Never N × N numbers at
    once.

    Args:
        h: [N, D] float32; a row of zeros stays one.
        k: How many, < N.

    Returns:
        Positions int64 and distances float64, each [N, k], the nearest first.
    """
    lengths = torch.cat([part.double().norm(dim=1) for part in torch.split(h, _CHUNK)])
    lengths = torch.where(lengths > 0, lengths, 1.0)

    def directions(which: Tensor) -> Tensor:
        return h[which].double() / lengths[which, None]

    every = torch.arange(len(h), device=h.device)
    mean = torch.stack([directions(part).sum(0) for part in torch.split(every, _CHUNK)]).sum(0) / len(h)
    centred, squares = torch.empty_like(h), torch.empty_like(lengths)
    for part in torch.split(every, _CHUNK):
        centred[part], squares[part] = (found := directions(part) - mean).to(h.dtype), found.square().sum(1)
    rounding = 4 * (h.shape[1] + 2) * torch.finfo(h.dtype).eps * squares.sqrt() * squares.max().sqrt()
    positions, distances = every.new_empty(len(h), k), lengths.new_empty(len(h), k)
    for rows in torch.split(every, _ROWS):
        rough = (centred[rows] @ centred.T).double().mul_(-2).add_(squares).add_(squares[rows, None])
        rough[torch.arange(len(rows)), rows] = torch.inf
        reach = rough.topk(k, dim=1, largest=False).values[:, -1:] + 2 * rounding[rows, None]
        own, other = torch.nonzero(rough <= reach, as_tuple=True)
        pairs = zip(torch.split(rows[own], _PAIRS), torch.split(other, _PAIRS), strict=True)
        apart = torch.cat([(directions(a) - directions(b)).norm(dim=1) for a, b in pairs])
        order = apart.argsort(stable=True)
        order = order[own[order].argsort(stable=True)]  # by row, then by distance, then by position
        begin = own.bincount(minlength=len(rows)).cumsum(0).roll(1)
        begin[0] = 0
        first = order[begin[:, None] + torch.arange(k, device=h.device)]
        positions[rows], distances[rows] = other[first], apart[first]
    return positions, distances
