"""GraNd and DeepFool, which differentiate a network, against one backward pass an image and closed forms; no training."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ddbench.blocks.functional import is_fused
from ddbench.blocks.sampling import class_order
from ddbench.core.specs import Budget
from ddbench.models.convnet import NORMS, ConvNet
from ddbench.models.fused import block, library
from ddbench_plugins.deepfool.method import DeepFool, deepfool
from ddbench_plugins.deepfool.params import DeepFoolParams
from ddbench_plugins.el2n.params import EL2NParams
from ddbench_plugins.grand.method import GraNd, chunk, full_lengths, last_layer_lengths
from ddbench_plugins.grand.params import GraNdParams
from tests.fakes import FakeContext, toy
from tests.recordings import recording
from tests.unit.methods.test_scores import CELL, COUNTS, N, noise


def net_of(seed, norm="in"):
    torch.manual_seed(seed)
    return ConvNet(2, 8, norm, channels=1, classes=3, size=8).double().eval()


def one_by_one(net, images, labels, last=False):
    """The length of each image's gradient by a backward pass of its own."""
    parameters = list(net.classifier.parameters()) if last else list(net.parameters())
    found = []
    for image, label in zip(images, labels, strict=True):
        grads = torch.autograd.grad(functional.cross_entropy(net(image[None]), label[None]), parameters)
        found.append(sum(float(g.square().sum()) for g in grads) ** 0.5)
    return torch.tensor(found, dtype=torch.float64)


def with_nets(tmp_path, nets, epoch, epochs=3):
    """A context whose recordings hold the networks after an epoch."""
    ctx = FakeContext(toy(COUNTS), toy((2, 2, 2), seed=9), Budget(ipc=3))
    for number, net in enumerate(nets):
        name = f"dynamics_{number}" if number else "dynamics"
        ctx.artifacts[name] = recording(tmp_path / name, N, epochs, nets={epoch: net})
    return ctx


# -------------------------------------------------------------------------------------------------------------- grand


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_lengths_are_those_of_one_backward_pass_an_image(norm):
    net, images, labels = net_of(0, norm), noise(12, 1, 8, 8).double(), torch.arange(12) % 3
    torch.testing.assert_close(full_lengths(net, images, labels), one_by_one(net, images, labels))


def test_lengths_in_the_last_layer_have_a_closed_form():
    net, images, labels = net_of(0), noise(12, 1, 8, 8).double(), torch.arange(12) % 3
    torch.testing.assert_close(last_layer_lengths(net, images, labels), one_by_one(net, images, labels, last=True))


def test_a_last_layer_of_zeros_lets_no_other_layer_learn():
    """Then the whole gradient is the last layer's, and of one class the images of the longest features are the hardest."""
    net, images, labels = net_of(0), noise(12, 1, 8, 8).double(), torch.zeros(12).long()
    net.classifier.weight.data.zero_()
    found = full_lengths(net, images, labels)
    torch.testing.assert_close(found, last_layer_lengths(net, images, labels))
    assert torch.equal(found.argsort(), net.embed(images).norm(dim=1).argsort())


@pytest.mark.skipif(bool(library.missing()), reason="no library of fused operations")
def test_lengths_of_a_fused_network_are_those_of_the_plain_one():
    net, images, labels = net_of(0).float(), noise(12, 1, 8, 8), torch.arange(12) % 3
    plain = full_lengths(net, images, labels)
    block.turn(True)
    try:
        assert is_fused(net)
        assert torch.equal(full_lengths(net, images, labels), plain)
    finally:
        block.turn(False)


def test_lengths_do_not_depend_on_chunks():
    net, images, labels = net_of(0), noise(12, 1, 8, 8).double(), torch.arange(12) % 3
    parts = [full_lengths(net, x, y) for x, y in zip(images.split(5), labels.split(5), strict=True)]
    torch.testing.assert_close(torch.cat(parts), full_lengths(net, images, labels))


def test_gradients_of_a_chunk_take_a_bounded_amount_of_memory(monkeypatch):
    net = net_of(0)
    image, of_one = noise(1, 1, 8, 8).double(), 8 * sum(p.numel() for p in net.parameters())
    monkeypatch.setattr("ddbench_plugins.grand.method.CHUNK_BYTES", 3 * of_one + 1)
    assert chunk(net, image, "all") == 3
    monkeypatch.setattr("ddbench_plugins.grand.method.CHUNK_BYTES", 1)
    assert chunk(net, image, "all") == 1
    assert chunk(net, image, "last_layer") > 3


def test_lengths_of_all_networks_are_averaged_before_images_are_ranked(tmp_path):
    nets = [net_of(seed).float() for seed in range(3)]
    ctx = with_nets(tmp_path, nets, epoch=1)
    found = GraNd(GraNdParams(epochs=3, epoch=1, nets=3)).select(ctx)
    images, labels = ctx.train.images(), ctx.train.labels
    expected = torch.stack([one_by_one(net.double(), images.double(), labels) for net in nets]).mean(0)
    assert torch.allclose(found.scores.double(), expected, rtol=1e-4)
    assert set(found.indices.tolist()) == set(expected.argsort(descending=True)[:9].tolist())
    assert "scores are those after 1 of 3 epochs" in ctx.warnings


