"""DM: the fast form against the plain loop, and what the core relies on."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import features
from ddbench.blocks.features import frozen
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench_plugins.dm.method import DM
from ddbench_plugins.dm.params import DMParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.dm import dm_loss, dm_step

FAST = DMParams(iterations=3, batch_real=8)


def context(counts=(30, 12, 20), *, dtype=torch.float32, **fields):
    return FakeContext(toy(counts, channels=3, dtype=dtype), toy((2, 2, 2), seed=1), flip=True, **fields)


@pytest.mark.parametrize("norm", ["in", "nn"])
@pytest.mark.parametrize("budget", [Budget(ipc=2), Budget(fraction=0.2)])
def test_concatenated_classes_equal_the_class_loop(norm, budget):
    ctx = context(dtype=torch.float64, norm=norm, budget=budget)
    method = DM(DMParams(batch_real=16))
    method.prepare(ctx)
    counts, real_counts = method.counts, method.sampler.counts(16)
    assert real_counts == [16, 12, 16]
    net = frozen(ctx.build_model(seed=5), method.images.value)
    real = ctx.train.images(method.sampler.draw(16, torch.Generator().manual_seed(1)))
    syn = method.images.value.clone().requires_grad_()
    fast = method.loss(net, *method.augmented(real, real_counts, syn, torch.Generator().manual_seed(2)), real_counts)

    same = torch.Generator().manual_seed(2)
    draws = [method.augment.draw(same) for _ in counts]
    transforms = [lambda x, draw=draw: method.augment(x, draw) for draw in draws]
    plain = dm_loss(net, real.split(real_counts), syn.split(counts), transforms)

    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=0)
    gradients = [torch.autograd.grad(loss, syn)[0] for loss in (fast, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_updates_are_those_of_sgd_with_momentum():
    ctx = context(dtype=torch.float64)
    method = DM(DMParams(iterations=4, batch_real=8, augment="none", lr_img=0.7, momentum=0.6))
    method.prepare(ctx)
    images = method.images.value.clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=0.7, momentum=0.6)
    generator = torch.Generator()
    generator.set_state(ctx.generator.get_state())
    for step in range(4):
        ctx.step = step
        real = ctx.train.images(method.sampler.draw(8, generator)).split([8, 8, 8])
        net = ctx.build_model(seed=ctx.seed("net", str(step)))
        loss = dm_step(net, real, images, method.counts, optimiser)
        assert method.step(ctx)["loss"] == pytest.approx(loss, rel=1e-10)
    torch.testing.assert_close(method.images.value, images.detach(), rtol=1e-10, atol=1e-12)


def test_starts_from_the_images_that_random_keeps():
    ctx = context()
    method = DM(FAST)
    method.prepare(ctx)
    assert torch.equal(method.images.value, ctx.train.images(first_of_each_class(ctx)))
    assert torch.equal(method.finalise(ctx).labels, ctx.train.labels[first_of_each_class(ctx)])


def test_noise_may_start_more_images_than_a_class_has():
    ctx = context(budget=Budget(ipc=40))
    method = DM(DMParams(init="noise"))
    method.prepare(ctx)
    assert method.images.value.shape == (120, 3, 8, 8)
    assert abs(float(method.images.value.std()) - 1) < 0.05


def test_training_images_are_left_alone():
    ctx = context(budget=Budget(fraction=1.0))
    before = ctx.train.images().clone()
    run(DM(FAST), ctx)
    assert torch.equal(ctx.train.images(), before)


def test_loss_falls():
    ctx = context(budget=Budget(ipc=1))
    method = DM(DMParams(iterations=60, batch_real=30, lr_img=0.2))
    method.prepare(ctx)
    losses = []
    for ctx.step in range(60):
        losses.append(method.step(ctx)["loss"])
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_absent_classes_get_no_images():
    split = toy((10, 10, 10))
    keep = split.labels != 1
    split.labels, split._images = split.labels[keep], split._images[keep]
    ctx = FakeContext(split, toy((2, 2, 2), seed=1))
    assert run(DM(FAST), ctx).labels.tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize("params", [FAST, DMParams(iterations=3, batch_real=8, init="noise", augment="none")])
def test_interrupted_run_resumes_to_the_same_set(params):
    whole = run(DM(params), context(), steps=3)

    first = context()
    method = DM(params)
    run(method, first, steps=2)
    state, generator = method.state_dict(), first.generator.get_state()

    second = context()
    resumed = DM(params)
    resumed.prepare(second)
    resumed.load_state_dict(state)
    second.generator.set_state(generator)
    second.step = 2
    resumed.step(second)
    assert torch.equal(resumed.finalise(second).images, whole.images)


def test_finalise_is_pure_and_detached():
    ctx = context()
    method = DM(FAST)
    method.prepare(ctx)
    snapshot = method.finalise(ctx)
    kept = snapshot.images.clone()
    method.step(ctx)
    assert torch.equal(snapshot.images, kept)
    assert not torch.equal(method.finalise(ctx).images, kept)
    assert not method.finalise(ctx).images.requires_grad
    assert snapshot.storage.images == 6 * 3 * 64 * 4


def test_same_seed_same_set_and_global_randomness_untouched():
    before = torch.random.get_rng_state()
    first, again, other = (run(DM(FAST), context(master=master)).images for master in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_step_has_a_network_of_its_own():
    ctx, seeds = context(), []
    build = ctx.build_model
    method = DM(FAST)
    method.prepare(ctx)
    ctx.build_model = lambda arch=None, *, seed: (seeds.append(seed), build(arch, seed=seed))[1]
    for ctx.step in range(3):
        method.step(ctx)
    assert len(set(seeds)) == 3


def test_batch_norm_sees_all_classes_of_a_side_at_once(monkeypatch):
    """Statistics are those of the whole batch, real and synthetic images apart (the authors' second branch)."""
    ctx = context(dtype=torch.float64, norm="bn", arch="convnet2-w8-bn")
    monkeypatch.setattr(features, "CPU_CHUNK_BYTES", 1)  # without batch norm, one image per pass
    method = DM(DMParams(batch_real=8, augment="none"))
    method.prepare(ctx)
    net = frozen(ctx.build_model(seed=5), method.images.value)
    real = ctx.train.images(method.sampler.draw(8, torch.Generator().manual_seed(1)))
    ours = method.loss(net, real, method.images.value, [8, 8, 8])
    net.train()
    x, s = net.embed(real).view(3, 8, -1).mean(1), net.embed(method.images.value).view(3, 2, -1).mean(1)
    torch.testing.assert_close(ours, (x - s).square().sum())
    assert not torch.allclose(
        ours, dm_loss(net, real.split(8), method.images.value.split(2))
    )  # class by class is another loss


def test_more_images_than_half_of_the_classes_have_are_unsupported():
    info = context().dataset

    def reason(arch, ipc, **params):
        data = DataSpec(name="toy", revision="0" * 16)
        cell = CellSpec(
            method="dm", method_version=1, origin="o", params={}, data=data, budget=Budget(ipc=ipc),
            arch=arch, master=0, r=0,
        )  # fmt: skip
        return DMParams(**params).unsupported(cell, info)

    assert reason("convnet2-w8-in", 20) is None
    assert reason("convnet2-w8-bn", 20) is None
    assert "ipc is at most 20" in reason("convnet2-w8-in", 21)
    assert reason("convnet2-w8-in", 21, init="noise") is None
