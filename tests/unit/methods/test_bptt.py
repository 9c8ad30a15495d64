"""dd, bptt and rat_bptt: against loops that keep all graphs, and what their sets say about how to be trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ddbench.blocks.augment import named
from ddbench.blocks.bptt import RunningNorm, averaged, clipped, loss_on
from ddbench.blocks.functional import FlatModel, flatten
from ddbench.blocks.unroll import Unrolled
from ddbench.core.specs import Budget, CellSpec, DatasetInfo, DataSpec
from ddbench_plugins.bptt.method import BPTT, xavier
from ddbench_plugins.bptt.params import MomentumParams
from ddbench_plugins.dd.method import DD, one_of_each
from ddbench_plugins.dd.params import DDParams
from ddbench_plugins.rat_bptt.method import RaTBPTT, first_logits, sphere
from ddbench_plugins.rat_bptt.params import RaTBPTTParams
from tests.fakes import FakeContext, run, toy

DD_FAST = {"iterations": 3, "epochs": 2, "batch_real": 20}
BPTT_FAST = {"iterations": 3, "inner_steps": 3, "batch_real": 6}
RAT_FAST = {"iterations": 3, "total": 6, "window": 2, "batch_real": 20}

METHODS = {
    "dd": lambda **more: DD(DDParams(**DD_FAST | more)),
    "dd-fixed": lambda **more: DD(DDParams(**DD_FAST | {"fixed_init": True} | more)),
    "bptt": lambda **more: BPTT(MomentumParams(**BPTT_FAST | more)),
    "rat": lambda **more: RaTBPTT(RaTBPTTParams(**RAT_FAST | more)),
    "rat-labels": lambda **more: RaTBPTT(RaTBPTTParams(**RAT_FAST | {"learn_labels": True} | more)),
}


def context(counts=(30, 12, 20), *, dtype=torch.float32, norm="nn", **fields):
    return FakeContext(toy(counts, dtype=dtype), toy((2, 2, 2), seed=1), norm=norm, width=4, **fields)


def same_generator(ctx):
    generator = torch.Generator()
    generator.set_state(ctx.generator.get_state())
    return generator


def fresh(ctx, *seed):
    net = ctx.build_model(seed=ctx.seed("net", *seed))
    return FlatModel.of(net), flatten(list(net.parameters()))


def trained(model, theta, steps, images, labels, move):
    """Train with all graphs kept; ``move(theta, gradient, step)`` gives the next parameters."""
    theta = theta.requires_grad_()
    for i, batch in enumerate(steps):
        loss = functional.cross_entropy(model(theta, images[batch]), labels[batch])
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = move(theta, gradient, i)
    return theta


def test_dd_is_adam_on_images_and_raw_rates_through_ordered_steps_of_gradient_descent():
    ctx = context(dtype=torch.float64, budget=Budget(ipc=2))
    method = METHODS["dd"](iterations=4, halvings=1)
    method.prepare(ctx)
    method.raw.data = method.raw.double()
    method.outer = type(method.outer)([method.images, method.raw], 0.01, betas=(0.5, 0.999))
    images, raw = method.images.clone().requires_grad_(), method.raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([images, raw], lr=0.01, betas=(0.5, 0.999))
    generator = same_generator(ctx)
    assert method.labels.tolist() == [0, 1, 2, 0, 1, 2]
    for step in range(4):
        ctx.step = step
        real = torch.randperm(62, generator=generator)[:20]
        model, theta = fresh(ctx, str(step))
        rates = functional.softplus(raw)
        order = [torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])] * 2
        theta = trained(model, theta, order, images, method.labels, lambda th, g, i, r=rates: th - r[i] * g)
        loss = functional.cross_entropy(model(theta, ctx.train.images(real)), ctx.train.labels[real])
        optimiser.param_groups[0]["lr"] = 0.01 if step < 2 else 0.005
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert method.step(ctx)["loss"] == pytest.approx(float(loss.detach()), rel=1e-10)
        torch.testing.assert_close(method.images, images.detach(), rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(method.raw, raw.detach(), rtol=1e-8, atol=1e-10)


def test_bptt_is_clipped_sgd_on_images_through_sgd_with_momentum():
    ctx = context(dtype=torch.float64, budget=Budget(ipc=3))
    p = MomentumParams(**BPTT_FAST | {"iterations": 3, "n_per_class": 2, "clip": 3e-5, "n_nets": 2})
    method = BPTT(p)
    method.prepare(ctx)
    images = method.images.value.clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=0.1, momentum=0.5)
    generator = same_generator(ctx)
    for step in range(3):
        ctx.step = step
        real = method.real.draw(6, generator)
        x, y = ctx.train.images(real), ctx.train.labels[real]
        assert y.bincount().tolist() == [6, 6, 6]
        losses = []
        for which in ((), ("1",)):
            model, theta = fresh(ctx, str(step), *which)
            steps = [method.sampler.draw(2, generator) for _ in range(3)]
            velocity = [torch.zeros_like(theta)]

            def move(theta, gradient, step, velocity=velocity):
                velocity[0] = 0.9 * velocity[0] + gradient
                return theta - 0.01 * velocity[0]

            theta = trained(model, theta, steps, images, method.classes, move)
            losses.append(functional.cross_entropy(model(theta, x), y))
        loss = sum(losses) / 2
        optimiser.zero_grad()
        loss.backward()
        assert float(images.grad.norm()) > 3e-5
        images.grad *= 3e-5 / images.grad.norm()
        optimiser.step()
        assert method.step(ctx)["loss"] == pytest.approx(float(loss.detach()), rel=1e-10)
        torch.testing.assert_close(method.images.value, images.detach(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("random_window", [True, False])
def test_rat_goes_back_through_a_window_of_adam_alone(random_window):
    """A window of 2 in 6 steps, all written out: moments and the count of steps go on, but as constants."""
    ctx = context(dtype=torch.float64)
    p = {"augment": "none", "iterations": 1, "n_per_class": 1, "random_window": random_window}
    method = METHODS["rat"](**p)
    method.prepare(ctx)
    images, generator = method.images.clone().requires_grad_(), same_generator(ctx)
    before = int(torch.randint(5, (1,), generator=generator)) if random_window else 4
    real = torch.randperm(62, generator=generator)[:20]
    steps = [method.sampler.draw(1, generator) for _ in range(before + 2)]
    model, theta = fresh(ctx, "0")
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    for i, batch in enumerate(steps):
        theta = theta.detach().requires_grad_() if i <= before else theta
        x = images[batch] if i >= before else images[batch].detach()
        loss = functional.cross_entropy(model(theta, x), method.classes[batch])
        (g,) = torch.autograd.grad(loss, theta, create_graph=i >= before)
        m, v = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.square()) if i > before else (
            0.9 * m.detach() + 0.1 * g, 0.999 * v.detach() + 0.001 * g.square()
        )  # fmt: skip
        alive = v.detach() > 0
        root = torch.zeros_like(v).index_put((alive,), (v[alive] / (1 - 0.999 ** (i + 1))).sqrt())
        theta = theta - 1e-3 * (m / (1 - 0.9 ** (i + 1))) / (root + 1e-8)
    loss = functional.cross_entropy(model(theta, ctx.train.images(real)), ctx.train.labels[real])
    (gradient,) = torch.autograd.grad(loss, images)
    taken = []
    method.outer.step = taken.append
    assert method.step(ctx)["loss"] == pytest.approx(float(loss.detach()), rel=1e-10)
    torch.testing.assert_close(taken[0][0], gradient, rtol=1e-6, atol=1e-10)


def test_windows_begin_everywhere_in_the_training():
    ctx, method, lengths = context(), METHODS["rat"](augment="none"), set()
    method.prepare(ctx)
    method.train = lambda *given, window: (lengths.add((len(given[5]()), window)), real(*given, window=window))[1]
    real = RaTBPTT.train.__get__(method)
    for ctx.step in range(30):
        method.step(ctx)
    assert lengths == {(n, 2) for n in range(2, 7)}


@pytest.mark.parametrize("name", METHODS)
def test_losses_fall(name):
    dd = {"lr_init": 0.2, "lr_img": 0.1}
    rat = {"lr_img": 0.1, "lr_inner": 0.02, "augment": "none", "lr_labels": 0.1, "random_window": False}
    more = {"dd": dd, "dd-fixed": dd, "bptt": {"lr_img": 20.0, "lr_inner": 0.1}}
    ctx, losses = context(budget=Budget(ipc=1), norm="in"), []
    method = METHODS[name](**{"iterations": 24, "batch_real": 60, **more.get(name, rat)})
    method.prepare(ctx)
    for ctx.step in range(24):
        losses.append(method.step(ctx)["loss"])
    assert sum(losses[-6:]) < 0.92 * sum(losses[:6])


def replayed(ctx, condensed, start):
    """What the recipe of an ordered set says, in a loop of its own: gradient descent, batch after batch."""
    recipe, model, theta = condensed.recipe, FlatModel.of(ctx.build_model(seed=0)), start
    batches = list(torch.arange(len(condensed)).split(recipe.batch))
    for i in range(recipe.updates):
        batch = batches[i % len(batches)]
        theta = theta.detach().requires_grad_()
        loss = functional.cross_entropy(model(theta, condensed.images[batch]), condensed.labels[batch])
        theta = theta - recipe.lrs[i] * torch.autograd.grad(loss, theta)[0]
    return model, theta.detach()


@pytest.mark.parametrize("budget", [Budget(ipc=2), Budget(fraction=0.2)])
def test_a_dd_set_is_trained_on_as_it_was_made(budget):
    """Following the recipe from the state that the set carries gives the loss that the method's next step reports."""
    ctx = context(budget=budget)
    method = METHODS["dd-fixed"](iterations=9, lr_init=0.1)
    condensed = run(method, ctx, steps=3)
    recipe = condensed.recipe
    assert (recipe.order, recipe.momentum, recipe.weight_decay, recipe.augmentation) == ("fixed", 0, 0, "none")
    assert recipe.initial and recipe.schema_version == 2 and len(set(recipe.lrs)) > 1
    model, theta = replayed(ctx, condensed, condensed.aux["initial"])
    real = torch.randperm(62, generator=same_generator(ctx))[:20]
    with torch.no_grad():
        loss = functional.cross_entropy(model(theta, ctx.train.images(real)), ctx.train.labels[real])
    assert method.step(ctx)["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_the_order_of_a_dd_set_matters():
    ctx = context(budget=Budget(ipc=3))
    method = METHODS["dd"](iterations=40, lr_init=0.1, epochs=1)
    condensed = run(method, ctx)
    x, y = ctx.train.images(), ctx.train.labels
    turned = replace(condensed, images=condensed.images.view(3, 3, 1, 8, 8).flip(0).reshape(9, 1, 8, 8))

    def loss(made):
        found = [replayed(ctx, made, fresh(ctx, "held out", str(i))[1]) for i in range(5)]
        return sum(float(functional.cross_entropy(model(theta, x), y)) for model, theta in found)

    assert loss(condensed) < loss(turned)


def test_a_dd_set_counts_its_rates_and_its_initial_state():
    ctx = context(budget=Budget(ipc=2))
    for name, initial in (("dd", 0), ("dd-fixed", None)):
        condensed = run(METHODS[name](), ctx, steps=0)
        size = condensed.storage
        assert (size.images, size.labels, size.lrs) == (4 * 6 * 64, 6, 4 * 4)
        assert condensed.recipe.lrs == pytest.approx([0.02] * 4)
        assert size.initial == (
            4 * sum(p.numel() for p in ctx.build_model(seed=0).parameters()) if initial is None else 0
        )
    assert DDParams(fixed_init=True).own_student and not DDParams().own_student


def test_batches_have_one_image_of_each_class_and_what_is_left_comes_last():
    labels = torch.tensor([0, 0, 1, 1, 1, 3])
    order = one_of_each((2, 3, 0, 1))
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4, 5]
    assert labels[order].tolist() == [0, 1, 3, 0, 1, 1]


