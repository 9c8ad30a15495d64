"""Laws of neural tangent kernels; oracles: wide finite networks, a formula in plain floats, finite differences."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from ddbench.blocks.kernel_names import MOST, kernel
from ddbench.blocks.kernels import Scales, cross, gram
from ddbench.blocks.relu_moments import relu_moments
from ddbench.core.errors import UsageError

EVERY = ("fc1", "fc3", "conv2", "convpool2", "convgap2")


def images(n, channels=2, side=4, seed=0):
    return torch.randn(n, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------------------- oracles


def fc1_by_hand(x, y):
    """One pair of lists of floats: the recursion with θ by arccos."""
    sigma = lambda a, b: 2 * sum(i * j for i, j in zip(a, b, strict=True)) / len(a) + 0.01  # noqa: E731
    u, v, c = sigma(x, x), sigma(y, y), sigma(x, y)
    angle = math.acos(max(-1.0, min(1.0, c / math.sqrt(u * v))))
    first = math.sqrt(u * v) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    output = 2 * first + 0.01
    return output + 2 * c * (math.pi - angle) / (2 * math.pi)


class Scaled(nn.Module):
    """A linear layer in NTK parametrisation: √2 w / √fan_in, 0.1 b, both ~ N(0, 1)."""

    def __init__(self, inputs, outputs, convolution, draws):
        super().__init__()
        shape = (outputs, inputs, 3, 3) if convolution else (outputs, inputs)
        self.weight = nn.Parameter(torch.randn(*shape, generator=draws))
        self.bias = nn.Parameter(torch.randn(outputs, generator=draws))
        self.scale = math.sqrt(2 / self.weight[0].numel())

    def forward(self, x):
        if self.weight.ndim == 4:
            return functional.conv2d(x, self.scale * self.weight, 0.1 * self.bias, padding=1)
        return functional.linear(x, self.scale * self.weight, 0.1 * self.bias)


def wide(name, x, width, seed):
    """A finite network whose tangent kernel comes near that of ``name``, with one output."""
    draws, named = torch.Generator().manual_seed(seed), kernel(name)
    parts, inputs, side = [], x.shape[1] if named.convolutional else x[0].numel(), x.shape[-1]
    if not named.convolutional:
        parts.append(nn.Flatten())
    if named.prepended:
        parts.append(Scaled(inputs, width, True, draws))
        inputs = width
    for _ in range(named.depth):
        parts += [Scaled(inputs, width, named.convolutional, draws), nn.ReLU()]
        inputs = width
        if named.pooling == "average":
            parts.append(nn.AvgPool2d(2))
            side //= 2
    if named.pooling == "global":
        parts.append(nn.AvgPool2d(side))
        side = 1
    if named.convolutional:
        parts.append(nn.Flatten())
    return nn.Sequential(*parts, Scaled(width * (side**2 if named.convolutional else 1), 1, False, draws))


def empirical(name, x, width, seeds):
    """Mean over networks of ⟨∂f(x)/∂θ, ∂f(x')/∂θ⟩."""
    found = torch.zeros(len(x), len(x))
    for seed in range(seeds):
        net = wide(name, x, width, seed)
        weights = dict(net.named_parameters())
        jacobians = torch.func.jacrev(lambda at, net=net: torch.func.functional_call(net, at, (x,))[:, 0])(weights)
        found += sum(each.flatten(1) @ each.flatten(1).mT for each in jacobians.values()).detach()
    return found / seeds


# ---------------------------------------------------------------------------------------------------------------- laws


def test_fc1_is_the_formula_of_the_paper():
    x, y = images(4), images(3, seed=1)
    expected = [[fc1_by_hand(a.flatten().tolist(), b.flatten().tolist()) for b in y] for a in x]
    assert torch.allclose(cross(kernel("fc1"), x, y), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "width", "seeds", "within"),
    [("fc1", 4096, 8, 0.03), ("fc3", 1024, 16, 0.06), ("conv2", 256, 12, 0.04), ("convpool2", 256, 12, 0.04), ("convgap2", 256, 12, 0.04)],
)  # fmt: skip
def test_it_is_the_limit_of_wide_networks(name, width, seeds, within):
    x = images(3)
    expected = empirical(name, x.float(), width, seeds).double()
    found = gram(kernel(name), x)
    scale = found.diagonal().sqrt()
    assert ((found - expected).abs() / (scale[:, None] * scale)).max() < within


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_without_biases_layers_keep_variances_and_the_tangent_kernel_gains_one_share_of_them_each(depth):
    x = images(5)
    found = gram(kernel(f"fc{depth}"), x, Scales(2.0, 0.0)).diagonal()
    assert torch.allclose(found, (depth + 1) * 2 * x.flatten(1).square().mean(1), rtol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_symmetric_positive_definite_and_the_same_whichever_way_it_is_asked(name):
    x, named = images(6), kernel(name)
    found = gram(named, x)
    assert torch.allclose(found, found.mT, rtol=1e-12)
    assert torch.linalg.eigvalsh(found).min() > 0
    # K(x, x) of one image in two variables: there the angle comes from rounded numbers.
    assert torch.allclose(found, cross(named, x, x), rtol=1e-6)
    assert torch.allclose(cross(named, x[:2], x[2:]), found[:2, 2:], rtol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_blocks_of_every_size_give_the_same_kernel_and_gradient(name):
    x, y, named = images(5), images(4, seed=1), kernel(name)
    weights = images(1, 1, 5)[0, 0], images(1, 1, 5, seed=2)[0, 0, :4]

    def of(block):
        a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
        made = gram(named, a, block=block), cross(named, b, a, block=block)
        total = sum((weight * each).sum() for weight, each in zip(weights, made, strict=True))
        with torch.no_grad():
            plain = gram(named, a, block=block), cross(named, b, a, block=block)
        return *made, *plain, *torch.autograd.grad(total, (a, b))

    whole = of(2**30)
    for pairs in (1, 7):
        found = of(pairs * named.entries(4))
        for one, other in zip(found, whole, strict=True):
            assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_is_that_of_finite_differences_also_on_the_diagonal(name):
    x, named = images(3, channels=1), kernel(name)
    assert torch.autograd.gradcheck(lambda at: gram(named, at), (x.requires_grad_(),))
    (slope,) = torch.autograd.grad(gram(named, x).diagonal().sum(), x)
    assert slope.isfinite().all() and slope.abs().max() > 0


@pytest.mark.parametrize("name", ["fc1", "fc3", "conv2"])
def test_the_gradient_is_finite_and_right_where_two_images_are_equal(name):
    twice = images(2, channels=1).repeat(2, 1, 1, 1)
    real = twice[:1].detach().clone()
    named = kernel(name)
    # Equal points are a peak of the kernel, with the same slopes to both sides: central differences are 0 across it.
    assert torch.autograd.gradcheck(lambda at: gram(named, at), (twice.requires_grad_(),), eps=1e-5, atol=1e-4)
    assert torch.autograd.gradcheck(lambda at: cross(named, real, at), (twice,), eps=1e-5, atol=1e-4)


def test_moments_are_those_of_draws():
    draws = torch.Generator().manual_seed(0)
    u, v, c = 1.3, 0.6, -0.4
    a = torch.randn(2_000_000, generator=draws, dtype=torch.float64)
    b = torch.randn(2_000_000, generator=draws, dtype=torch.float64)
    first, second = math.sqrt(u) * a, c / math.sqrt(u) * a + math.sqrt(v - c * c / u) * b
    found = relu_moments(*(torch.tensor(value, dtype=torch.float64) for value in (c, u, v)))
    assert float(found[0]) == pytest.approx(float((first.relu() * second.relu()).mean()), rel=0.01)
    assert float(found[1]) == pytest.approx(float(((first > 0) & (second > 0)).double().mean()), rel=0.01)


def test_an_angle_of_zero_leaves_half_and_an_angle_of_pi_nothing():
    one = torch.ones((), dtype=torch.float64)
    assert [float(each) for each in relu_moments(one, one, one)] == [0.5, 0.5]
    assert [abs(float(each)) for each in relu_moments(-one, one, one)] == pytest.approx([0.0, 0.0], abs=1e-15)


def test_pixels_have_no_order_for_connected_layers_and_have_one_for_convolutions():
    x = images(3)
    shuffled = x.flatten(2)[:, :, torch.randperm(16, generator=torch.Generator().manual_seed(0))].view_as(x)
    assert torch.allclose(gram(kernel("fc3"), x), gram(kernel("fc3"), shuffled))
    for name in ("conv2", "convpool2", "convgap2"):
        assert not torch.allclose(gram(kernel(name), x), gram(kernel(name), shuffled), rtol=1e-3)
        assert torch.allclose(gram(kernel(name), x), gram(kernel(name), x.flip(3))), (
            "mirroring all images changes nothing"
        )


def test_one_layer_of_pooling_kernels_is_the_mean_over_pairs_of_positions():
    """convgap1 by hand: patches of both images through fc1's formula without its output layer."""
    x, y = images(2, side=3)
    patches = [functional.unfold(each[None], 3, padding=1)[0].mT for each in (x, y)]  # [9, C · 9]
    c, u, v = (2 * a @ b.mT / a.shape[1] + 0.01 for a, b in [patches, (patches[0],) * 2, (patches[1],) * 2])
    first, second = relu_moments(c, u.diagonal()[:, None], v.diagonal()[None])
    expected = 2 * first.mean() + 0.01 + 2 * (c * second).mean()
    assert float(cross(kernel("convgap1"), x[None], y[None])) == pytest.approx(float(expected), rel=1e-12)


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["fc", "fc0", "conv", "dense3", "convpool100", "FC1", ""])
def test_other_names_are_refused(name):
    with pytest.raises(UsageError, match="none of fc, conv, convpool, convgap with a depth"):
        kernel(name)


@pytest.mark.parametrize(
    ("name", "side", "n", "why"),
    [
        ("fc1", 64, MOST, None),
        ("fc1", 64, MOST + 1, "of at most 10,000 images is solved for, not of 10,001"),
        ("conv3", 28, 500, None),
        ("conv3", 28, 5000, "solved for at most 1,129 images"),
        ("conv3", 64, 10, "up to 32 × 32, not 64 × 64"),
        ("convpool3", 8, 50, None),
        ("convpool3", 8, 51, r"pools, \(H·W\)² entries a pair: at most 50 images of 8 × 8, not 51 of 8 × 8"),
        ("convgap3", 28, 10, "at most 50 images of 8 × 8, not 10 of 28 × 28"),
        ("convpool4", 8, 10, "halves images 4 times, and 8 pixels are no multiple of 16"),
        ("convpool3", 6, 10, "6 pixels are no multiple of 8"),
    ],
)
def test_kernels_that_are_too_large_say_so(name, side, n, why):
    found = kernel(name).unsupported(side, n)
    if why is None:
        assert found is None
    else:
        assert found is not None and re.search(why, found)