def test_untrained_networks_are_those_that_recordings_begin_with_and_need_none(tmp_path):
    built = FakeContext(toy(COUNTS), toy((2, 2, 2), seed=9), Budget(ipc=3))
    params = GraNdParams(epochs=3, epoch=0, nets=2)
    assert params.artifacts(CELL) == {}
    found = GraNd(params).select(built).scores
    nets = [built.build_model(seed=built.seed("dynamics", str(number))).double() for number in range(2)]
    images, labels = built.train.images().double(), built.train.labels
    expected = torch.stack([one_by_one(net, images, labels) for net in nets]).mean(0)
    assert torch.allclose(found.double(), expected, rtol=1e-4)


def test_grand_and_el2n_look_at_the_same_recordings():
    assert GraNdParams(epochs=20).artifacts(CELL) == EL2NParams(epochs=20).artifacts(CELL)
    assert len(GraNdParams(epochs=20).artifacts(CELL)) == 5
    assert GraNdParams(epochs=20).opens("dynamics", CELL, None) == pytest.approx(0.1)
    assert GraNdParams(epochs=20, epoch=4).opens("dynamics", CELL, None) == pytest.approx(0.2)


def test_epochs_after_which_no_network_is_kept_are_refused():
    info = FakeContext(toy(COUNTS), toy((2, 2, 2))).dataset
    assert "kept after epochs 0, 1, 2" in GraNdParams(epochs=200, epoch=15).unsupported(CELL, info)
    for epoch in (-1, 0, 7, 20, 200):
        assert GraNdParams(epochs=200, epoch=epoch).unsupported(CELL, info) is None


# ----------------------------------------------------------------------------------------------------------- deepfool


def linear(classes, pixels=16, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes)).double().requires_grad_(False)


@pytest.mark.parametrize("classes", [2, 5])
def test_of_a_linear_classifier_the_distance_to_the_nearest_boundary_is_found(classes):
    net, images = linear(classes), noise(20, 1, 4, 4).double()
    r, stayed = deepfool(net, images, 50, 0.02)
    w, z = net[1].weight, net(images)
    for i in range(20):
        own = int(z[i].argmax())
        distances = [float(abs(z[i, k] - z[i, own]) / (w[k] - w[own]).norm()) for k in range(classes) if k != own]
        assert float(r[i].norm()) == pytest.approx(min(distances), rel=1e-9)
    assert not len(stayed)


def test_every_image_ends_just_beyond_the_boundary():
    net, images = net_of(1).requires_grad_(False), noise(30, 1, 8, 8).double()
    r, stayed = deepfool(net, images, 50, 0.02)
    assert not len(stayed)
    before = net(images).argmax(1)
    assert bool((net(images + 1.02 * r).argmax(1) != before).all())
    assert bool((net(images + 0.5 * r).argmax(1) == before).float().mean() > 0.9)


def test_images_do_not_disturb_one_another():
    net, images = net_of(1).requires_grad_(False), noise(10, 1, 8, 8).double()
    together = deepfool(net, images, 50, 0.02)[0]
    alone = torch.cat([deepfool(net, image[None], 50, 0.02)[0] for image in images])
    torch.testing.assert_close(together, alone)


def test_deepfool_leaves_the_predicted_class_and_keeps_the_nearest(tmp_path):
    """Scores do not depend on labels; of each class the images of least ‖r‖² are kept."""
    net = net_of(4).float()
    ctx = with_nets(tmp_path, [net], epoch=3)
    found = DeepFool(DeepFoolParams(epochs=3)).select(ctx)
    r, _ = deepfool(net.double().requires_grad_(False), ctx.train.images().double(), 50, 0.02)
    squares = r.flatten(1).square().sum(1)
    assert torch.allclose(-found.scores.double(), squares, rtol=1e-2)
    hardness = found.scores.tolist()
    expected = [sorted(class_order(ctx, c).tolist(), key=lambda i: -hardness[i])[:3] for c in range(3)]
    assert found.indices.tolist() == [i for one in expected for i in one]


def test_images_that_do_not_cross_are_the_easiest_however_far_they_went(tmp_path):
    ctx = with_nets(tmp_path, [net_of(4).float()], epoch=3)
    images = ctx.train.images()
    r, stayed = deepfool(net_of(4).float().requires_grad_(False), images, 1, 0.0)
    crossed = torch.ones(N, dtype=torch.bool).index_fill(0, stayed, value=False)
    assert bool((r[stayed].flatten(1) != 0).any(1).all()) and bool(crossed.any())
    scores = DeepFool(DeepFoolParams(epochs=3, iterations=1, overshoot=0.0)).select(ctx).scores
    assert float(scores[~crossed].max()) < float(scores[crossed].min())
    assert len(scores[~crossed].unique()) == 1


def test_of_an_image_that_does_not_cross_no_way_has_to_be_known(tmp_path, monkeypatch):
    ctx = with_nets(tmp_path, [net_of(4).float()], epoch=3)

    def none_crosses(net, images, *_):
        return torch.full_like(images, torch.inf), torch.arange(len(images))

    monkeypatch.setattr("ddbench_plugins.deepfool.method.deepfool", none_crosses)
    assert DeepFool(DeepFoolParams(epochs=3)).select(ctx).scores.unique().tolist() == [-1.0]


def test_images_that_do_not_cross_in_time_are_told(tmp_path):
    ctx = with_nets(tmp_path, [net_of(4).float()], epoch=3)
    _, stayed = deepfool(net_of(4).requires_grad_(False), ctx.train.images().double(), 1, 0.0)
    assert len(stayed)
    DeepFool(DeepFoolParams(epochs=3, iterations=1, overshoot=0.0)).select(ctx)
    assert "did not cross the boundary within 1 steps" in ctx.warnings[-1]
