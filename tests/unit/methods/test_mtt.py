"""MTT against a plain loop with all graphs kept, and the parts of trajectory matching."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks.experts import Experts, build
from ddbench.blocks.params import ExpertsParams
from ddbench.blocks.sampling import first_of_each_class
from ddbench.blocks.trajectory import Learned, positive, segment, student_batches
from ddbench.core.specs import Budget, CellSpec, DatasetInfo, DataSpec
from ddbench_plugins.mtt.method import MTT
from ddbench_plugins.mtt.params import MTTParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.mtt import trajectory_loss

FAST = {
    "iterations": 3,
    "experts": 2,
    "expert_epochs": 4,
    "expert_batch": 32,
    "max_start": 2,
    "syn_steps": 3,
    "lr_img": 0.5,
    "lr_lr": 1e-3,
}


@pytest.fixture
def ctx(tmp_path):
    def make(dtype=torch.float32, **params):
        folder = tmp_path / "experts"
        if not folder.exists():
            folder.mkdir()
            build(FakeContext(toy(), toy((2, 2, 2), seed=9)), folder, MTTParams(**FAST).pool)
        split = toy(dtype=dtype)
        return FakeContext(split, toy((2, 2, 2), seed=9), Budget(ipc=2), artifacts={"experts": folder})

    return make


def plain_step(net, start, target, images, labels, lr, batches):
    """The loss with every graph kept, and its gradients."""
    images, lr = images.clone().requires_grad_(), lr.clone().requires_grad_()
    loss = trajectory_loss(net, start, target, images, labels, lr, batches)
    return (loss, *torch.autograd.grad(loss, [images, lr]))


def test_a_run_is_the_plain_algorithm_with_sgd_and_momentum(ctx):
    context = ctx(torch.float64)
    p = MTTParams(**{**FAST, "augment": "none", "batch_syn": 4, "lr_lr": 1e-5})
    method = MTT(p)
    method.prepare(context)
    method.net.double()
    images, lr = method.images.value.clone(), method.lr.value.clone().double()
    method.lr.value = lr.clone()
    optimisers = [torch.optim.SGD([images], lr=p.lr_img, momentum=0.5), torch.optim.SGD([lr], lr=p.lr_lr, momentum=0.5)]
    same = torch.Generator()
    same.set_state(context.generator.get_state())
    for step in range(3):
        context.step = step
        start, target = segment(method.experts, first=0, bound=2, length=2, generator=same)
        batches = student_batches(6, 4, 3, same)
        loss, images.grad, lr.grad = plain_step(
            method.net, start.double(), target.double(), images, method.classes, lr, batches
        )
        [optimiser.step() for optimiser in optimisers]
        assert method.step(context)["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
        torch.testing.assert_close(method.images.value, images, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(method.lr.value, lr, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("steps", "warned"), [(5, False), (6, True)])
def test_a_segment_shorter_than_the_students_way_is_said(ctx, steps, warned):
    """The pool of FAST makes 3 updates between snapshots, and M is 2."""
    context = ctx()
    MTT(MTTParams(**FAST | {"syn_steps": steps})).prepare(context)
    assert any("follows 6 updates of an expert" in text for text in context.warnings) == warned


def test_it_starts_from_randoms_images(ctx):
    context = ctx()
    method = MTT(MTTParams(**FAST))
    method.prepare(context)
    assert torch.equal(method.finalise(context).images, context.train.images(first_of_each_class(context)))


def test_the_learned_rate_travels_in_the_recipe(ctx):
    context = ctx()
    method = MTT(MTTParams(**FAST))
    condensed = run(method, context)
    assert condensed.recipe.lr == pytest.approx(float(method.lr.value))
    assert condensed.recipe.lr != FAST.get("lr_init", 0.001)


@pytest.mark.parametrize("gradients", ["unrolled", "tesla"])
def test_the_ways_to_differentiate_differ_as_they_should(ctx, gradients):
    sets = [run(MTT(MTTParams(**FAST, gradients=way)), ctx()).images for way in ("exact", gradients)]
    close = torch.allclose(*sets, rtol=1e-4, atol=1e-5)
    assert close == (gradients == "unrolled")


def test_kept_graphs_change_nothing(ctx):
    sets = [run(MTT(MTTParams(**FAST, keep_mb=keep)), ctx()).images for keep in (0, 100)]
    torch.testing.assert_close(*sets, rtol=1e-4, atol=1e-5)


def cell(**fields):
    return CellSpec(
        method="mtt", method_version=1, origin="ddbench", params={}, data=DataSpec(name="toy", revision="r"),
        budget=Budget(ipc=1), arch="convnet2-w8-in", master=3, r=2,
    ).model_copy(update=fields)  # fmt: skip


INFO = DatasetInfo(
    "toy", "r", 1, 8, 2, ("a", "b"), (100, 100), (2, 2), 4, default_arch="convnet2-w8-in", flip=False, mean=(), std=()
)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (
            {"expert_epochs": 60, "max_start": 60, "match_snapshots": 3},
            "reaches snapshot 62, and the experts' last is 60",
        ),
        ({"min_start": 20, "max_start": 20}, "the window is empty"),
        (
            {"expert_epochs": 10, "expert_batch": 50, "snapshot_updates": 8, "max_start": 5},
            "reaches snapshot 6, and the experts' last is 5",
        ),
    ],
)
def test_windows_that_no_expert_reaches_are_said_at_plan_time(params, reason):
    assert reason in MTTParams(**params).unsupported(cell(), INFO)


def test_a_window_that_just_fits_is_fine():
    assert MTTParams(expert_epochs=60, max_start=59, match_snapshots=2).unsupported(cell(), INFO) is None


def test_the_pool_is_shared_by_repetitions_unless_asked_otherwise():
    assert MTTParams().artifacts(cell())["experts"].seed == {"master": 3, "r": 0}
    assert MTTParams(expert_seed="per_rep").artifacts(cell())["experts"].seed == {"master": 3, "r": 2}


def test_batches_use_up_permutations_with_the_remainder_first():
    batches = student_batches(5, 2, 6, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [1, 2, 2, 1, 2, 2]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(torch.cat(epoch).tolist()) == [0, 1, 2, 3, 4]
    assert [len(batch) for batch in student_batches(5, 0, 2, torch.Generator())] == [5, 5]


def test_segments_start_in_the_half_open_window_and_span_m_snapshots(tmp_path):
    build(FakeContext(toy(), toy((2, 2, 2), seed=9)), tmp_path, ExpertsParams(experts=2, epochs=5, batch=32))
    pool, generator = Experts(tmp_path), torch.Generator().manual_seed(0)
    known = {pool.snapshot(e, t).sum().item(): (e, t) for e in range(2) for t in range(6)}
    seen = set()
    for _ in range(60):
        start, target = segment(pool, first=1, bound=3, length=2, generator=generator)
        (e, t), (same, end) = known[start.sum().item()], known[target.sum().item()]
        assert (same, end) == (e, t + 2)
        seen.add((e, t))
    assert seen == {(0, 1), (0, 2), (1, 1), (1, 2)}


def test_a_step_size_stays_positive():
    lr = Learned(torch.tensor(0.01), lr=1.0, momentum=0.0, clamp=positive)
    lr.step(torch.tensor(5.0))
    assert float(lr.value) == pytest.approx(1e-5)