def test_adams_bound_is_twice_the_running_mean_of_norms():
    norm, bounds = RunningNorm(0.9), []
    for size in (1.0, 2.0, 100.0):
        g = torch.tensor([0.0, size])
        bounds.append(2 * norm.seen(g))
        assert float(clipped(g, bounds[-1]).norm()) == pytest.approx(min(size, bounds[-1]))
    assert bounds == pytest.approx([2.0, 2 * 1.1, 2 * (0.9 * 1.1 + 0.1 * 100)])


def test_the_outer_loss_has_the_gradient_of_the_whole_batch(monkeypatch):
    ctx = context(dtype=torch.float64)
    net = ctx.build_model(seed=1)
    x, y = ctx.train.images(), ctx.train.labels
    monkeypatch.setattr("ddbench.blocks.bptt.PART", 7 * 64)
    theta = flatten(list(net.parameters())).requires_grad_()
    whole = functional.cross_entropy(FlatModel.of(net)(theta, x), y)
    parts = loss_on(net, x, y)(theta)
    assert float(parts.detach()) == pytest.approx(float(whole.detach()), rel=1e-12)
    found = [torch.autograd.grad(loss, theta)[0] for loss in (parts, whole)]
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


def test_students_are_averaged():
    found = [Unrolled(*(torch.full((2,), float(value)) for _ in range(5))) for value in (1, 3)]
    mean = averaged(found)
    assert all(float(part[0]) == 2.0 for part in (mean.loss, mean.grad_images, mean.grad_labels, mean.grad_lr))
    assert averaged(found[:1]) is found[0]


