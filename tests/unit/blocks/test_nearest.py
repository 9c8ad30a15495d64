"""Choosing among float32 features is choosing among the same features in float64, near ties included."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.clusters import cover
from ddbench.blocks.nearest import Rows, smallest
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
