"""Which rows are nearest: looked for in float32, decided in float64. Symbols: N rows, D features, k points."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

_CHUNK = 512
_FEW = 16
"""Rows that are measured without looking for equal ones."""


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

    def exact(self, which: Tensor, point: Tensor) -> Tensor:
        """Squared distances [n] in float64 of the rows ``which`` [n] to a point [D] float64, alike for equal rows."""
        parts = torch.split(which, _CHUNK)
        return torch.cat([(self.points(part) - point).square().sum(dim=1) for part in parts])

    def exact_of_many(self, which: Tensor, point: Tensor) -> Tensor:
        """The same numbers; of equal rows one is looked at."""
        if len(which) <= _FEW:
            return self.exact(which, point)
        one_of_each, whose = torch.unique(self._kinds[which], return_inverse=True)
        return self.exact(one_of_each, point)[whose]

    @cached_property
    def _kinds(self) -> Tensor:
        return first_equals(self.h.__getitem__, self.squares)

    def nearest(self, point: Tensor, free: Tensor | None = None) -> Tensor:
        """The position of the row nearest a point [D] float64, among those that are ``free`` [N] bool."""
        rough = self.rough(point)
        if free is not None:
            rough = rough.where(free, torch.inf)
        return smallest(rough, self.margin(point.norm()), lambda left: self.exact_of_many(left, point))


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


def first_equals(rows: Callable[[Tensor], Tensor], keys: Tensor) -> Tensor:
    """For each of N rows the position of the first one equal to it, its own where there is none before: [N] int64.

    Args:
        rows: Positions [m] → these rows [m, D].
        keys: A number of each row, [N], alike for equal rows; only rows that share one are compared.
    """
    _, which, many = torch.unique(keys, return_inverse=True, return_counts=True)
    same, seen = list(range(len(keys))), dict[bytes, int]()
    for part in torch.split(torch.nonzero(many[which] > 1).flatten(), _CHUNK):
        values = (rows(part) + 0.0).cpu().numpy()  # −0 equals 0, but for its bytes
        for i, row in zip(part.tolist(), values, strict=True):
            same[i] = seen.setdefault(hashlib.blake2b(row.data).digest(), i)
    return torch.tensor(same, device=keys.device)


_ROWS = 64
_PAIRS = 1024
_CROWD = 8
"""Times as many candidates as are wanted, beyond which products in float64 look at them before pairs are measured."""


def neighbours(h: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest others of each row by the Euclidean distance of rows of length 1, of equals the first ones.

    Of equal directions one is looked at. Products of directions less their mean, in float32 and where that leaves many
    in float64, find few candidates, which are measured. Never N × N numbers at once.

    Args:
        h: [N, D] float32; a row of zeros stays one.
        k: How many, < N.

    Returns:
        Positions int64 and distances float64, each [N, k], the nearest first.
    """
    directions = _Directions(h)
    same = first_equals(directions.of, directions.sums)
    firsts, kind = torch.unique(same, return_inverse=True)  # kinds in the order of their first rows
    members = kind.argsort(stable=True)
    size = kind.bincount()
    begin = size.cumsum(0) - size
    size = size.clamp(max=k + 1)  # more of a kind are never wanted
    positions, distances = same.new_empty(len(firsts), k + 1), directions.lengths.new_empty(len(firsts), k + 1)
    for own, other, apart in _near_pairs(directions, firsts, k + 1):
        # Every pair of kinds becomes the pairs of one kind with the rows of the other.
        times = size[other]
        place = torch.arange(int(times.sum()), device=h.device) - (times.cumsum(0) - times).repeat_interleave(times)
        row = members[begin[other].repeat_interleave(times) + place]
        of, distance = own.repeat_interleave(times), apart.repeat_interleave(times)
        order = row.argsort()
        order = order[distance[order].argsort(stable=True)]
        order = order[of[order].argsort(stable=True)]  # by kind, then by distance, then by position
        kinds, many = torch.unique(of, return_counts=True)
        first = order[(many.cumsum(0) - many)[:, None] + torch.arange(k + 1, device=h.device)]
        positions[kinds], distances[kinds] = row[first], distance[first]
    return _without_oneself(positions[kind], distances[kind])


