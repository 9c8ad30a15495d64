"""Selectors against brute force on toy arrays, and the shared features they look at."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from ddbench.blocks import features
from ddbench.blocks.clusters import cover
from ddbench.blocks.medoids import nearest_distinct
from ddbench.blocks.params import FeaturesParams
from ddbench.blocks.sampling import class_order
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DataSpec
from ddbench_plugins.full.method import Full
from ddbench_plugins.full.params import FullParams
from ddbench_plugins.herding.method import Herding, herd
from ddbench_plugins.herding.params import HerdingParams
from ddbench_plugins.kcenter.method import KCenter
from ddbench_plugins.kcenter.params import KCenterParams
from ddbench_plugins.kmeans.method import KMeansMedoids
from ddbench_plugins.kmeans.params import KMeansMedoidsParams
from ddbench_plugins.random_subset.method import RandomSubset
from ddbench_plugins.random_subset.params import RandomSubsetParams
from tests.fakes import FakeContext, FakeSplit, run, toy
from tests.parity.reference import herding as reference

LOOKING = [(Herding, HerdingParams), (KCenter, KCenterParams), (KMeansMedoids, KMeansMedoidsParams)]
GREEDY = LOOKING[:2]


def vectors(n, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def context(tmp_path, split, budget, h=None, **fields):
    """A context whose ``features`` artifact holds ``h`` (default: the pixels)."""
    folder = tmp_path / f"features-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    h = split.images().flatten(1) if h is None else h
    save_file({"features": h.float().contiguous()}, folder / features.FILE)
    return FakeContext(split, toy((2, 2, 2), seed=9), budget, artifacts={"features": folder}, **fields)


def select(kind, ctx):
    method, params = kind
    return method(params()).select(ctx).indices


def brute_force_kcenter(h, n):
    picked = [min(range(len(h)), key=lambda j: float((h[j] - h.mean(0)).norm()))]
    while len(picked) < n:
        free = [j for j in range(len(h)) if j not in picked]
        picked.append(max(free, key=lambda j: min(float((h[j] - h[s]).norm()) for s in picked)))
    return picked


@pytest.mark.parametrize("seed", range(5))
def test_herding_equals_brute_force(seed):
    h = vectors(25, seed=seed)
    assert herd(h, 25).tolist() == reference.herd(h, 25).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_kcenter_equals_brute_force(seed):
    h = vectors(25, seed=seed)
    assert cover(h, 25).tolist() == brute_force_kcenter(h, 25)


def test_herding_follows_the_mean_better_than_chance():
    h = vectors(200)
    error = (h[herd(h, 20)].mean(0) - h.mean(0)).norm()
    assert error < 0.2 * (h[:20].mean(0) - h.mean(0)).norm()


def test_kcenter_finds_every_far_cluster():
    centres = 100 * torch.eye(4, dtype=torch.float64)
    h = (centres[:, None] + vectors(40).view(4, 10, 4)).flatten(0, 1)
    assert sorted((cover(h, 4) // 10).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("rule", [herd, cover])
def test_copies_of_one_image_are_still_distinct_rows(rule):
    assert rule(torch.ones(6, 3, dtype=torch.float64), 6).sort().values.tolist() == list(range(6))


def test_medoids_are_the_images_nearest_the_centres_and_never_shared():
    h = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    assert nearest_distinct(torch.tensor([[0.4], [10.6]]), h).tolist() == [0, 3]
    assert nearest_distinct(torch.tensor([[0.1], [0.2]]), h).tolist() == [0, 1]


def test_kmeans_keeps_one_image_of_each_cluster(tmp_path):
    labels = torch.zeros(60, dtype=torch.int64)
    centres = 100 * torch.eye(3)
    h = centres.repeat_interleave(20, 0) + vectors(60, 3).float()
    ctx = context(tmp_path, FakeSplit(torch.zeros(60, 1, 4, 4), labels), Budget(ipc=3), h)
    assert sorted((select(LOOKING[2], ctx) // 20).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("kind", LOOKING)
@pytest.mark.parametrize("budget", [Budget(ipc=4), Budget(ipc=11), Budget(fraction=0.35), Budget(fraction=1.0)])
def test_budget_is_filled_with_distinct_images_of_each_class(tmp_path, kind, budget):
    ctx = context(tmp_path, toy((12, 7, 20)), budget)
    indices = select(kind, ctx)
    assert len(indices.unique()) == len(indices)
    assert ctx.train.labels[indices].bincount(minlength=3).tolist() == list(ctx.per_class)


@pytest.mark.parametrize("kind", GREEDY)
def test_a_budget_starts_with_the_smaller_ones(tmp_path, kind):
    split = toy((30, 30, 30))
    one, ten = (select(kind, context(tmp_path, split, Budget(ipc=n))).view(3, n) for n in (1, 10))
    assert torch.equal(one, ten[:, :1])


@pytest.mark.parametrize("kind", GREEDY)
def test_permuting_the_images_permutes_the_result(tmp_path, kind):
    split = toy((12, 7, 20))
    order = torch.randperm(39, generator=torch.Generator().manual_seed(1))
    shuffled = FakeSplit(split.images()[order], split.labels[order])
    chosen = select(kind, context(tmp_path, split, Budget(ipc=5)))
    assert torch.equal(order[select(kind, context(tmp_path, shuffled, Budget(ipc=5)))], chosen)


@pytest.mark.parametrize("kind", [*LOOKING, (RandomSubset, RandomSubsetParams)])
def test_selection_is_reproducible_and_leaves_global_randomness_alone(tmp_path, kind):
    split = toy((12, 7, 20))
    before = torch.random.get_rng_state()
    first, again = (select(kind, context(tmp_path, split, Budget(ipc=5))) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_random_keeps_the_first_of_the_shared_order(tmp_path):
    ctx = context(tmp_path, toy((12, 7, 20)), Budget(ipc=3))
    expected = torch.cat([class_order(ctx, c)[:3] for c in range(3)])
    assert torch.equal(select((RandomSubset, RandomSubsetParams), ctx), expected)


def test_full_keeps_everything_in_order(tmp_path):
    ctx = context(tmp_path, toy((12, 7, 20)), Budget(ipc=1))
    assert select((Full, FullParams), ctx).tolist() == list(range(39))


def test_selected_set_points_to_real_images_with_their_labels(tmp_path):
    ctx = context(tmp_path, toy((12, 7, 20)), Budget(ipc=3))
    condensed = run(Herding(HerdingParams()), ctx)
    assert condensed.images is None
    assert torch.equal(condensed.labels, ctx.train.labels[condensed.indices])
    assert condensed.storage.images == 9 * 64  # uint8, 8×8 pixels


# ------------------------------------------------------------------------------------------------------- declarations


def cell(budget, **params):
    data = DataSpec(name="toy", revision="0" * 16)
    return CellSpec(
        method="m", method_version=1, origin="o", params=params, data=data, budget=budget,
        arch="convnet2-w8-in", master=3, r=2,
    )  # fmt: skip


def test_selectors_with_equal_proxy_nets_share_one_artifact():
    c = cell(Budget(ipc=1))
    specs = [params(epochs=4).artifacts(c)["features"] for _, params in LOOKING]
    assert specs[0] == ArtifactSpec(
        kind="features",
        data=c.data,
        arch="convnet2-w8-in",
        params={"epochs": 4, "lr": 0.01, "batch": 256},
        seed={"master": 3, "r": 2},
    )
    assert specs[0] == specs[1] == specs[2]
    FeaturesParams.model_validate(specs[0].params)


@pytest.mark.parametrize("params", [*(params for _, params in LOOKING), RandomSubsetParams])
def test_more_images_than_half_of_the_classes_have_are_unsupported(tmp_path, params):
    info = context(tmp_path, toy((12, 7, 20)), Budget(ipc=1)).dataset
    assert params().unsupported(cell(Budget(ipc=12)), info) is None
    assert params().unsupported(cell(Budget(ipc=13)), info) == (
        "ipc is at most 12 here: at least half of the classes must have so many training images"
    )
    assert params().unsupported(cell(Budget(fraction=1.0)), info) is None


# ----------------------------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("kind", LOOKING)
def test_features_that_are_no_numbers_fail_the_cell(tmp_path, kind):
    h = vectors(39).float()
    h[4, 1], h[9, 0] = torch.nan, torch.inf
    ctx = context(tmp_path, toy((12, 7, 20)), Budget(ipc=3), h)
    with pytest.raises(NodeFailureError, match="the features of 2 of 39 images are no numbers") as failure:
        select(kind, ctx)
    assert failure.value.status == "nan"


@pytest.mark.parametrize("kind", LOOKING)
@pytest.mark.parametrize("learned", [True, False])
def test_a_proxy_that_predicts_one_class_for_all_is_told(tmp_path, kind, learned):
    ctx = context(tmp_path, toy((12, 7, 20)), Budget(ipc=3))
    path = ctx.artifacts["features"] / features.FILE
    predicted = ctx.train.labels if learned else torch.full((39,), 2)
    save_file(load_file(path) | {"logits": functional.one_hot(predicted, 3).float()}, path)
    select(kind, ctx)
    assert ["means little" in text for text in ctx.warnings] == [True] * (not learned)


def test_a_proxy_that_diverges_is_a_failure_and_no_features(tmp_path):
    with pytest.raises(NodeFailureError, match="no numbers by epoch 1: lower lr 1e\\+30") as failure:
        features.build(FakeContext(toy(), toy()), tmp_path, FeaturesParams(epochs=2, batch=16, lr=1e30))
    assert failure.value.status == "nan"
    assert not (tmp_path / features.FILE).exists()


def test_features_are_those_of_a_net_that_learned_its_training_images(tmp_path):
    ctx = FakeContext(toy(), toy(seed=0))
    features.build(ctx, tmp_path, FeaturesParams(epochs=15, batch=16))
    stored = load_file(tmp_path / features.FILE)
    assert stored["features"].shape == (90, 32) and stored["logits"].shape == (90, 3)
    assert stored["features"].dtype == torch.float32
    assert (stored["logits"].argmax(1) == ctx.train.labels).double().mean() > 0.95
    assert torch.equal(features.load(tmp_path), stored["features"])
    assert [path.name for path in tmp_path.iterdir()] == [features.FILE]


def test_killed_build_goes_on_to_the_same_features(tmp_path):
    params = FeaturesParams(epochs=3, batch=16)

    class Killed(FakeContext):
        def progress(self, done, total, what=""):
            if what.startswith("epochs") and done == 2 and not resumed:
                raise KeyboardInterrupt

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        features.build(Killed(toy(), toy()), tmp_path / "parts", params)
    assert list((tmp_path / "parts").iterdir())
    resumed = True
    features.build(Killed(toy(), toy()), tmp_path / "parts", params)
    features.build(FakeContext(toy(), toy()), tmp_path / "whole", params)
    assert torch.equal(features.load(tmp_path / "parts"), features.load(tmp_path / "whole"))


def test_chunks_change_nothing_but_speed():
    ctx = FakeContext(toy(dtype=torch.float64), toy())
    images = ctx.train.images()
    net = features.frozen(ctx.build_model(seed=0), images)
    torch.testing.assert_close(features.embed(net, images, 7), net.embed(images), rtol=1e-12, atol=1e-12)


def test_chunk_is_what_fits_the_largest_activation():
    ctx = FakeContext(toy(), toy())
    net = ctx.build_model(seed=0)  # largest activation: 8 channels of 8×8 float32
    assert features.chunk_size(net, ctx.train.images()[:1]) == features.CPU_CHUNK_BYTES // (8 * 8 * 8 * 4)
