"""Lazy facility location against looking at every row, and ties."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import greedy
from ddbench.core.errors import NodeFailureError


def plain(s, n):
    """Every row is looked at for every pick; of equals the first."""
    picked = []
    for _ in range(n):
        worth = {
            x: sum(max([float(s[i, x]), *(float(s[i, j]) for j in picked)]) for i in range(len(s)))
            for x in range(len(s))
            if x not in picked
        }
        top = max(worth.values())
        picked.append(min(x for x, value in worth.items() if value >= top - 1e-9))
    return picked


def matrix(n, seed, levels=None):
    s = torch.rand(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    s = (s + s.T) / 2
    return s if levels is None else (s * levels).round() / levels


def lazy(s, n):
    return greedy.facility_location(s.__getitem__, s.sum(1), n, len(s)).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [None, 2, 4])  # few levels: many ties
def test_lazy_equals_plain(seed, levels):
    s = matrix(23, seed, levels)
    assert lazy(s, 23) == plain(s, 23)


def test_few_rows_are_looked_at_again():
    s, looked = matrix(400, 0), []

    def rows(part):
        looked.append(len(part))
        return s[part]

    picked = greedy.facility_location(rows, s.sum(1), 30, len(s))
    assert picked.tolist() == lazy(s, 30)
    assert sum(looked) < 30 * 400 / 2


def copies(kinds, n):
    """Similarities of n rows of some kinds, most of all to their own."""
    which = torch.arange(n) % kinds
    return matrix(kinds, 2).fill_diagonal_(1.0)[which][:, which]


@pytest.mark.parametrize("kinds", [1, 2, 5])
def test_rows_that_add_nothing_are_not_looked_at_for_each_pick(kinds):
    s, looked = copies(kinds, 200), []

    def rows(part):
        looked.append(len(part))
        return s[part]

    expected, covered = [], torch.zeros(200, dtype=torch.float64)
    for _ in range(60):
        gains = (s - covered).clamp_min(0).sum(1).index_fill(0, torch.tensor(expected, dtype=torch.int64), -torch.inf)
        expected.append(int(greedy.first_of_largest(gains, len(s))))
        covered = covered.maximum(s[expected[-1]])
    assert greedy.facility_location(rows, s.sum(1), 60, len(s)).tolist() == expected
    assert sum(looked) <= (kinds + 2) * 200


@pytest.mark.parametrize("where", ["sums", "similarities"])
def test_facility_location_of_what_is_no_number_is_refused(where):
    s = matrix(23, 0)
    sums = s.sum(1)
    if where == "sums":
        sums[:] = torch.nan
    else:
        s[3] = torch.nan
    with pytest.raises(NodeFailureError, match="no number") as failure:
        greedy.facility_location(s.__getitem__, sums, 23, len(s))
    assert failure.value.status == "nan"


def test_blocks_change_nothing(monkeypatch):
    s = matrix(23, 1)
    whole = lazy(s, 10)
    monkeypatch.setattr(greedy, "BLOCK_BYTES", 3 * 8 * 23)
    assert [len(part) for part in greedy.blocks(s[0])] == [3] * 7 + [2]
    assert lazy(s, 10) == whole


def test_a_small_matrix_is_computed_once_and_a_large_one_whenever_it_is_looked_at(monkeypatch):
    s, computed = matrix(23, 1), []

    def rows(part):
        computed.append(len(part))
        return s[part]

    look = greedy.held(rows, s[0])
    assert sum(computed) == 23
    assert torch.equal(look(torch.tensor([4, 2])), s[[4, 2]])
    assert sum(computed) == 23
    monkeypatch.setattr(greedy, "HELD_BYTES", 8 * 23 * 23 - 1)
    look = greedy.held(rows, s[0])
    assert sum(computed) == 23
    assert torch.equal(look(torch.tensor([4, 2])), s[[4, 2]])
    assert sum(computed) == 25


def test_of_equals_the_first_is_taken():
    values = torch.tensor([1.0, 3.0 - 1e-13, 3.0, 3.0 - 1e-11], dtype=torch.float64)
    assert int(greedy.first_of_largest(values, 1.0)) == 1
    assert int(greedy.first_of_largest(values[[0, 3, 2]], 1.0)) == 2
    assert int(greedy.first_of_largest(values[[0, 3, 2]], 100.0)) == 1


def test_what_is_no_number_is_never_the_largest():
    with pytest.raises(NodeFailureError) as failure:
        greedy.first_of_largest(torch.tensor([1.0, torch.nan]), 1.0)
    assert failure.value.status == "nan"