@pytest.mark.parametrize("name", METHODS)
def test_interrupted_run_resumes_to_the_same_set(name):
    whole = run(METHODS[name](), context(), steps=3)
    first, method = context(), METHODS[name]()
    run(method, first, steps=2)
    state, generator = method.state_dict(), first.generator.get_state()
    second, resumed = context(), METHODS[name]()
    resumed.prepare(second)
    resumed.load_state_dict(state)
    second.generator.set_state(generator)
    second.step = 2
    resumed.step(second)
    again = resumed.finalise(second)
    assert torch.equal(again.images, whole.images) and torch.equal(again.labels, whole.labels)
    assert again.recipe == whole.recipe


@pytest.mark.parametrize("form", ["multi-formation", "upsampled"])
@pytest.mark.parametrize("name", ["bptt", "rat"])
def test_what_is_stored_may_decode_to_images(name, form):
    ctx = context()
    method = METHODS[name](parametrisation=form)
    condensed = run(method, ctx)
    assert torch.equal(condensed.images, method.form.decode(condensed.aux["codes"]))
    assert not torch.equal(condensed.aux["codes"], method.start)


def test_first_images_and_labels():
    noise = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    bound = (6 / (60 + 64)) ** 0.5
    uniform = xavier(noise)
    assert float(uniform.abs().max()) <= bound
    assert float(uniform.var()) == pytest.approx(bound**2 / 3, rel=0.05)
    assert sphere(noise).flatten(1).norm(dim=1).tolist() == pytest.approx([1.0] * 60)
    probabilities = first_logits(torch.tensor([2, 0]), 5).softmax(1)
    assert probabilities.flatten().tolist() == pytest.approx(
        [0.025, 0.025, 0.9, 0.025, 0.025, 0.9, 0.025, 0.025, 0.025, 0.025]
    )


