"""DC and DSA: the loops as published, the distance at its edges, and what is augmented how."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import gradients
from ddbench.blocks.augment import DSA
from ddbench.blocks.matching import gradient_distance
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import Budget
from ddbench.plan.presets import choose
from ddbench_plugins.dc.method import DC
from ddbench_plugins.dc.params import DCParams
from ddbench_plugins.dsa.method import DSAMatching
from ddbench_plugins.dsa.params import DSAParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.dc import dc_step

LOOPS = {"iterations": 2, "outer_steps": 3, "inner_epochs": 2, "batch_real": 4, "batch_net": 4}


def context(dtype=torch.float64, **fields):
    return FakeContext(toy(dtype=dtype), toy((2, 2, 2), seed=9), Budget(ipc=2), **fields)


def plain(ctx, p, images):
    """The two loops as written, with torch's own optimiser for pixels and network; draws from ``ctx`` in order."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    images = images.clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=p.lr_img, momentum=p.momentum)
    probe = DC(p)
    probe.learn(ctx)
    for k in range(p.iterations):
        net = ctx.build_model(seed=ctx.seed("net", str(k)))
        network = torch.optim.SGD(net.parameters(), lr=p.lr_net)
        for t in range(p.outer_steps):
            real = ctx.train.images(probe.sampler.draw(p.batch_real, ctx.generator)).split(p.batch_real)
            dc_step(net, real, images, [2, 2, 2], optimiser)
            if t == p.outer_steps - 1:
                break
            for _ in range(p.inner_epochs):
                for index in torch.randperm(6, generator=ctx.generator).split(p.batch_net):
                    network.zero_grad()
                    functional.cross_entropy(net(images.detach()[index]), labels[index]).backward()
                    network.step()
    return images.detach()


def test_dc_is_the_published_double_loop():
    p = DCParams(**LOOPS, init="real")
    start = DC(p)
    start.prepare(context())
    expected = plain(context(), p, start.images.value)
    condensed = run(DC(p), context())
    torch.testing.assert_close(condensed.images.double(), expected.float().double(), rtol=1e-6, atol=1e-6)


def test_with_one_matching_per_network_no_network_is_trained(monkeypatch):
    trained = []

    def forbidden(*args, **kwargs):
        trained.append(args)
        raise AssertionError("a network was trained")

    monkeypatch.setattr(gradients, "Trainer", forbidden)
    run(DC(DCParams(iterations=3, batch_real=4)), ctx := context())
    assert (trained, ctx.step) == ([], 3)


def test_a_step_is_one_matching_so_that_work_is_bounded():
    assert DCParams(iterations=1000, outer_steps=10).steps == 10_000
    ctx = context()
    run(DC(DCParams(**LOOPS)), ctx)
    assert ctx.step == 6


def test_dc_starts_from_noise_and_dsa_from_real_images():
    noise, real = DC(DCParams(**LOOPS)), DSAMatching(DSAParams(**LOOPS))
    noise.prepare(context())
    real.prepare(ctx := context())
    assert abs(float(noise.images.value.mean())) < 0.2
    assert all((ctx.train.images() == image).flatten(1).all(1).any() for image in real.images.value)


def test_both_sides_of_a_class_see_one_draw_per_step(monkeypatch):
    seen = []
    called = DSA.__call__
    monkeypatch.setattr(DSA, "__call__", lambda self, images, draw: seen.append(draw) or called(self, images, draw))
    method = DSAMatching(DSAParams(**{**LOOPS, "outer_steps": 1}))
    method.prepare(ctx := context())
    method.step(ctx)
    real, syn = seen
    for c in range(3):
        rows = [draw.u[c * n : (c + 1) * n] for draw, n in ((real, 4), (syn, 2))]
        assert len(torch.unique(torch.cat(rows), dim=0)) == 1
    assert len(torch.unique(real.u, dim=0)) == 3


def test_matching_and_training_are_timed_apart():
    method = DC(DCParams(**LOOPS))
    run(method, ctx := context())
    said = method.diagnostics(ctx)
    assert said["matching_s"] > 0 and said["training_s"] > 0
    once = DC(DCParams(iterations=2, batch_real=4))
    run(once, ctx := context())
    assert once.diagnostics(ctx)["training_s"] == 0


def test_batch_norm_stands_still_while_gradients_are_matched():
    ctx = context(norm="bn", arch="convnet2-w8-bn")
    method = DC(DCParams(**LOOPS))
    method.prepare(ctx)
    net = method.network(ctx)
    before = [buffer.clone() for buffer in net.buffers()]
    real, counts, _, syn = method.batches(ctx)
    method.match(net, real, counts, syn)
    assert all(torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True))
    assert all(int(b) == 1 for name, b in net.named_buffers() if name.endswith("num_batches_tracked"))


# -------------------------------------------------------------------------------------------------------------- distance


