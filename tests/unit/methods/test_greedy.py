"""Greedy choices by last-layer gradients: against definitions read slowly, and on sets whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import nnls
from torch.nn import functional

from ddbench.blocks import dynamics, features, greedy
from ddbench.blocks.dynamics_params import DynamicsParams, ProxyParams
from ddbench.blocks.last_layer import Gradients, Picks
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench_plugins.craig.method import CRAIG, cover
from ddbench_plugins.craig.params import CRAIGParams
from ddbench_plugins.facility_location.method import FacilityLocation, locate
from ddbench_plugins.facility_location.params import FacilityLocationParams
from ddbench_plugins.glister.method import GLISTER, choose
from ddbench_plugins.glister.params import GLISTERParams
from ddbench_plugins.gradmatch.method import GradMatch, pursue
from ddbench_plugins.gradmatch.params import GradMatchParams
from ddbench_plugins.graphcut.method import GraphCut, cut
from ddbench_plugins.graphcut.params import GraphCutParams
from tests.fakes import FakeContext, FakeSplit, run, toy
from tests.unit.blocks.test_greedy import plain
from tests.unit.blocks.test_last_layer import said, written_out

FROM_FEATURES = [
    (GraphCut, GraphCutParams), (FacilityLocation, FacilityLocationParams), (CRAIG, CRAIGParams),
    (GradMatch, GradMatchParams),
]  # fmt: skip
RULES = {
    "graphcut": lambda g, n: Picks(cut(g, n)), "facility_location": lambda g, n: Picks(locate(g, n)), "craig": cover,
    "gradmatch": pursue,
}  # fmt: skip
VAL = said(n=7, seed=100)


def glister(g, n, eta=0.3):
    return Picks(choose(g, VAL[0], VAL[1], VAL[2], n=n, eta=eta))


ALL = {**RULES, "glister": glister}


def gradients(n=20, seed=0):
    h, z, y, _ = said(n=n, seed=seed)
    return Gradients.of(h, z, y)


# ------------------------------------------------------------------------------------- definitions, read slowly


def slow_cosines(g):
    return (0.5 + 0.5 * functional.cosine_similarity(g[:, None], g[None], dim=2)).numpy()


def slow_cut(s, n, lam):
    picked = []
    for _ in range(n):
        worth = {
            x: lam * sum(s[i, x] for i in range(len(s))) - 2 * sum(s[j, x] for j in picked)
            for x in range(len(s))
            if x not in picked
        }
        picked.append(max(worth, key=worth.get))
    return picked


def slow_pursuit(g, n, lam):
    """Stacked systems in the space of gradients; the residual is a gradient."""
    b, picked, w = g.mean(0), [], np.zeros(0)
    for _ in range(n):
        left = b - (w @ g[picked] if picked else 0)
        picked.append(max((x for x in range(len(g)) if x not in picked), key=lambda x: g[x] @ left))
        stacked = np.vstack([g[picked].T, np.sqrt(lam) * np.eye(len(picked))])
        target = np.concatenate([b, np.zeros(len(picked))])
        w = np.linalg.lstsq(stacked, target)[0]
    w = nnls(stacked, target)[0]
    return [x for x, value in zip(picked, w, strict=True) if value > 0], w[w > 0]


def slow_glister(g, val, layer, n, eta):
    """Moves the layer itself by −η times the mean of the picked gradients, and asks autograd for val's gradient."""
    h, y = val
    picked, (weight, bias) = [], layer
    for _ in range(n):
        delta = g[picked].mean(0).view(len(bias), -1) if picked else torch.zeros(len(bias), 1 + h.shape[1]).double()
        moved = [(bias - eta * delta[:, 0]).requires_grad_(True), (weight - eta * delta[:, 1:]).requires_grad_(True)]
        loss = functional.cross_entropy(functional.linear(h, moved[1], moved[0]), y)
        of_bias, of_weight = torch.autograd.grad(loss, moved)
        of_val = torch.cat([of_bias[:, None], of_weight], 1).flatten()
        picked.append(max((x for x in range(len(g)) if x not in picked), key=lambda x: float(g[x] @ of_val)))
    return picked


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [1.0, 0.2])
def test_graph_cut_equals_its_definition(seed, lam):
    h, z, y, layer = said(seed=seed)
    assert cut(Gradients.of(h, z, y), 20, lam=lam).tolist() == slow_cut(slow_cosines(written_out(h, y, layer)), 20, lam)


