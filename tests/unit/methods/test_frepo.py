"""FRePo: its loss against a plain loop, the step, the pool, and what the set says of itself."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits

from ddbench.blocks.regression import cosine, label_margin
from ddbench.blocks.ridge import centred
from ddbench.blocks.sampling import first_of_each_class
from ddbench.core.specs import Budget
from ddbench_plugins.frepo.method import FRePo
from ddbench_plugins.frepo.params import FRePoParams
from ddbench_plugins.frepo.pool import Pool
from ddbench_plugins.frepo_fresh.method import FRePoFresh
from ddbench_plugins.frepo_fresh.params import FRePoFreshParams
from tests.fakes import FakeContext, FakeSplit, run, toy


def context(*, dtype=torch.float64, channels=1, **fields):
    fields = {"budget": Budget(ipc=2), **fields}
    return FakeContext(toy(dtype=dtype, channels=channels), toy((2, 2, 2), seed=9, channels=channels), **fields)


POOL, FRESH = (FRePo, FRePoParams), (FRePoFresh, FRePoFreshParams)


def prepared(ctx, which=POOL, **given):
    cls, params = which
    method = cls(params(**{"iterations": 10, "batch_real": 16, **given}))
    method.prepare(ctx)
    return method


def plain_loss(net, real, targets, images, labels, mirrored):
    """The objective, image by image and number by number."""
    asked = [(net.embed(x[None])[0], y) for x, y in zip(images, labels, strict=True)]
    if mirrored:
        asked += [(net.embed(x[None].flip(3))[0], y) for x, y in zip(images, labels, strict=True)]
    n, classes = len(asked), labels.shape[1]
    trace = sum(f @ f for f, _ in asked)
    rows = [
        [f @ g + (1e-6 * trace / n if i == j else 0) for j, (g, _) in enumerate(asked)]
        for i, (f, _) in enumerate(asked)
    ]
    inverse = torch.linalg.inv(torch.stack([torch.stack(row) for row in rows]))
    total = 0.0
    for x, target in zip(real, targets, strict=True):
        seen = net.embed(x[None])[0].detach()
        kernel = torch.stack([seen @ f for f, _ in asked])
        predicted = sum((kernel @ inverse)[j] * y for j, (_, y) in enumerate(asked))
        total = total + 0.5 * sum((predicted[c] - target[c]) ** 2 for c in range(classes)) / len(real)
    for y in labels:
        first, second = sorted(y, key=float, reverse=True)[:2]
        total = total - torch.minimum(first - second, torch.tensor(1 / classes, dtype=y.dtype)) / len(labels)
    return total


@pytest.mark.parametrize("mirrored", [False, True])
def test_loss_and_gradients_are_those_of_the_plain_loop(mirrored):
    ctx = context(channels=3)
    method = prepared(ctx, mirror="on" if mirrored else "off")
    for _ in range(5):
        method.pool.train(0, ctx.train.images()[:20], centred(ctx.train.labels[:20], 3))  # statistics of its own
    net = method.pool.members[0].net
    images, labels = method.images.clone().requires_grad_(), method.labels.clone().requires_grad_()
    with torch.no_grad():
        labels[0] = torch.tensor([0.3, 0.1, -0.4])  # nearer to each other than 1/C: the margin has a gradient
    real, targets = ctx.train.images()[20:28], centred(ctx.train.labels[20:28], 3)
    ours = method.loss(net, real, targets, images, labels)
    plain = plain_loss(net, real, targets, images, labels, mirrored)
    torch.testing.assert_close(ours, plain, rtol=1e-8, atol=0)
    for a, b in zip(*(torch.autograd.grad(loss, (images, labels)) for loss in (ours, plain)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-9)


def test_gradients_are_finite_differences():
    ctx = context()
    method = prepared(ctx)
    real, targets = ctx.train.images()[:8], centred(ctx.train.labels[:8], 3)
    net = method.build(ctx, 3).eval()
    images, labels = method.images.clone().requires_grad_(), (0.2 * method.labels).requires_grad_()
    found = torch.autograd.grad(method.loss(net, real, targets, images, labels), (images, labels))
    for value, gradient in zip((images.detach(), labels.detach()), found, strict=True):
        along = torch.randn(value.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        step = 1e-6 * along
        both = []
        for sign in (1, -1):
            value.add_(step, alpha=sign)  # shares memory with the leaf
            both.append(float(method.loss(net, real, targets, images, labels)))
            value.sub_(step, alpha=sign)
        assert float((gradient * along).sum()) == pytest.approx((both[0] - both[1]) / 2e-6, rel=1e-4)


def test_label_margin_by_hand():
    labels = torch.tensor([[0.5, 0.4, 0.0, 0.0], [0.9, 0.1, 0.2, 0.3], [-0.2, -0.2, -0.3, -0.2]], requires_grad=True)
    margin = label_margin(labels)
    assert float(margin) == pytest.approx(-(0.1 + 0.25 + 0.0) / 3)
    (gradient,) = torch.autograd.grad(margin, labels)
    assert gradient[0].tolist() == pytest.approx([-1 / 3, 1 / 3, 0, 0])
    assert not gradient[1].any(), "a label that prefers one class by more than 1/C is left alone"


def test_it_starts_from_randoms_images_and_centred_labels_of_one_scale():
    ctx = context()
    method = prepared(ctx)
    assert torch.equal(method.images, ctx.train.images(first_of_each_class(ctx)))
    assert method.labels[0].tolist() == pytest.approx([x / math.sqrt(3 / 10) for x in (2 / 3, -1 / 3, -1 / 3)])
    torch.testing.assert_close(method.labels.sum(1), torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize(("step", "rate"), [(0, 1.0), (5, 0.55), (9, 0.1 + 0.45 * (1 + math.cos(0.9 * math.pi)))])
def test_images_and_labels_each_move_by_the_rate_times_their_norm(step, rate):
    ctx = context(step=step)
    method = prepared(ctx, lr=0.01)
    before = method.images.clone(), method.labels.clone()
    method.step(ctx)
    for old, new in zip(before, (method.images, method.labels), strict=True):
        assert float((new - old).norm() / old.norm()) == pytest.approx(0.01 * rate, rel=1e-6)
    assert cosine(1.0, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("mirror", "flip", "channels", "mirrored"),
    [
        ("auto", True, 3, True),
        ("auto", True, 1, False),
        ("auto", False, 3, False),
        ("on", False, 1, True),
        ("off", True, 3, False),
    ],
)
def test_who_is_mirrored(mirror, flip, channels, mirrored):
    assert prepared(context(flip=flip, channels=channels), mirror=mirror).mirrored is mirrored


def built(numbers):
    def build(i):
        numbers.append(i)
        return FakeContext(toy(), toy((2, 2, 2))).build_model("convnet2-w8-bn", seed=i)

    return build


def test_networks_of_the_pool_age_apart_and_are_replaced_after_their_last_update():
    numbers = []
    pool = Pool(built(numbers), size=4, max_age=8, lr=1e-3)
    assert [one.age for one in pool.members] == [0, 2, 4, 6]
    images, targets = toy().images()[:6], torch.eye(3).repeat(2, 1)
    before = pool.members[3].net
    for age in (7, 8):
        pool.train(3, images, targets)
        assert pool.members[3].age == age
    assert pool.members[3].net is before
    pool.train(3, images, targets)
    assert pool.members[3].age == 0
    assert pool.members[3].net is not before
    assert numbers == [0, 1, 2, 3, 4], "each network of the pool is another one"
    assert [one.age for one in pool.members] == [0, 2, 4, 0]


def test_an_update_is_one_of_adam_on_the_squared_error_in_train_mode():
    pool = Pool(built([]), size=1, max_age=8, lr=1e-2)
    twin = built([])(0).train()
    optimiser = torch.optim.Adam(twin.parameters(), lr=1e-2)
    images, targets = toy().images()[:6], torch.eye(3).repeat(2, 1)
    for _ in range(3):
        optimiser.zero_grad()
        (twin(images) - targets).square().mean().backward()
        optimiser.step()
        pool.train(0, images, targets)
    net = pool.members[0].net
    assert not net.training
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, msg=name)


def test_a_restored_pool_is_the_same_to_the_bit():
    pools = [Pool(built([]), size=2, max_age=3, lr=1e-2) for _ in range(2)]
    images, targets = toy().images()[:6], torch.eye(3).repeat(2, 1)
    for i in (0, 1, 1, 1, 0):
        pools[0].train(i, images, targets)
    pools[1].load(pools[0].state())
    for i in (0, 1, 0, 0, 0):
        for pool in pools:
            pool.train(i, images, targets)
    one, other = (pool.state() for pool in pools)
    assert one["made"] == other["made"]
    for a, b in zip(one["members"], other["members"], strict=True):
        assert a["age"] == b["age"]
        assert all(torch.equal(a["net"][name], b["net"][name]) for name in a["net"])


def test_a_network_learns_from_a_random_part_of_many_images():
    ctx = context(budget=Budget(ipc=5))
    images, labels = prepared(ctx, batch_net=4).seen(ctx)
    assert len(images) == len(labels) == len(torch.unique(images.flatten(1), dim=0)) == 4


def test_fresh_networks_are_never_trained_and_never_the_same():
    ctx = context()
    method, seen = prepared(ctx, FRESH), []
    method.loss, plain = lambda net, *rest: seen.append(net) or plain(net, *rest), method.loss
    for _ in range(2):
        method.step(ctx)
        ctx.step += 1
    assert not torch.equal(*(net.classifier.weight for net in seen))
    assert torch.equal(seen[1].classifier.weight, ctx.build_model("-bn", seed=ctx.seed("net", "1")).classifier.weight)


@pytest.mark.parametrize("which", [POOL, FRESH], ids=["pool", "fresh"])
def test_the_loss_falls_on_digits(which):
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None]
    split = FakeSplit((images - images.mean()) / images.std(), torch.tensor(data.target))
    ctx = FakeContext(split, split, Budget(ipc=1))
    method = prepared(ctx, which, iterations=50, batch_real=256, lr=0.01)
    losses = []
    for _ in range(50):
        losses.append(method.step(ctx)["loss"])
        ctx.step += 1
    first, last = (sum(part) / 10 + 0.1 for part in (losses[:10], losses[-10:]))  # without the margin, −1/C throughout
    assert last < 0.8 * first


@pytest.mark.parametrize(
    ("ipc", "updates", "batch"), [(1, 1000, 3), (10, 1000, 30), (40, 2000, 120), (70, 20_000, 210), (200, 5000, 500)]
)
def test_the_recipe_is_the_authors_evaluation(ipc, updates, batch):
    ctx = FakeContext(toy((200, 200, 200)), toy((2, 2, 2)), Budget(ipc=ipc))
    recipe = run(FRePo(FRePoParams(iterations=0)), ctx).recipe
    assert (recipe.updates, recipe.batch) == (updates, batch)
    assert (recipe.loss, recipe.optimiser, recipe.lr, recipe.weight_decay) == ("mse", "adam", 3e-4, 0.0)
    assert (recipe.schedule, recipe.lr_end, recipe.warmup, recipe.norm) == ("cosine", 0.01, 500, "nn")


def test_the_set_has_centred_labels_and_the_bytes_that_were_foreseen():
    ctx = context(dtype=torch.float32)
    params = FRePoParams(iterations=2, batch_real=16, lr=0.05)
    made = run(FRePo(params), ctx)
    assert made.label_space == "centred"
    assert made.aux["classes"].tolist() == [0, 0, 1, 1, 2, 2]
    assert made.storage.total == params.stored_bytes(6, ctx.dataset) == 4 * 6 * (64 + 3) + 4
    assert made.storage.lrs == 4 * made.recipe.stored_rates == 4


@pytest.mark.parametrize(("form", "stored", "seen"), [("multi-formation", 6, 24), ("upsampled", 6, 6)])
def test_what_is_stored_may_decode_to_other_images_each_with_a_label(form, stored, seen):
    ctx = context(dtype=torch.float32)
    params = FRePoParams(iterations=2, batch_real=16, lr=0.05, parametrisation=form)
    made = run(FRePo(params), ctx)
    assert (len(made.aux["codes"]), len(made), len(made.labels)) == (stored, seen, seen)
    assert made.storage.total == params.stored_bytes(6, ctx.dataset)


def test_networks_are_the_cells_with_another_norm():
    assert FRePoParams().network("convnet3-w128-in") == "convnet3-w128-bn"
    assert FRePoParams(pool_norm="nn").network("resnet18-ap-w16-in") == "resnet18-ap-w16-nn"
