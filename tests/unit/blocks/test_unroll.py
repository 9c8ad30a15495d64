"""Gradients through training: three ways to compute them, and what they must agree on."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import unroll
from ddbench.blocks.augment import DSA
from ddbench.blocks.functional import FlatModel, flatten
from ddbench.blocks.trajectory import match
from ddbench.blocks.unroll import backward
from ddbench.models import build_model
from ddbench.models.fused import block, library

N_IMAGES, CLASSES = 8, 4


@pytest.fixture(autouse=True, params=["eager", "fused"])
def engine(request):
    """Both code paths: autograd's graphs, and tapes of networks that write their second derivatives out."""
    if request.param == "fused" and library.missing():
        pytest.skip(library.missing())
    block.turn(request.param == "fused")
    yield request.param
    block.turn(False)


def network():
    return build_model("convnet2-w4-in", channels=1, classes=CLASSES, size=8, seed=0).double()


def problem(soft=False, steps=5, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = network()
    start = flatten(list(net.parameters()))
    target = start + 0.1 * torch.randn(start.shape, generator=generator, dtype=torch.float64)
    images = torch.randn(N_IMAGES, 1, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.arange(N_IMAGES) % CLASSES
    if soft:
        labels = torch.randn(N_IMAGES, CLASSES, generator=generator, dtype=torch.float64)
    batches = [torch.randperm(N_IMAGES, generator=generator)[:batch] for _ in range(steps)]
    return net, start, target, images, labels, 0.05, batches


def replayed():
    dsa = DSA.for_dataset(flip=False)

    def augment(images, step):
        return dsa(images, dsa.draw(torch.Generator().manual_seed(100 + step), n=len(images)))

    return augment


def assert_same(one, other, tolerance=1e-10):
    for name in ("loss", "grad_images", "grad_labels", "grad_lr", "final"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("augment", [None, replayed()])
def test_exact_equals_unrolled(soft, augment, momentum):
    args = problem(soft)
    options = {"augment": augment, "momentum": momentum}
    assert_same(match(*args, **options, gradients="exact"), match(*args, **options, gradients="unrolled"))


@pytest.mark.parametrize("window", [1, 3, 5, 9])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_a_truncated_window_means_the_same_in_both(window, momentum):
    args, options = problem(), {"window": window, "momentum": momentum}
    assert_same(match(*args, **options, gradients="exact"), match(*args, **options, gradients="unrolled"))


def test_an_image_that_is_in_no_batch_of_the_window_gets_no_gradient():
    *args, batches = problem(steps=4)
    found = match(*args, batches, window=1)
    unseen = sorted(set(range(N_IMAGES)) - set(batches[-1].tolist()))
    assert torch.equal(found.grad_images[unseen], torch.zeros_like(found.grad_images[unseen]))
    assert bool((found.grad_images[batches[-1]] != 0).any())


@pytest.mark.parametrize("keep_bytes", [1, 50_000, 10**9])
def test_what_is_kept_changes_nothing(keep_bytes):
    args = problem(soft=True)
    assert_same(match(*args, keep_bytes=keep_bytes), match(*args, keep_bytes=0), tolerance=1e-13)


@pytest.mark.parametrize("budget", [1, 20_000, 10**9])
@pytest.mark.parametrize("gradients", ["exact", "tesla"])
def test_tapes_that_are_kept_change_no_bit(engine, monkeypatch, budget, gradients):
    if engine == "eager":
        pytest.skip("no tapes")
    net, *args = problem(soft=True)
    options = {"momentum": 0.7, "augment": replayed(), "gradients": gradients}
    for dtype in (torch.float64, torch.float32):
        given = [one.to(dtype) if isinstance(one, torch.Tensor) else one for one in args]
        monkeypatch.setattr(unroll, "TAPES", 0)
        without = match(net.to(dtype), *given, **options)
        monkeypatch.setattr(unroll, "TAPES", budget)
        assert_same(match(net, *given, **options), without, tolerance=0)


def test_only_as_many_tapes_are_kept_as_fit(engine, monkeypatch):
    if engine == "eager":
        pytest.skip("no tapes")
    made = []

    class Watched(unroll._Taped):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self.nbytes)

    monkeypatch.setattr(unroll, "_Taped", Watched)
    args = problem(steps=5)
    match(*args)
    assert len(made) == 5, "each step once"
    one = made[0]
    made.clear()
    monkeypatch.setattr(unroll, "TAPES", 2 * one)
    match(*args)
    assert len(made) == 1 + 5, "one to find out, the last two once, three again"


def test_no_tapes_are_kept_where_memory_is_given_back(engine, monkeypatch):
    if engine == "eager":
        pytest.skip("no tapes")
    budgets, real = [], unroll._Ration
    monkeypatch.setattr(unroll, "_Ration", lambda budget: budgets.append(budget) or real(budget))
    args, found = problem(steps=5), []
    for switch in ("0", "1"):
        monkeypatch.setenv("DDBENCH_KEEP_MEMORY", switch)
        found.append(match(*args))
    assert budgets == [0, unroll.TAPES]
    assert_same(*found, tolerance=0)


def test_tesla_is_exact_for_one_step_and_only_there():
    args = problem(steps=1)
    assert_same(match(*args, gradients="tesla"), match(*args, gradients="exact"))
    *args, batches = problem(steps=3, batch=3)
    batches = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5])]
    exact, tesla = match(*args, batches, gradients="exact"), match(*args, batches, gradients="tesla")
    torch.testing.assert_close(tesla.grad_images[4:6], exact.grad_images[4:6])
    assert float((tesla.grad_images[:4] - exact.grad_images[:4]).abs().max()) > 1e-6
    assert float(tesla.loss) == float(exact.loss)