@pytest.mark.parametrize("seed", range(4))
def test_facility_location_equals_its_definition(seed):
    h, z, y, layer = said(seed=seed)
    assert locate(Gradients.of(h, z, y), 20).tolist() == plain(slow_cosines(written_out(h, y, layer)), 20)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [1, 6, 20])
def test_craig_equals_its_definition(seed, n):
    h, z, y, layer = said(seed=seed)
    g = written_out(h, y, layer)
    d = (g[:, None] - g[None]).norm(dim=2).numpy()
    rows, weights = cover(Gradients.of(h, z, y), n)
    assert rows.tolist() == plain(d.max() - d, n)
    nearest = [min(range(n), key=lambda k: d[i, rows[k]]) for i in range(20)]
    assert weights.tolist() == [nearest.count(k) for k in range(n)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lam", [1.0, 0.01, 0.0])
def test_gradmatch_equals_its_definition(seed, lam):
    h, z, y, layer = said(seed=seed)
    rows, weights = pursue(Gradients.of(h, z, y), 8, lam=lam)
    expected = slow_pursuit(written_out(h, y, layer).numpy(), 8, lam)
    assert rows.tolist() == expected[0]
    assert weights.tolist() == pytest.approx(expected[1].tolist(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("eta", [0.01, 0.5, 5.0])
def test_glister_equals_its_definition(seed, eta):
    h, z, y, layer = said(seed=seed)
    f, _, labels, _ = said(n=7, seed=100 + seed)
    found = choose(Gradients.of(h, z, y), f, functional.linear(f, *layer), labels, n=20, eta=eta)
    assert found.tolist() == slow_glister(written_out(h, y, layer), (f, labels), layer, 20, eta)


# -------------------------------------------------------------------------------------- sets whose answer is known


def clusters(sizes, spread=0.0):
    """Images of one class of two, all equally wrong; gradients of clusters are at right angles, nearly."""
    draws = torch.Generator().manual_seed(4)
    which = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    h = 1000 * torch.eye(len(sizes), dtype=torch.float64)[which]
    h = h + spread * torch.randn(h.shape, generator=draws, dtype=torch.float64)
    order = torch.randperm(len(which), generator=draws)
    count = len(which)
    return Gradients.of(h[order], torch.zeros(count, 2), torch.zeros(count, dtype=torch.int64)), which[order]


SIZES = (40, 11, 3, 1)


def test_facility_location_keeps_one_image_of_each_cluster_the_largest_first():
    g, which = clusters(SIZES, spread=1.0)
    assert which[locate(g, 4)].tolist() == [0, 1, 2, 3]


def test_craig_weighs_one_image_of_each_cluster_by_its_size():
    g, which = clusters(SIZES, spread=1.0)
    rows, weights = cover(g, 4)
    assert sorted(which[rows].tolist()) == [0, 1, 2, 3]
    assert [SIZES[c] for c in which[rows]] == weights.tolist()


def test_graph_cut_leaves_the_large_cluster_when_likeness_of_picks_outweighs_its_size():
    """Of 30 and 3 rows at right angles, the large one's gain is 15 − 2k against 1.5 − k after k picks of it."""
    g, which = clusters((30, 3))
    assert which[cut(g, 15)].tolist() == [0] * 14 + [1]


def test_gradmatch_finds_how_much_of_each_gradient_the_mean_has():
    g, which = clusters((5, 3, 2))
    rows, weights = pursue(g, 3, lam=0.0)
    assert which[rows].tolist() == [0, 1, 2]
    assert weights.tolist() == pytest.approx([0.5, 0.3, 0.2], rel=1e-5)


def opposed(right, wrong):
    """So many equal images, and so many of the other label, whose gradients are the opposite."""
    labels = torch.tensor([0] * right + [1] * wrong)
    return Gradients.of(torch.ones(len(labels), 3), torch.zeros(len(labels), 2), labels)


def test_gradmatch_drops_images_that_pull_the_other_way():
    rows, weights = pursue(opposed(3, 1), 4)
    assert rows.tolist() == [0, 1, 2]
    assert weights.tolist() == pytest.approx([1 / 7] * 3)  # w (3 ‖g‖² + 1) = ⟨g, b⟩, ‖g‖² = 2, b = g / 2


def test_gradmatch_keeps_the_budget_where_there_is_nothing_to_match():
    rows, weights = pursue(opposed(2, 2), 3)
    assert rows.tolist() == [0, 1, 2]
    assert weights.tolist() == [1, 1, 1]


def test_glister_turns_to_what_validation_still_asks_for():
    """Three validation images want feature 0, two want feature 1; one step on a pick serves those that want the same."""
    g = Gradients.of(3 * torch.eye(2).double().repeat_interleave(4, 0), torch.zeros(8, 2), torch.zeros(8).long())
    f = torch.tensor([[3.0, 0.0]] * 3 + [[0.0, 3.0]] * 2)
    val = f, torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64)
    assert choose(g, *val, n=4, eta=0.0).tolist() == [0, 1, 2, 3]
    assert choose(g, *val, n=2, eta=1.0).tolist() == [0, 4]


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("name", ALL)
def test_permuting_the_rows_permutes_the_picks(name):
    """Where picks serve many rows: two that serve each other alone add the same, and the first of them is taken."""
    g = gradients(150)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(1))
    first, again = ALL[name](g, 9), ALL[name](g.take(order), 9)
    assert order[again.rows].tolist() == first.rows.tolist()
    if first.weights is not None:
        torch.testing.assert_close(again.weights, first.weights)


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"gradmatch"}))  # whose last weights look at all picks
def test_a_budget_starts_with_the_smaller_ones(name):
    g = gradients(30)
    assert ALL[name](g, 12).rows[:5].tolist() == ALL[name](g, 5).rows.tolist()