def test_vectors_count_nothing_and_zero_rows_count_one():
    real = [torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([5.0])]
    syn = [torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([-5.0])]
    assert float(gradient_distance(real, syn)) == pytest.approx(0.0 + 1.0, abs=1e-5)


def test_opposite_rows_count_two_and_a_zero_row_has_a_finite_gradient():
    weight = torch.zeros(2, 3, requires_grad=True)
    loss = gradient_distance([torch.ones(2, 3)], [weight])
    (gradient,) = torch.autograd.grad(loss, weight)
    assert torch.isfinite(gradient).all()
    assert float(gradient_distance([torch.ones(1, 3)], [-torch.ones(1, 3)])) == pytest.approx(2.0, abs=1e-5)


def test_gradients_of_other_parameters_are_refused():
    with pytest.raises(ValueError, match="different parameters"):
        gradient_distance([torch.ones(2, 3)], [torch.ones(3, 2)])


# --------------------------------------------------------------------------------------------------------------- presets


@pytest.mark.parametrize("name", ["dc", "dsa"])
@pytest.mark.parametrize(
    ("ipc", "loops"),
    [(1, (1, 1)), (2, (2, 50)), (3, (2, 50)), (5, (5, 50)), (10, (10, 50)), (15, (10, 50)), (20, (20, 25)), (30, (30, 20)), (40, (40, 15)), (50, (50, 10)), (70, (50, 10))],
)  # fmt: skip
def test_loops_follow_the_authors_table_and_its_nearest_smaller_budget(name, ipc, loops):
    chosen = choose(installed().methods.get(name), "cifar10", Budget(ipc=ipc), "paper").params
    assert (chosen["outer_steps"], chosen["inner_epochs"], chosen["iterations"]) == (*loops, 1000)


def test_dsa_is_the_published_double_loop():
    """DC's loops, with one draw per class for both sides, and networks trained on images augmented one by one."""
    p = DSAParams(**LOOPS)
    method = DSAMatching(p)
    method.prepare(ctx := context())
    images, labels = method.images.value.clone().requires_grad_(), torch.tensor([0, 0, 1, 1, 2, 2])
    optimiser = torch.optim.SGD([images], lr=p.lr_img, momentum=p.momentum)
    dsa = DSA.for_dataset(flip=False)
    for k in range(p.iterations):
        net = ctx.build_model(seed=ctx.seed("net", str(k)))
        network = torch.optim.SGD(net.parameters(), lr=p.lr_net)
        for t in range(p.outer_steps):
            real = ctx.train.images(method.sampler.draw(p.batch_real, ctx.generator)).split(p.batch_real)
            draws = [dsa.draw(ctx.generator) for _ in range(3)]
            weights = [q for q in net.parameters() if q.ndim > 1]
            loss = 0
            for c, draw in enumerate(draws):
                pair = (dsa(real[c], draw), dsa(images[2 * c : 2 * c + 2], draw))
                a, b = (
                    torch.autograd.grad(
                        functional.cross_entropy(net(x), torch.full((len(x),), c)), weights, create_graph=True
                    )
                    for x in pair
                )
                loss = loss + gradient_distance(a, b)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if t == p.outer_steps - 1:
                break
            for _ in range(p.inner_epochs):
                for index in torch.randperm(6, generator=ctx.generator).split(p.batch_net):
                    seen = images.detach()[index]
                    seen = dsa(seen, dsa.draw(ctx.generator, n=len(seen)))
                    network.zero_grad()
                    functional.cross_entropy(net(seen), labels[index]).backward()
                    network.step()
    condensed = run(DSAMatching(p), context())
    torch.testing.assert_close(condensed.images.double(), images.detach().float().double(), rtol=1e-6, atol=1e-6)


def test_batch_norm_is_fixed_anew_on_real_images_before_every_matching():
    """One forward pass of 16 real images per class in train mode; training in between moves the statistics on."""
    p = DCParams(**LOOPS | {"batch_real": 20})
    method = DC(p)
    method.prepare(ctx := context(norm="bn", arch="convnet2-w8-bn"))
    probe = torch.Generator()
    for ctx.step in range(3):
        probe.set_state(ctx.generator.get_state())
        seen = ctx.train.images(method.sampler.draw(16, probe))
        assert len(seen) == 48
        kept = ctx.build_model(seed=ctx.seed("net", "0"))
        if ctx.step:
            kept.load_state_dict(method.net.state_dict())
        with torch.no_grad():
            kept.train()(seen)
        net = method.network(ctx)
        for ours, expected in zip(net.buffers(), kept.buffers(), strict=True):
            torch.testing.assert_close(ours, expected)
        norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        assert norms and not any(module.training for module in norms)
        before = [buffer.clone() for buffer in net.buffers()]
        method.train(ctx)
        moved = [not torch.equal(a, b) for a, b in zip(before, net.buffers(), strict=True)]
        assert all(moved) == (ctx.step < 2) and any(moved) == (ctx.step < 2)