def test_a_known_curvature_gives_the_known_gradients():
    """ℓ = ½ (θ − x)²: two steps give ∂θ_2/∂x_0 = β(1−β) exactly, and β by TESLA."""

    class Scalar(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

        def forward(self, x):
            return 0.5 * (self.theta - x).square()

    beta, images = 0.3, torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    original = unroll.student_loss
    unroll.student_loss = lambda logits, labels: logits.sum()
    try:
        for gradients, first in (("exact", beta * (1 - beta)), ("unrolled", beta * (1 - beta)), ("tesla", beta)):
            found = backward(
                Scalar(), torch.zeros(1, dtype=torch.float64), [torch.tensor([0]), torch.tensor([1])], images,
                torch.zeros(2, dtype=torch.int64), beta, outer=lambda theta: theta.sum(), gradients=gradients,
            )  # fmt: skip
            assert found.grad_images.flatten().tolist() == pytest.approx([first, beta], rel=1e-12)
    finally:
        unroll.student_loss = original


def test_gradients_match_finite_differences():
    net, start, target, images, labels, lr, batches = problem(soft=True, steps=3)
    found = match(net, start, target, images, labels, lr, batches)

    def loss(images=images, labels=labels, lr=lr):
        return float(match(net, start, target, images, labels, lr, batches).loss)

    eps, generator = 1e-6, torch.Generator().manual_seed(5)
    for name, value, gradient in (("images", images, found.grad_images), ("labels", labels, found.grad_labels)):
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        slope = (loss(**{name: value + eps * direction}) - loss(**{name: value - eps * direction})) / (2 * eps)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-6)
    assert (loss(lr=lr + eps) - loss(lr=lr - eps)) / (2 * eps) == pytest.approx(float(found.grad_lr), rel=1e-6)


def test_a_student_that_does_not_move_has_loss_one():
    *args, _, batches = problem()
    assert float(match(*args, 0.0, batches).loss) == pytest.approx(1.0, rel=1e-12)


def test_an_expert_that_did_not_move_is_refused():
    net, start, _, *rest = problem()
    with pytest.raises(ValueError, match="did not move"):
        match(net, start, start.clone(), *rest)


def test_the_networks_own_parameters_are_neither_read_nor_written():
    net, *rest = problem()
    before = flatten(list(net.parameters()))
    one = match(net, *rest)
    other_net = network()
    with torch.no_grad():
        for parameter in other_net.parameters():
            parameter.fill_(3.0)
    assert_same(match(other_net, *rest), one, tolerance=0.0)
    assert torch.equal(flatten(list(net.parameters())), before)


def test_a_network_with_statistics_is_refused():
    with pytest.raises(ValueError, match="batch norm"):
        FlatModel.of(build_model("convnet2-w4-bn", channels=1, classes=4, size=8, seed=0))


def test_no_batches_or_no_window_is_an_error():
    *args, batches = problem()
    with pytest.raises(ValueError, match="must be positive"):
        match(*args, [])
    with pytest.raises(ValueError, match="must be positive"):
        match(*args, batches, window=0)


def test_kept_graphs_stay_within_their_bytes_whatever_the_first_batch_holds():
    """A permutation's remainder comes first: one image must not stand for a hundred."""
    from ddbench.blocks.unroll import _Ration

    ration = _Ration(1000)
    assert ration.allows(10**9)  # nothing is known yet: the first graph is made to find out
    ration.per_image = 10.0
    assert ration.allows(100)
    assert not ration.allows(101)
    assert not _Ration(0).allows(1)
