"""IDC: the published triple loop, its augmenter, CutMix, and its distance."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ddbench.blocks.augment import Composed, CutMix
from ddbench.blocks.matching import gradient_difference
from ddbench.blocks.parametrize import Parametrisation
from ddbench.core.plugin.loader import installed
from ddbench.core.specs import Budget, DataSpec
from ddbench.plan.presets import choose
from ddbench_plugins.idc.method import IDC
from ddbench_plugins.idc.params import IDCParams
from tests.fakes import FakeContext, run, toy
from tests.parity.reference.idc import idc_match
from tests.unit.methods.test_mtt import INFO, cell

LOOPS = {"iterations": 2, "outer_steps": 2, "batch_real": 4, "batch_net": 4, "net_images": 8, "lr_img": 0.01}


def context(**fields):
    return FakeContext(toy(dtype=torch.float64), toy((2, 2, 2), seed=9), Budget(ipc=2), **fields)


def plain(ctx, p, canvases):
    """The loops as written, with torch's own optimisers: classes take turns, the network learns from real images."""
    form = Parametrisation("multi-formation", 2)
    probe = IDC(p)
    probe.learn(ctx)
    canvases = canvases.clone().requires_grad_()
    optimiser = torch.optim.SGD([canvases], lr=p.lr_img, momentum=p.momentum)
    matched, trained = Composed(ops=("color", "crop", "cutout")), Composed(ops=("color", "crop"))
    mix = CutMix(p.cutmix, 3, ctx.generator)

    def batch(c):
        real = ctx.train.images(probe.sampler.real(c, p.batch_real, ctx.generator))
        syn = form.decode(canvases[2 * c : 2 * c + 2])
        seen = matched(torch.cat([real, syn]), matched.draw(ctx.generator))
        return seen[: p.batch_real], seen[p.batch_real :]

    for k in range(p.iterations):
        net = ctx.build_model(seed=ctx.seed("net", str(k))).train()
        network = torch.optim.SGD(net.parameters(), lr=p.lr_net, momentum=0.9, weight_decay=5e-4)
        canvases.data.clamp_(0, 1)
        left = torch.empty(0, dtype=torch.int64)
        for t in range(p.outer_steps):
            idc_match(net, batch, 3, optimiser, p.metric)
            if t == p.outer_steps - 1:
                break
            for _ in range(p.net_images // p.batch_net):
                if len(left) == 0:
                    left = torch.randperm(len(ctx.train), generator=ctx.generator)
                index, left = left[: p.batch_net], left[p.batch_net :]
                images = trained(ctx.train.images(index), trained.draw(ctx.generator, n=len(index)))
                images, targets = mix(images, ctx.train.labels[index])
                network.zero_grad()
                functional.cross_entropy(net(images), targets).backward()
                network.step()
    return canvases.detach()


@pytest.mark.parametrize("metric", ["l1", "mse"])
def test_idc_is_the_published_loop(metric):
    p = IDCParams(**LOOPS, metric=metric)
    start = IDC(p)
    start.prepare(context())
    expected = plain(context(), p, start.images.value)
    condensed = run(IDC(p), context())
    torch.testing.assert_close(condensed.aux["codes"].double(), expected.float().double(), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(expected, start.images.value)


def test_canvases_start_within_what_pixels_can_be():
    """Mean and std stand between the set and its pixels."""
    ctx = context()
    ctx.train.preprocess = ctx.train.preprocess.model_copy(update={"mean": (0.4,), "std": (0.5,)})
    method = IDC(IDCParams(**LOOPS | {"lr_img": 1e-9}))
    condensed = run(method, ctx)
    pixels = condensed.aux["codes"] * 0.5 + 0.4
    assert float(pixels.min()) >= -1e-5 and float(pixels.max()) <= 1 + 1e-5
    assert float(pixels.min()) < 0.05 and float(pixels.max()) > 0.95  # toy images reach beyond both ends


def test_at_most_so_many_synthetic_images_are_matched(monkeypatch):
    seen = []
    called = Composed.__call__
    monkeypatch.setattr(Composed, "__call__", lambda self, x, draw: seen.append(len(x)) or called(self, x, draw))
    run(IDC(IDCParams(**LOOPS | {"outer_steps": 1}, batch_syn=3)), context())
    assert seen == [4 + 3] * 6


def test_whitened_images_are_refused_at_plan_time():
    data = DataSpec(name="toy", revision="r", preprocess="zca-kornia")
    assert "within 0 … 1" in IDCParams().unsupported(cell(data=data), INFO)
    assert IDCParams().unsupported(cell(), INFO) is None


def test_a_network_without_convolutions_is_refused_at_plan_time_and_by_the_distance():
    assert "an mlp has none" in IDCParams().unsupported(cell(arch="mlp-w8-nn"), INFO)
    with pytest.raises(ValueError, match="this network has none"):
        gradient_difference([torch.ones(3, 4)], [torch.ones(3, 4)], "l1")


def test_the_distance_counts_convolutions_alone():
    a = [torch.randn(2, 3, 3, 3), torch.randn(2), torch.randn(4, 5)]
    b = [a[0] + 2, a[1] + 5, a[2] + 7]
    assert float(gradient_difference(a, b, "l1")) == pytest.approx(2 * 54, rel=1e-5)
    assert float(gradient_difference(a, b, "mse")) == pytest.approx(4 * 54, rel=1e-5)


def test_colour_and_cutout_always_act_and_one_other_operation():
    augment = Composed(ops=("color", "crop", "cutout", "flip", "scale", "rotate"))
    generator = torch.Generator().manual_seed(0)
    draws = torch.cat([augment.draw(generator).apply for _ in range(300)]).double()
    assert torch.equal(draws[:, [0, 2, 3]], torch.ones(300, 3).double())
    assert torch.equal(draws[:, [1, 4, 5]].sum(1), torch.ones(300).double())
    assert bool(((draws[:, [1, 4, 5]].mean(0) - 1 / 3).abs() < 0.1).all())
    batch = augment.draw(generator, n=5)
    assert bool((batch.apply == batch.apply[0]).all()) and len(torch.unique(batch.u, dim=0)) == 5
    each = augment.draw(generator, n=50, pick="image")
    assert len(torch.unique(each.apply, dim=0)) == 3
    assert torch.equal(each.apply.sum(1), torch.full((50,), 4))


def test_one_draw_for_both_sides_of_a_class(monkeypatch):
    seen = []
    called = Composed.__call__
    monkeypatch.setattr(Composed, "__call__", lambda self, x, draw: seen.append(len(draw)) or called(self, x, draw))
    run(IDC(IDCParams(**LOOPS | {"outer_steps": 1, "iterations": 1})), context())
    assert seen == [1, 1, 1]


def test_cutmix_mixes_classes_by_area_and_leaves_the_global_generator_alone():
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8).clone()
    labels, before = torch.arange(6), torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    mixed_batches = 0
    for _ in range(20):
        mixed, targets = CutMix(0.5, 6, generator)(images, labels)
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        for i in range(6):
            shares = torch.stack([(mixed[i] == j).float().mean() for j in range(6)])
            torch.testing.assert_close(targets[i], shares)
        mixed_batches += int(bool((targets.max(1).values < 1).any()))
    assert torch.equal(torch.get_rng_state(), before)
    assert 4 <= mixed_batches <= 16
    untouched, one_hot = CutMix(0.0, 6, generator)(images, labels)
    assert torch.equal(untouched, images) and torch.equal(one_hot, torch.eye(6))


@pytest.mark.parametrize(
    ("dataset", "ipc", "expected"),
    [
        ("cifar10", 1, {"metric": "mse", "lr_img": 5e-4, "net_images": 2000}),
        ("cifar10", 50, {"metric": "mse", "lr_img": 2.5e-2, "net_images": 2000}),
        ("svhn", 10, {"metric": "mse", "lr_img": 5e-3, "net_images": 500}),
        ("mnist", 10, {"metric": "l1", "lr_img": 1e-4, "cutout": False, "cutmix": 0.0}),
        ("fashionmnist", 1, {"metric": "l1", "lr_img": 7.65625e-6, "cutout": True, "cutmix": 0.5}),
        ("cifar100", 10, {"metric": "mse", "lr_img": 5e-3, "net_images": 2000}),
    ],
)
def test_paper_presets_are_the_authors_settings(dataset, ipc, expected):
    found = choose(installed().methods.get("idc"), dataset, Budget(ipc=ipc), "paper")
    params = IDCParams.model_validate(found.params)
    assert {name: getattr(params, name) for name in expected} == expected
    assert (params.iterations, params.outer_steps, params.batch_real, params.batch_syn) == (2000, 100, 64, 128)
    assert (params.parametrisation, params.factor, params.lr_net, params.batch_net) == ("multi-formation", 2, 0.01, 64)
