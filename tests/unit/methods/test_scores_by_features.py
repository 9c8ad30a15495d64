"""D2 and moderate, which look at features, against slow readings of the definitions; no training."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ddbench.blocks.dynamics import aum, forgetting
from ddbench.blocks.nearest import neighbours
from ddbench.blocks.sampling import class_order, whole_order
from ddbench.core.specs import Budget
from ddbench_plugins.d2.method import D2, Levels, d2, links
from ddbench_plugins.d2.params import D2Params
from ddbench_plugins.moderate.method import Moderate, from_median, middle
from ddbench_plugins.moderate.params import ModerateParams
from tests.unit.methods.test_scores import COUNTS, N, context, noise


def unit(h):
    rows = [[float(x) for x in row] for row in h.double()]
    return [[x / math.hypot(*row) for x in row] for row in rows]


def d2_by_hand(h, hardness, n, k, gamma):
    """Pairs one by one, and the reverse pass as a search for the largest of all that are left."""
    u, m = unit(h), len(h)
    d = [[math.dist(a, b) for b in u] for a in u]
    near = [sorted((j for j in range(m) if j != i), key=lambda j: (d[i][j], j))[:k] for i in range(m)]
    linked = [[j for j in range(m) if j in near[i] or i in near[j]] for i in range(m)]
    start = [float(s) for s in hardness]
    s = [start[i] + sum(math.exp(-d[i][j]) * start[j] for j in linked[i]) for i in range(m)]
    picked = []
    while len(picked) < n:
        best = max((i for i in range(m) if i not in picked), key=lambda i: (s[i], -i))
        picked.append(best)
        for j in linked[best]:
            s[j] -= math.exp(-gamma * d[best][j]) * s[best]
    return picked


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("k", "gamma"), [(1, 0.1), (5, 0.1), (5, 1.0), (30, 0.5)])
def test_d2_equals_a_slow_reading_of_the_definition(seed, k, gamma):
    h, hardness = noise(40, 4, seed=seed), noise(40, seed=seed + 50).abs().double()
    for n in (1, 15, 40):
        assert d2(h, hardness, n, k=k, gamma=gamma).tolist() == d2_by_hand(h, hardness, n, k, gamma)


def test_d2_of_equals_keeps_the_first():
    assert d2(noise(12, 3), torch.zeros(12).double(), 12, k=3, gamma=0.1).tolist() == list(range(12))


@pytest.mark.parametrize("seed", range(8))
def test_d2_keeps_copies_of_an_image_in_their_order(seed):
    """Where all are linked, copies have one score, but for the order in which it is summed."""
    kinds = torch.randint(5, (20,), generator=torch.Generator().manual_seed(seed))
    h, hardness = noise(5, 6, seed=seed)[kinds], noise(5, seed=seed).abs().double()[kinds]
    picked = d2(h, hardness, 20, k=19, gamma=0.3).tolist()
    for kind in range(5):
        own = [i for i in picked if kinds[i] == kind]
        assert own == sorted(own)


def test_scores_that_differ_by_rounding_have_one_level_and_keep_it():
    levels = Levels(1e-3)
    assert levels.of(1.0) == levels.of(1.0005) == levels.of(0.9995) == 1.0
    assert levels.of(1.0015) == 1.0015 and levels.of(-1.0) == -1.0
    assert [Levels(0.0).of(value) for value in (0.0, 1e-300)] == [0.0, 1e-300]


def test_d2_of_one_candidate_keeps_it():
    assert d2(noise(1, 3), torch.ones(1).double(), 1, k=5, gamma=0.1).tolist() == [0]


def test_d2_leaves_the_neighbours_of_a_pick_and_so_differs_from_the_hardest():
    """Two tight clusters, the first of which is the harder: both are kept from, by turns."""
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat_interleave(6, 0)
    h = centres + 0.01 * noise(12, 2)
    hardness = torch.tensor([9.0, 8, 8, 8, 8, 8, 5, 4, 4, 4, 4, 4]).double()
    found = d2(h, hardness, 2, k=5, gamma=0.1)
    assert (found // 6).tolist() == [0, 1]
    assert found.tolist() != hardness.argsort(descending=True)[:2].tolist()


def test_d2_does_not_look_at_the_length_of_features():
    h, hardness = noise(30, 4), noise(30, seed=1).abs().double()
    longer = h * (1 + torch.arange(30)[:, None])
    assert torch.equal(d2(longer, hardness, 10, k=5, gamma=0.1), d2(h, hardness, 10, k=5, gamma=0.1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_beyond_one_block_are_those_of_scikit_learn(dtype):
    h = noise(700, 8).to(dtype)
    expected = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(unit(h)).kneighbors()
    near, distances = neighbours(h, 5)
    assert torch.equal(near, torch.from_numpy(expected[1]))
    assert torch.allclose(distances, torch.from_numpy(expected[0]), atol=1e-7)


def test_copies_of_an_image_are_at_distance_nothing_and_taken_by_position():
    near, distances = neighbours(noise(1, 6).repeat(8, 1), 3)
    assert near.tolist()[0] == [1, 2, 3] and near.tolist()[7] == [0, 1, 2]
    assert not distances.any()


def test_a_row_of_zeros_is_as_far_from_all_others():
    h = torch.cat([noise(5, 4), torch.zeros(2, 4)])
    near, distances = neighbours(h, 6)
    assert distances[5].tolist() == pytest.approx([0.0] + [1.0] * 5)
    assert near[5, 0] == 6


def test_links_go_both_ways_once():
    near = torch.tensor([[1], [0], [0]])
    start, end, length = links(near, torch.tensor([[0.5], [0.5], [2.0]]))
    assert sorted(zip(start.tolist(), end.tolist(), length.tolist(), strict=True)) == [
        (0, 1, 0.5),
        (0, 2, 2.0),
        (1, 0, 0.5),
        (2, 0, 2.0),
    ]


@pytest.mark.parametrize("balance", ["per_class", "global"])
@pytest.mark.parametrize("score", ["forgetting", "aum"])
@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_d2_picks_in_the_graph_of_each_group(tmp_path, balance, score, beta):
    correct, margins, features = (noise(4, N) > 0).float(), noise(4, N, seed=1), noise(N, 6, seed=2)
    ctx = context(tmp_path, epochs=4, presented={"correct": correct, "margin": margins}, features=features)
    found = D2(D2Params(epochs=4, balance=balance, score=score, beta=beta)).select(ctx)
    hardness = forgetting(correct) if score == "forgetting" else aum(margins).max() - aum(margins)
    expected = []
    for order, n in [(whole_order(ctx), 9)] if balance == "global" else [(class_order(ctx, c), 3) for c in range(3)]:
        hard_first = sorted(order.tolist(), key=lambda i: -float(hardness[i]))
        dropped = hard_first[: min(int(beta * len(order)), len(order) - n)]
        left = [i for i in order.tolist() if i not in dropped]
        expected += [left[j] for j in d2_by_hand(features[left], hardness[left] - hardness.min(), n, 5, 0.1)]
    assert found.indices.tolist() == expected


def test_d2_of_a_smaller_budget_is_the_beginning(tmp_path):
    features, correct = noise(N, 6), (noise(4, N) > 0).float()
    small, large = (
        D2(D2Params(epochs=4, balance="global"))
        .select(context(tmp_path, Budget(ipc=n), epochs=4, presented={"correct": correct}, features=features))
        .indices.tolist()
        for n in (2, 5)
    )
    assert large[: len(small)] == small


# ----------------------------------------------------------------------------------------------------------- moderate


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_to_the_median_of_each_feature_of_the_class(seed):
    h, labels = noise(21, 5, seed=seed), torch.arange(21) % 3 % 2
    expected = []
    for i in range(21):
        of_class = [row for row, label in zip(h.double().tolist(), labels, strict=True) if label == labels[i]]
        centre = [statistics.median(column) for column in zip(*of_class, strict=True)]
        expected.append(math.dist(h[i].double().tolist(), centre))
    assert from_median(h, labels).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("m", "n", "ranks"),
    [(10, 4, [3, 4, 5, 6]), (9, 4, [2, 3, 4, 5]), (9, 3, [3, 4, 5]), (4, 4, [0, 1, 2, 3]), (5, 0, [])],
)
def test_exactly_n_in_the_middle_are_kept(m, n, ranks):
    distances = torch.randperm(m).double()
    assert distances[middle(distances, n)].tolist() == ranks


@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_moderate_cuts_out_the_middle_of_each_group(tmp_path, balance):
    features = noise(N, 6)
    ctx = context(tmp_path, features=features)
    found = Moderate(ModerateParams(epochs=3, balance=balance)).select(ctx)
    d = from_median(features, ctx.train.labels)
    expected = []
    for members, n in (
        [(range(N), 9)] if balance == "global" else [(ctx.train.of_class(c).tolist(), 3) for c in range(3)]
    ):
        ranked = sorted(members, key=lambda i: float(d[i]))
        expected += ranked[(len(ranked) - n) // 2 :][:n]
    assert found.indices.tolist() == expected


def test_neither_the_typical_nor_the_outlying_are_moderate():
    """On a line around the class's median 0: four images each at distances 1, 5 and 9."""
    h = torch.tensor([-1.0, 1, -1, 1, -5, 5, -5, 5, -9, 9, -9, 9])[:, None]
    assert sorted(middle(from_median(h, torch.zeros(12).long()), 4).tolist()) == [4, 5, 6, 7]


def test_counts_are_those_of_the_budget_in_the_middle_too(tmp_path):
    ctx = context(tmp_path, Budget(fraction=0.4), features=noise(N, 3))
    found = Moderate(ModerateParams(epochs=3, balance="per_class")).select(ctx)
    assert ctx.train.labels[found.indices].bincount(minlength=len(COUNTS)).tolist() == list(ctx.per_class)
