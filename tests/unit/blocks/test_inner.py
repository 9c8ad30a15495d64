"""Inner optimisers: what the reverse pass finds against loops written here, finite differences, and torch's Adam."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import unroll
from ddbench.blocks.functional import flatten
from ddbench.blocks.inner import AdamInner, SGDInner
from ddbench.blocks.unroll import backward, through
from ddbench.models import build_model
from ddbench.models.fused import block, library

N_IMAGES, CLASSES, HIDDEN, SIDE = 8, 4, 5, 3
STEPS = 4
RATES = torch.tensor([0.05, 0.02, 0.09, 0.01], dtype=torch.float64)


@pytest.fixture(params=["eager", "fused"])
def engine(request):
    if request.param == "fused" and library.missing():
        pytest.skip(library.missing())
    block.turn(request.param == "fused")
    yield request.param
    block.turn(False)


class Small(torch.nn.Module):
    """One hidden layer, whose first unit is dead: gradients of its weights are exactly 0."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        shapes = ((HIDDEN, SIDE**2), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
        w, b, v, c = (0.5 * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
        b[0] = -100.0
        self.w, self.b, self.v, self.c = map(torch.nn.Parameter, (w, b, v, c))

    def forward(self, x):
        return functional.linear(functional.linear(x.flatten(1), self.w, self.b).relu(), self.v, self.c)


def logits(theta, x):
    """The same network, written for a flat vector."""
    sizes = (HIDDEN * SIDE**2, HIDDEN, CLASSES * HIDDEN, CLASSES)
    w, b, v, c = theta.split(sizes)
    hidden = (x.flatten(1) @ w.view(HIDDEN, -1).T + b).relu()
    return hidden @ v.view(CLASSES, HIDDEN).T + c


def problem(steps=STEPS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = Small()
    images, real = (torch.randn(n, 1, SIDE, SIDE, generator=generator, dtype=torch.float64) for n in (N_IMAGES, 12))
    labels = torch.randn(N_IMAGES, CLASSES, generator=generator, dtype=torch.float64)
    batches = [torch.randperm(N_IMAGES, generator=generator)[:3] for _ in range(steps)]
    classes = torch.arange(len(real)) % (CLASSES - 1)  # no real image of the last class

    def outer(theta):
        return functional.cross_entropy(logits(theta, real), classes)

    return net, flatten(list(net.parameters())), batches, images, labels, outer


INNER = {
    "gd": SGDInner,
    "momentum": lambda lr: SGDInner(lr, 0.9),
    "adam": AdamInner,
}


def loop(kind, start, batches, images, labels, lr, outer, *, free=0):
    """The loss after a training, and its gradients in images, labels and rates: all graphs, by autograd.

    The first ``free`` steps are constants.
    """
    images, labels, rates = (
        x.clone().requires_grad_() for x in (images, labels, torch.as_tensor(lr, dtype=torch.float64))
    )
    theta, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for i, batch in enumerate(batches):
        x, y = (z[batch].detach() if i < free else z[batch] for z in (images, labels))
        theta = theta.requires_grad_() if theta.is_leaf else theta
        loss = -(y.softmax(1) * logits(theta, x).log_softmax(1)).sum(1).mean()
        (g,) = torch.autograd.grad(loss, theta, create_graph=i >= free)
        rate = rates[i] if rates.ndim else rates
        if kind == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            t = i + 1
            alive = v.detach() > 0
            root = torch.zeros_like(v).index_put((alive,), (v[alive] / (1 - 0.999**t)) ** 0.5)
            step = m / (1 - 0.9**t) / (root + 1e-8)
        else:
            m = (0.9 if kind == "momentum" else 0.0) * m + g
            step = m
        theta = theta - rate * step
        if i < free:
            theta, m, v = (z.detach() for z in (theta, m, v))
    loss = outer(theta)
    return loss.detach(), *torch.autograd.grad(loss, [images, labels, rates])


@pytest.mark.parametrize("lr", [0.03, RATES])
@pytest.mark.parametrize("kind", INNER)
@pytest.mark.parametrize("gradients", ["exact", "unrolled"])
@pytest.mark.parametrize("window", [None, 3, 1])
def test_gradients_are_those_of_a_plain_loop(kind, lr, gradients, window):
    net, start, batches, images, labels, outer = problem()
    free = 0 if window is None else STEPS - window
    wanted = loop(kind, start, batches, images, labels, lr, outer, free=free)
    found = through(
        net, start, batches, images, labels, INNER[kind](lr), outer=outer, gradients=gradients, window=window
    )
    for a, b in zip((found.loss, found.grad_images, found.grad_labels, found.grad_lr), wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_an_unused_rate_before_the_window_has_gradient_zero():
    net, start, batches, images, labels, outer = problem()
    found = through(net, start, batches, images, labels, AdamInner(RATES), outer=outer, window=2)
    assert found.grad_lr[:2].tolist() == [0.0, 0.0]
    assert bool((found.grad_lr[2:] != 0).all())


@pytest.mark.parametrize("kind", INNER)
def test_gradients_match_finite_differences_where_some_gradients_are_zero(kind):
    net, start, batches, images, labels, outer = problem(steps=3)

    def run(images=images, labels=labels, lr=RATES[:3]):
        return through(net, start, batches, images, labels, INNER[kind](lr), outer=outer)

    found, eps, generator = run(), 1e-6, torch.Generator().manual_seed(5)
    for name, value, gradient in (
        ("images", images, found.grad_images), ("labels", labels, found.grad_labels), ("lr", RATES[:3], found.grad_lr)
    ):  # fmt: skip
        for _ in range(3):
            way = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            slope = (run(**{name: value + eps * way}).loss - run(**{name: value - eps * way}).loss) / (2 * eps)
            assert float(slope) == pytest.approx(float((gradient * way).sum()), rel=1e-5, abs=1e-9)


def test_dead_units_stay_where_they_are_and_leave_gradients_finite():
    net, start, batches, images, labels, outer = problem()
    found = through(net, start, batches, images, labels, AdamInner(0.01), outer=outer)
    moved = found.final != start
    assert not bool(moved[: SIDE**2].any()), "the dead unit's weights"
    assert bool(moved[SIDE**2 : HIDDEN * SIDE**2].any())
    assert bool(found.grad_images.isfinite().all()) and bool((found.grad_images != 0).any())


@pytest.mark.parametrize("kind", INNER)
def test_a_window_that_holds_every_step_is_no_window(kind):
    net, *rest, outer = problem()
    whole, all_of_it = (through(net, *rest, INNER[kind](RATES), outer=outer, window=window) for window in (None, STEPS))
    for name in ("loss", "grad_images", "grad_labels", "grad_lr", "final"):
        assert torch.equal(getattr(whole, name), getattr(all_of_it, name)), name


def test_training_by_adam_ends_where_torchs_does():
    net, start, batches, images, labels, outer = problem()
    end = through(net, start, batches, images, labels, AdamInner(0.03), outer=outer).final
    optimiser = torch.optim.Adam(net.parameters(), lr=0.03)
    for batch in batches:
        optimiser.zero_grad()
        functional.cross_entropy(net(images[batch]), labels[batch].softmax(1)).backward()
        optimiser.step()
    torch.testing.assert_close(end, flatten(list(net.parameters())), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("inner", [SGDInner(RATES, 0.9), AdamInner(RATES, eps=1e-3), AdamInner(0.02, eps=1e-3)])
@pytest.mark.parametrize("window", [None, 2])
def test_convnets_of_either_engine_agree_with_all_graphs_kept(engine, inner, window):
    """ε is large, because biases before a norm have gradients that are 0 but for rounding."""
    generator = torch.Generator().manual_seed(0)
    net = build_model("convnet2-w4-in", channels=1, classes=CLASSES, size=8, seed=0).double()
    start = flatten(list(net.parameters()))
    images = torch.randn(N_IMAGES, 1, 8, 8, generator=generator, dtype=torch.float64)
    batches = [torch.randperm(N_IMAGES, generator=generator)[:5] for _ in range(STEPS)]
    target = torch.randn(start.shape, generator=generator, dtype=torch.float64)
    exact, unrolled = (
        through(
            net, start, batches, images, torch.arange(N_IMAGES) % CLASSES, inner,
            outer=lambda theta: (theta * target).sum(), gradients=gradients, window=window,
        )
        for gradients in ("exact", "unrolled")
    )  # fmt: skip
    for name in ("grad_images", "grad_lr", "final"):
        torch.testing.assert_close(getattr(exact, name), getattr(unrolled, name), rtol=1e-8, atol=1e-10)


def test_a_rate_that_is_not_learned_changes_nothing_else():
    net, *rest, outer = problem()
    for gradients in ("exact", "unrolled"):
        learned, given = (
            through(net, *rest, SGDInner(RATES, 0.9, learned=learned), outer=outer, gradients=gradients)
            for learned in (True, False)
        )
        for name in ("loss", "grad_images", "grad_labels", "final"):
            assert torch.equal(getattr(learned, name), getattr(given, name)), name
        assert not bool(given.grad_lr.any()) and bool(learned.grad_lr.any())


def test_as_many_rates_as_steps_or_one():
    net, *rest, outer = problem()
    with pytest.raises(ValueError, match=r"step sizes of shape \[3\] for 4 steps"):
        through(net, *rest, SGDInner(RATES[:3]), outer=outer)


def test_sgd_of_one_rate_is_what_backward_does():
    net, *rest, outer = problem()
    one, other = (
        through(net, *rest, SGDInner(0.05, 0.7), outer=outer),
        backward(net, *rest, 0.05, outer=outer, momentum=0.7),
    )
    assert torch.equal(one.grad_images, other.grad_images) and torch.equal(one.grad_lr, other.grad_lr)


class Saved:
    """Bytes that graphs hold, now and at most."""

    def __init__(self):
        self.now = self.peak = 0

    def hooks(self):
        meter = self

        class Held:
            def __init__(self, tensor):
                self.tensor = tensor
                meter.now += tensor.nbytes
                meter.peak = max(meter.peak, meter.now)

            def __del__(self):
                meter.now -= self.tensor.nbytes

        return torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor)


def peak(steps, inner, gradients):
    net, *rest, outer = problem(steps)
    meter = Saved()
    with meter.hooks():
        through(net, *rest, inner, outer=outer, gradients=gradients)
    assert meter.now == 0
    return meter.peak


@pytest.mark.parametrize("inner", [SGDInner(0.05, 0.9), AdamInner(0.01)])
def test_graphs_hold_no_more_for_thirty_steps_than_for_two(inner):
    assert peak(30, inner, "exact") == peak(2, inner, "exact")
    assert peak(30, inner, "unrolled") > 10 * peak(2, inner, "unrolled")


def test_only_one_step_is_alive_at_a_time(monkeypatch):
    alive, most = set(), [0]

    class Watched(unroll._Graph):
        def __init__(self, *given):
            super().__init__(*given)
            alive.add(id(self))
            most[0] = max(most[0], len(alive))

        def __del__(self):
            alive.discard(id(self))

    monkeypatch.setattr(unroll, "_Graph", Watched)
    net, *rest, outer = problem(20)
    through(net, *rest, AdamInner(0.01), outer=outer)
    assert most == [1]