def test_learned_labels_travel_as_logits_with_their_classes():
    condensed = run(METHODS["rat-labels"](), context())
    assert condensed.label_space == "logits" and condensed.labels.shape == (6, 3)
    assert condensed.aux["classes"].tolist() == [0, 0, 1, 1, 2, 2]
    assert not torch.equal(condensed.labels, first_logits(condensed.aux["classes"], 3))


def test_recipes_say_how_students_were_trained():
    bptt, rat = (run(METHODS[name](), context(), steps=0).recipe for name in ("bptt", "rat"))
    assert (bptt.lr, bptt.momentum, bptt.updates, bptt.batch, bptt.schedule) == (0.01, 0.9, 300, 640, "constant")
    assert (rat.optimiser, rat.lr, rat.updates, rat.batch) == ("adam", 1e-3, 6, 6)


@pytest.mark.parametrize("name", ["bptt", "rat"])
def test_students_of_the_recipe_see_what_students_of_the_method_saw(name):
    ctx, method = context(flip=True), METHODS[name](augment="flip_rotate")
    recipe = run(method, ctx, steps=0).recipe
    x, seen = ctx.train.images(), named(recipe.augmentation, ctx.dataset.flip)
    for seed in range(6):
        one, other = (torch.Generator().manual_seed(seed) for _ in range(2))
        assert torch.equal(seen(x, one), method.dsa(x, method.dsa.draw(other, n=len(x))))


def cell(**fields):
    return CellSpec(
        method="bptt", method_version=1, origin="ddbench", params={}, data=DataSpec(name="toy", revision="r"),
        budget=Budget(ipc=1), arch="convnet2-w8-in", master=3, r=2,
    ).model_copy(update=fields)  # fmt: skip


INFO = DatasetInfo(
    "toy", "r", 1, 8, 2, ("a", "b"), (100, 100), (2, 2), 4, default_arch="convnet2-w8-in", flip=False, mean=(), std=()
)


@pytest.mark.parametrize("params", [DDParams(), MomentumParams(), RaTBPTTParams()])
def test_networks_with_statistics_are_refused_at_plan_time(params):
    assert params.unsupported(cell(), INFO) is None
    assert "batch norm" in params.without_statistics


def test_a_window_longer_than_the_training_is_refused():
    assert "longer than the training of 5" in RaTBPTTParams(total=5, window=6).unsupported(cell(), INFO)