def _without_oneself(positions: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Lists [N, k + 1] of the nearest rows without the row itself, or, of more equal rows, without the last."""
    itself = positions == torch.arange(len(positions), device=positions.device)[:, None]
    itself[:, -1] |= ~itself.any(1)
    shape = len(positions), positions.shape[1] - 1
    return positions[~itself].view(shape), distances[~itself].view(shape)


class _Directions:
    """Rows [N, D] as float64 of length 1, some at a time, and less their mean."""

    def __init__(self, h: Tensor) -> None:
        self.h = h
        lengths = torch.cat([part.double().norm(dim=1) for part in torch.split(h, _CHUNK)])
        self.lengths = torch.where(lengths > 0, lengths, 1.0)
        self.sums, mean = torch.empty_like(self.lengths), []
        for part in torch.split(torch.arange(len(h), device=h.device), _CHUNK):
            found = self.of(part)
            self.sums[part] = found.sum(1)
            mean.append(found.sum(0))
        self.mean = torch.stack(mean).sum(0) / len(h)

    def of(self, which: Tensor) -> Tensor:
        return self.h[which].double() / self.lengths[which, None]

    def centred(self, which: Tensor) -> Tensor:
        return self.of(which) - self.mean

    def apart(self, one: Tensor, other: Tensor) -> Tensor:
        """Distances of pairs of rows [n], float64."""
        pairs = zip(torch.split(one, _PAIRS), torch.split(other, _PAIRS), strict=True)
        return torch.cat([(self.of(a) - self.of(b)).norm(dim=1) for a, b in pairs])


def _near_pairs(directions: _Directions, rows: Tensor, k: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pairs among U distinct rows that include each row's k nearest ones, or all; itself is one of them.

    Yields:
        For some rows at a time: their places, those of the others, and the distances, all [·].
    """
    h, every = directions.h, torch.arange(len(rows), device=rows.device)
    k = min(k, len(rows))
    centred, squares = h.new_empty(len(rows), h.shape[1]), directions.lengths.new_empty(len(rows))
    for part in torch.split(every, _CHUNK):
        centred[part], squares[part] = (found := directions.centred(rows[part])).to(h.dtype), found.square().sum(1)
    longest = squares.max().sqrt()
    rounding, of_float64 = (
        4 * (h.shape[1] + 2) * torch.finfo(dtype).eps * longest for dtype in (h.dtype, torch.float64)
    )

    def candidates(some: Tensor, products: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
        rough = products.double().mul_(-2).add_(squares).add_(squares[some, None])
        rough[torch.arange(len(some)), some] = -torch.inf
        reach = rough.topk(k, dim=1, largest=False).values[:, -1:] + 2 * margin[:, None]
        own, other = torch.nonzero(rough <= reach, as_tuple=True)
        return some[own], other

    for some in torch.split(every, _ROWS):
        margin = rounding * squares[some].sqrt() + of_float64 * longest
        own, other = candidates(some, centred[some] @ centred.T, margin)
        many = own.bincount(minlength=len(rows))[some] > _CROWD * k
        if bool(many.any()):
            crowded = some[many]
            wanted = directions.centred(rows[crowded])
            products = [wanted @ directions.centred(rows[part]).T for part in torch.split(every, _CHUNK)]
            fewer = candidates(crowded, torch.cat(products, dim=1), (2 * of_float64 * longest).expand(len(crowded)))
            kept = ~torch.isin(own, crowded)
            own, other = torch.cat([own[kept], fewer[0]]), torch.cat([other[kept], fewer[1]])
        yield own, other, directions.apart(rows[own], rows[other])
