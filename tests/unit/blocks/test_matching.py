"""Laws of the mean-embedding distance."""

from __future__ import annotations

import pytest
import torch

from ddbench.blocks import matching
from ddbench.blocks.matching import class_gradients, class_mean_feature_distance, class_means, mean_feature_distance
from ddbench.models import build_model


def features(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distance_is_the_squared_norm_of_the_difference_of_means():
    real, syn = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[5.0, 1.0]])
    assert mean_feature_distance(real, syn) == 9 + 9


def test_distance_is_zero_for_equal_means():
    real = features(6, 4)
    assert mean_feature_distance(real, real.mean(0, keepdim=True)) < 1e-28


def test_gradient_matches_finite_differences_in_float64():
    real, syn = features(6, 4), features(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: mean_feature_distance(real, s), syn)


def test_gradient_reaches_synthetic_features_only():
    real, syn = features(6, 4).requires_grad_(), features(3, 4, seed=1).requires_grad_()
    mean_feature_distance(real, syn).backward()
    assert real.grad is None
    assert syn.grad is not None


def test_order_within_a_batch_does_not_matter():
    real, syn = features(6, 4), features(3, 4, seed=1)
    torch.testing.assert_close(mean_feature_distance(real, syn), mean_feature_distance(real.flip(0), syn[[2, 0, 1]]))


def test_doubling_the_data_changes_nothing():
    real, syn = features(6, 4), features(3, 4, seed=1)
    doubled = mean_feature_distance(real.repeat(2, 1), syn.repeat_interleave(2, 0))
    torch.testing.assert_close(mean_feature_distance(real, syn), doubled)


@pytest.mark.parametrize(("real_counts", "syn_counts"), [([4, 4, 4], [2, 2, 2]), ([3, 7, 2], [1, 4, 2])])
def test_classes_add_up(real_counts, syn_counts):
    real, syn = features(12, 5), features(sum(syn_counts), 5, seed=1)
    parts = zip(real.split(real_counts), syn.split(syn_counts), strict=True)
    torch.testing.assert_close(
        class_mean_feature_distance(real, syn, real_counts, syn_counts), sum(mean_feature_distance(*p) for p in parts)
    )


def test_permuting_classes_changes_nothing():
    real, syn = features(3, 4, 5), features(3, 2, 5, seed=1)
    counts = [4] * 3, [2] * 3
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        class_mean_feature_distance(real.flatten(0, 1), syn.flatten(0, 1), *counts),
        class_mean_feature_distance(real[order].flatten(0, 1), syn[order].flatten(0, 1), *counts),
    )


def test_class_means_of_unequal_classes():
    x = features(5, 2)
    torch.testing.assert_close(class_means(x, [1, 4]), torch.stack([x[0], x[1:].mean(0)]))


@pytest.mark.parametrize(
    ("real", "syn", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3), "do not make up a batch"),
        (torch.zeros(2, 3), torch.zeros(0, 3), "do not make up a batch"),
        (torch.zeros(2, 3), torch.zeros(2, 4), "differ"),
    ],
)
def test_empty_batches_and_other_feature_sizes_are_refused(real, syn, message):
    with pytest.raises(ValueError, match=message):
        mean_feature_distance(real, syn)


def test_counts_must_add_up_and_pair():
    with pytest.raises(ValueError, match="do not make up a batch of 4"):
        class_mean_feature_distance(torch.zeros(4, 2), torch.zeros(2, 2), [2, 1], [1, 1])
    with pytest.raises(ValueError, match="1 real classes do not match 2"):
        class_mean_feature_distance(torch.zeros(4, 2), torch.zeros(2, 2), [4], [1, 1])


@pytest.mark.parametrize("arch", ["mlp-w16", "lenet", "alexnet-w8", "alexnet-w8-in", "vgg11-w4-in", "resnet18-w4-in",
                                  "resnet18-w4-in-ap", "convnet2-w8-nn"])  # fmt: skip
def test_one_batched_pass_gives_the_gradients_of_each_class_by_itself(arch, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    net = build_model(arch, channels=1, classes=3, size=16, seed=0).double()
    images = torch.randn(6, 1, 16, 16, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    found = []
    for together in (100, 0):
        monkeypatch.setattr(matching, "TOGETHER", together)
        found.append(class_gradients(net, images, labels, [2, 2, 2]))
    for ours, alone in zip(*found, strict=True):
        for a, b in zip(ours, alone, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
