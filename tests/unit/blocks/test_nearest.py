"""Choosing among float32 features is choosing among the same features in float64, near ties included."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import nearest
from ddbench.blocks.clusters import cover
from ddbench.blocks.nearest import Rows, first_equals, neighbours, smallest
from ddbench_plugins.herding.method import herd


def in_float64(h, n, farthest):
    """Both rules by their definition, with all features in float64: herding, or k-center."""
    h = h.double()
    mean, squares = h.mean(0), h.square().sum(1)

    def distance(point):
        return squares - 2 * (h @ point) + point.square().sum()

    wanted, gap, picked = mean.clone(), torch.full_like(squares, torch.inf), [int(distance(mean).argmin())]
    for _ in range(n - 1):
        last = h[picked[-1]]
        wanted, gap = wanted + mean - last, gap.minimum(distance(last))
        gap[picked] = -torch.inf
        near = distance(wanted)
        near[picked] = torch.inf
        picked.append(int(gap.argmax() if farthest else near.argmin()))
    return picked


def features(kind, seed):
    """[300, 64] float32: ``plain``; ``shifted`` far from the origin; ``pairs`` that differ by a rounding of float32."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.rand(300, 64, generator=generator).pow(3)
    if kind == "shifted":
        return h + 100
    if kind == "pairs":
        h[150:] = h[:150]
        h[150:, seed % 64] = h[150:, seed % 64].nextafter(torch.tensor(2.0))
    return h


@pytest.mark.parametrize("kind", ["plain", "shifted", "pairs"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", [herd, cover])
def test_features_in_float32_and_in_float64_give_one_choice(kind, seed, rule):
    h = features(kind, seed)
    expected = in_float64(h, 40, rule is cover)
    assert rule(h, 40).tolist() == expected
    assert rule(h.double(), 40).tolist() == expected


@pytest.mark.parametrize("kind", ["plain", "shifted", "pairs"])
def test_rough_distances_are_no_farther_off_than_their_margin(kind):
    h = features(kind, 7)
    rows = Rows(h)
    for point in (rows.mean, 5 * rows.mean, h[3].double()):
        off = (rows.rough(point) - (h.double() - point).square().sum(1)).abs()
        assert (off <= rows.margin(point.norm())).all()


def test_most_rows_are_out_of_the_question_without_float64():
    rows, asked = Rows(features("plain", 0)), []
    rough, margin = rows.rough(rows.mean), rows.margin(rows.mean.norm())
    smallest(rough, margin, lambda left: (asked.append(len(left)), rough[left])[1])
    assert asked[0] <= 3


# ------------------------------------------------------------------------------------- rows of a proxy that says little


def dead(kind, n, seed=0):
    """[n, 8] float32 of which many rows, or their directions, are equal, or all but equal."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(5, 8, generator=generator) + 0.1
    if kind == "one feature":
        return torch.eye(8)[2] * (torch.rand(n, 1, generator=generator) + 0.1)
    if kind == "signed zeros":
        return torch.eye(8)[torch.arange(n) % 3] * torch.tensor([1.0, -1.0])[torch.arange(n) % 2, None] * -1
    kinds = {"equal": 1, "two": 2, "five": 5, "tight": 2}[kind]
    h = values[torch.randint(kinds, (n,), generator=generator)]
    return h + 1e-5 * torch.rand(n, 8, generator=generator) if kind == "tight" else h


DEAD = ["equal", "two", "five", "one feature", "signed zeros", "tight"]


def slow_neighbours(h, k):
    """Every pair in float64; of equals the first."""
    h = h.double()
    lengths = h.norm(dim=1, keepdim=True)
    u = h / torch.where(lengths > 0, lengths, 1.0)
    apart = (u[:, None] - u).norm(dim=2)
    lists = [
        sorted((j for j in range(len(h)) if j != i), key=lambda j: (float(apart[i, j]), j))[:k] for i in range(len(h))
    ]
    return torch.tensor(lists), apart.gather(1, torch.tensor(lists))


def slow_cover(h, n):
    """Every row against every centre, in float64; of equals the first."""
    h = h.double()
    picked = [int((h - h.mean(0)).square().sum(1).argmin())]
    while len(picked) < n:
        gap = torch.stack([(h - h[one]).square().sum(1) for one in picked]).amin(0)
        gap[picked] = -1.0
        picked.append(int(gap.argmax()))
    return picked


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 5, 39])
@pytest.mark.parametrize("kind", [*DEAD, "zeros among others"])
def test_neighbours_among_many_equal_rows_are_those_of_the_definition(kind, k, dtype):
    h = dead("five" if kind == "zeros among others" else kind, 40)
    if kind == "zeros among others":
        h[::3] = 0.0
    near, distances = neighbours(h.to(dtype), k)
    expected = slow_neighbours(h.to(dtype), k)
    assert torch.equal(near, expected[0])
    assert torch.equal(distances, expected[1])


@pytest.mark.parametrize("kind", DEAD)
def test_covering_many_equal_rows_is_what_the_definition_says(kind):
    h = dead(kind, 60, seed=1)
    assert cover(h, 60).tolist() == slow_cover(h, 60)


@pytest.mark.parametrize("kind", DEAD)
def test_few_pairs_are_measured_whatever_the_rows_are(kind, monkeypatch):
    h, measured = dead(kind, 1500), []
    apart = nearest._Directions.apart
    monkeypatch.setattr(nearest._Directions, "apart", lambda d, a, b: (measured.append(len(a)), apart(d, a, b))[1])
    neighbours(h, 5)
    assert sum(measured) <= nearest._CROWD * 6 * 1500


@pytest.mark.parametrize("rule", [herd, cover])
@pytest.mark.parametrize("kind", DEAD)
def test_a_row_is_measured_against_a_centre_once_at_most(kind, rule, monkeypatch):
    h, measured = dead(kind, 600), []
    exact = Rows.exact
    monkeypatch.setattr(Rows, "exact", lambda r, which, point: (measured.append(len(which)), exact(r, which, point))[1])
    rule(h, 40)
    few = {"equal": 1, "two": 2, "five": 5, "signed zeros": 6}
    assert sum(measured) <= 40 * few.get(kind, 600) + 40 * 16


def test_features_that_differ_are_not_looked_at_for_equal_ones():
    asked = []
    h = features("plain", 0)
    found = first_equals(lambda which: (asked.append(len(which)), h[which])[1], h.sum(1))
    assert found.tolist() == list(range(300)) and asked in ([], [0])


def test_the_first_of_equal_rows_is_found_and_rows_of_equal_sums_are_told_apart():
    h = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.0, 1.0], [1.0, -0.0], [2.0, -1.0]])
    assert first_equals(h.__getitem__, h.sum(1)).tolist() == [0, 1, 1, 0, 4]