@pytest.mark.parametrize("name", ALL)
def test_copies_of_one_image_are_distinct_rows_in_order(name):
    h, z, y, _ = said(n=1)
    g = Gradients.of(h.expand(6, -1), z.expand(6, -1), y.expand(6))
    assert sorted(ALL[name](g, 6).rows.tolist()) == list(range(6))
    assert ALL[name](g, 3).rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ALL)
def test_copies_of_many_images_change_nothing_but_which_of_them_is_first(name):
    h, z, y, _ = said(n=12, seed=3)
    once = ALL[name](Gradients.of(h, z, y), 1).rows
    twice = ALL[name](Gradients.of(*(torch.cat([one, one]) for one in (h, z, y))), 1).rows
    assert twice.tolist() == once.tolist()


@pytest.mark.parametrize("name", ALL)
def test_a_budget_of_all_rows_is_all_rows(name):
    rows = ALL[name](gradients(20), 20).rows.tolist()
    assert len(set(rows)) == len(rows)
    assert len(rows) == 20 or name == "gradmatch"


@pytest.mark.parametrize("name", ALL)
def test_perfect_predictions_leave_a_choice(name):
    h, _, y, _ = said()
    certain = torch.where(torch.arange(4) == y[:, None], 1e4, -1e4)
    rows, weights = ALL[name](Gradients.of(h, certain, y), 5)
    assert sorted(rows.tolist()) == list(range(5))
    assert weights is None or bool((weights > 0).all())


@pytest.mark.parametrize("name", ALL)
def test_float32_and_the_same_in_float64_give_the_same(name):
    h, z, y, _ = said(n=40)
    single, double = (
        ALL[name](Gradients.of(h.float().to(dtype), z.float().to(dtype), y), 10)
        for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(single.rows, double.rows)


@pytest.mark.parametrize("name", ["facility_location", "craig"])
def test_a_matrix_that_is_not_held_gives_the_same(name, monkeypatch):
    g = gradients(40)
    held = ALL[name](g, 12)
    monkeypatch.setattr(greedy, "HELD_BYTES", 0)
    monkeypatch.setattr(greedy, "BLOCK_BYTES", 3 * 8 * 40)
    blocked = ALL[name](g, 12)
    assert torch.equal(held.rows, blocked.rows)
    assert held.weights is None or torch.equal(held.weights, blocked.weights)


@pytest.mark.parametrize("n", [1, 5, 20])
def test_weights_of_craig_count_every_image_once(n):
    weights = cover(gradients(20), n).weights
    assert weights.sum() == 20
    assert weights.min() >= 1


def test_a_copy_that_is_picked_too_stands_for_itself():
    h, z, y, _ = said(n=1)
    weights = cover(Gradients.of(h.expand(6, -1), z.expand(6, -1), y.expand(6)), 3).weights
    assert weights.tolist() == [4, 1, 1]


# --------------------------------------------------------------------------------------------------------- methods


def context(tmp_path, budget, split=None, lean=1, **fields):
    """A context whose ``features`` artifact holds the pixels, and logits that lean to the right class."""
    split = split or toy((12, 7, 20))
    folder = tmp_path / f"features-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    logits = lean * functional.one_hot(split.labels, 3) + torch.sin(7 * split.images().flatten(1)[:, :3])
    h = split.images().flatten(1).contiguous()
    save_file({"features": h, "logits": logits}, folder / features.FILE)
    return FakeContext(split, toy((2, 2, 2), seed=9), budget, artifacts={"features": folder}, **fields)


def select(kind, ctx, **params):
    method, its_params = kind
    return method(its_params(**params)).select(ctx)


@pytest.mark.parametrize("kind", FROM_FEATURES)
def test_a_proxy_that_predicts_one_class_for_all_is_told(tmp_path, kind):
    ctx = context(tmp_path, Budget(ipc=3))
    select(kind, ctx)
    assert not any("means little" in text for text in ctx.warnings)
    ctx = context(tmp_path, Budget(ipc=3), lean=0)
    select(kind, ctx)
    assert sum("means little" in text for text in ctx.warnings) == 1


@pytest.mark.parametrize("kind", FROM_FEATURES)
@pytest.mark.parametrize("budget", [Budget(ipc=4), Budget(fraction=0.35), Budget(fraction=1.0)])
@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_budgets_are_kept_as_promised(tmp_path, kind, budget, balance):
    ctx = context(tmp_path, budget)
    chosen = select(kind, ctx, balance=balance)
    assert len(chosen.indices.unique()) == len(chosen.indices)
    counts, wanted = ctx.train.labels[chosen.indices].bincount(minlength=3), torch.tensor(ctx.per_class)
    promised = kind[1](balance=balance).class_counts
    assert promised == {
        ("per_class", False): "exact", ("global", False): "total",
        ("per_class", True): "at_most", ("global", True): "total_at_most",
    }[balance, kind[0] is GradMatch]  # fmt: skip
    kept = {
        "exact": counts.equal(wanted), "at_most": bool((counts <= wanted).all()),
        "total": counts.sum() == wanted.sum(), "total_at_most": counts.sum() <= wanted.sum(),
    }  # fmt: skip
    assert kept[promised]
    told = ["classes are not balanced" in text or "images have weights" in text for text in ctx.warnings]
    assert told == [True] * ((balance == "global") + (chosen.weights is not None))


@pytest.mark.parametrize("kind", FROM_FEATURES)
def test_permuting_the_images_permutes_the_set(tmp_path, kind):
    split = toy((60, 50, 70))
    order = torch.randperm(180, generator=torch.Generator().manual_seed(1))
    shuffled = FakeSplit(split.images()[order], split.labels[order])
    one = select(kind, context(tmp_path, Budget(ipc=4), split))
    other = select(kind, context(tmp_path, Budget(ipc=4), shuffled))
    assert torch.equal(order[other.indices], one.indices)


def test_weights_of_craig_sum_to_the_images_of_the_class(tmp_path):
    ctx = context(tmp_path, Budget(ipc=4))
    condensed = run(CRAIG(CRAIGParams()), ctx)
    assert [float(condensed.weights[condensed.labels == c].sum()) for c in range(3)] == [12, 7, 20]
    assert condensed.weights.dtype == torch.float32


@pytest.mark.parametrize("kind", FROM_FEATURES)
def test_features_that_are_no_numbers_fail_the_cell(tmp_path, kind):
    split = toy((12, 7, 20))
    split.images()[4] = torch.nan
    with pytest.raises(NodeFailureError, match="the features of 1 of 39 images are no numbers") as failure:
        select(kind, context(tmp_path, Budget(ipc=2), split))
    assert failure.value.status == "nan"


@pytest.mark.parametrize("params", [params for _, params in FROM_FEATURES])
def test_the_proxy_net_is_that_of_herding(params):
    from ddbench_plugins.herding.params import HerdingParams

    cell = cell_of(Budget(ipc=1))
    assert params().artifacts(cell) == HerdingParams().artifacts(cell)


# --------------------------------------------------------------------------------------------------------- glister

PROXY = {"epochs": 2, "batch": 16, "lr": 0.05}


def cell_of(budget):
    return CellSpec(
        method="m", method_version=1, origin="o", params={}, data=DataSpec(name="toy", revision="0" * 16),
        budget=budget, arch="convnet2-w8-in", master=0, r=0,
    )  # fmt: skip


def recorded(tmp_path, budget, val=None):
    folder = tmp_path / "dynamics"
    ctx = FakeContext(toy((12, 7, 20)), val or toy((4, 3, 5), seed=9), budget, artifacts={"dynamics": folder})
    if not folder.exists():
        folder.mkdir()
        dynamics.build(ctx, folder, DynamicsParams(**PROXY))
    return ctx


@pytest.mark.parametrize("balance", ["per_class", "global"])
def test_glister_looks_at_the_validation_images_of_the_class_or_at_all(tmp_path, balance):
    ctx = recorded(tmp_path, Budget(ipc=4))
    found = dynamics.Dynamics(ctx.artifacts["dynamics"])
    net = found.load_into(ctx.build_model(seed=1), 2).double()
    layer = net.classifier.weight.detach(), net.classifier.bias.detach()
    expected = []
    for c in range(3) if balance == "per_class" else [None]:
        own, of_val = (
            torch.ones(len(s), dtype=torch.bool) if c is None else s.labels == c for s in (ctx.train, ctx.val)
        )
        members = torch.nonzero(own).flatten()
        with torch.no_grad():
            h, f = (net.embed(s.images().double()[mask]) for s, mask in ((ctx.train, own), (ctx.val, of_val)))
        g = written_out(h, ctx.train.labels[own], layer)
        picked = slow_glister(g, (f, ctx.val.labels[of_val]), layer, 12 if c is None else 4, 0.05)
        expected += members[picked].tolist()
    chosen = GLISTER(GLISTERParams(**PROXY, balance=balance)).select(ctx)
    assert chosen.indices.tolist() == expected
    assert chosen.weights is None


def test_other_validation_images_give_another_set(tmp_path):
    one, other = (
        GLISTER(GLISTERParams(**PROXY)).select(recorded(tmp_path, Budget(ipc=4), toy((4, 3, 5), seed=seed))).indices
        for seed in (9, 10)
    )
    assert one.tolist() != other.tolist()
    assert GLISTERParams().chooses_on_val


def test_validation_images_that_are_no_numbers_fail_the_cell(tmp_path):
    val = toy((4, 3, 5), seed=9)
    val.images()[3] = torch.nan
    with pytest.raises(NodeFailureError, match="the features of 1 of 12 validation images") as failure:
        GLISTER(GLISTERParams(**PROXY)).select(recorded(tmp_path, Budget(ipc=4), val))
    assert failure.value.status == "nan"


def test_the_step_is_as_long_as_the_proxy_nets_unless_said():
    assert GLISTERParams(lr=0.03).step_size == 0.03
    assert GLISTERParams(lr=0.03, eta=0.5).step_size == 0.5


def test_data_without_validation_images_are_refused():
    cell, params = cell_of(Budget(ipc=1)), GLISTERParams()
    info = FakeContext(toy((12, 7, 20)), toy((4, 3, 5), seed=9)).dataset
    assert params.unsupported(cell, info) is None
    none = FakeContext(toy((12, 7, 20)), FakeSplit(torch.zeros(0, 1, 8, 8), torch.zeros(0).long())).dataset
    assert params.unsupported(cell, none) == (
        "gains are measured on validation images, and there are none (--split paper)"
    )
    bare = FakeContext(toy((12, 7, 20)), toy((4, 3), seed=9)).dataset
    assert params.unsupported(cell, bare) == (
        "gains are measured on a class's validation images, and class 2 has none: balance=global"
    )
    assert GLISTERParams(balance="global").unsupported(cell, bare) is None
    assert params.unsupported(cell_of(Budget(ipc=12)), info) is None
    assert "ipc is at most 12" in params.unsupported(cell_of(Budget(ipc=13)), info)


def test_a_share_of_the_recording_is_what_the_plan_charges():
    assert ProxyParams.model_fields.keys() <= GLISTERParams.model_fields.keys()
    info = FakeContext(toy((12, 7, 20)), toy((4, 3, 5), seed=9)).dataset
    assert GLISTERParams().opens("dynamics", cell_of(Budget(ipc=1)), info) == 1.0


def test_weights_are_told_and_paid_for(tmp_path):
    for method, params in FROM_FEATURES:
        ctx = context(tmp_path, Budget(ipc=4))
        chosen = method(params())
        chosen.step(ctx)
        made = chosen.finalise(ctx)
        assert made.storage.weights == (0 if made.weights is None else 4 * len(made))
        assert any("images have weights" in text for text in ctx.warnings) == (made.weights is not None)
