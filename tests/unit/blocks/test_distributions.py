"""Distances of distributions: against loops in float64, and what they are zero, equal or blind to."""

from __future__ import annotations

import cmath
import itertools
import math
import statistics

import pytest
import torch

from ddbench.blocks import distributions
from ddbench.blocks.distributions import (
    Discrepancy,
    characteristic,
    kernel_distance,
    mean_distances,
    median_distance,
    phase_distance,
)
from ddbench.blocks.matching import class_mean_feature_distance

KINDS = [Discrepancy("mean"), Discrepancy("mmd"), Discrepancy("cf", 16), Discrepancy("cf", 16, 0.9, 0.1)]
REAL, SYN = [5, 3, 4], [2, 4, 1]


def points(n, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator():
    return torch.Generator().manual_seed(3)


def test_means_of_each_class_add_up_to_dms_distance():
    real, syn = points(12), points(7, seed=1)
    each = mean_distances(real, syn, REAL, SYN)
    assert each.shape == (3,)
    torch.testing.assert_close(each.sum(), class_mean_feature_distance(real, syn, REAL, SYN))
    gap = real[5:8].mean(0) - syn[2:6].mean(0)
    torch.testing.assert_close(each[1], gap.square().sum())


def loop_mmd(real, syn):
    """Every pair by itself."""
    everything = real.tolist() + syn.tolist()
    h = statistics.median(math.dist(a, b) for a, b in itertools.combinations(everything, 2))

    def mean(left, right):
        return statistics.fmean(math.exp(-(math.dist(a, b) ** 2) / (2 * h * h)) for a in left for b in right)

    x, s = real.tolist(), syn.tolist()
    return mean(x, x) + mean(s, s) - 2 * mean(x, s)


@pytest.mark.parametrize(("b", "n"), [(5, 3), (4, 3), (1, 1)])
def test_mmd_is_the_mean_over_all_pairs(b, n):
    real, syn = points(b) + 3.0, points(n, seed=1) + 2.5
    assert float(kernel_distance(real, syn)) == pytest.approx(loop_mmd(real, syn), rel=1e-10)


def test_mmd_of_a_set_with_itself_is_zero():
    real = points(8)
    assert abs(float(kernel_distance(real, real.clone()))) < 1e-12
    assert float(kernel_distance(torch.ones(3, 2), torch.ones(2, 2))) == 0.0  # all distances are 0, h too


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_median_of_an_even_number_lies_between_the_middle_two(n):
    found = points(n)
    wanted = statistics.median(math.dist(a, b) for a, b in itertools.combinations(found.tolist(), 2))
    assert float(median_distance(torch.cdist(found, found).square())) == pytest.approx(wanted)


def loop_phase(real, syn, t, amplitude, phase):
    """As written, with complex numbers."""

    def phi(features, frequency):
        angles = [sum(a * b for a, b in zip(frequency, row, strict=True)) for row in features]
        return sum(cmath.exp(1j * angle) for angle in angles) / len(angles)

    total = 0.0
    for frequency in t.tolist():
        x, s = phi(real.tolist(), frequency), phi(syn.tolist(), frequency)
        turned = max(2 * (abs(x) * abs(s) - x.real * s.real - x.imag * s.imag), 1e-12)
        total += math.sqrt(amplitude * (abs(x) - abs(s)) ** 2 + phase * turned)
    return 300 * total / len(t)


@pytest.mark.parametrize(("amplitude", "phase"), [(0.5, 0.5), (0.9, 0.1), (0.0, 1.0), (1.0, 0.0), (0.2, 0.2)])
def test_distance_of_characteristic_functions_is_as_written(amplitude, phase):
    real, syn, t = points(5), points(3, seed=1), points(11, seed=2)
    expected = loop_phase(real, syn, t, amplitude, phase)
    assert float(phase_distance(real, syn, t, amplitude, phase)) == pytest.approx(expected, rel=1e-7)


def test_equal_weights_do_not_weigh_amplitude_and_phase_apart():
    """300 / √2 · mean |Φ_x − Φ_s|: what is shipped, and the same as the general form."""
    real, syn, t = points(5), points(3, seed=1), points(11, seed=2)
    (re_x, im_x), (re_s, im_s) = characteristic(real, t), characteristic(syn, t)
    plain = 300 / math.sqrt(2) * torch.complex(re_x - re_s, im_x - im_s).abs().mean()
    torch.testing.assert_close(phase_distance(real, syn, t), plain)
    torch.testing.assert_close(phase_distance(real, syn, t, 0.5, 0.5 + 1e-12), plain)


def test_amplitude_and_phase_are_all_of_the_difference():
    real, syn, t = points(5), points(3, seed=1), points(11, seed=2)
    amplitude, phase = phase_distance(real, syn, t[:1], 1.0, 0.0), phase_distance(real, syn, t[:1], 0.0, 1.0)
    both = phase_distance(real, syn, t[:1], 1.0, 1.0)
    torch.testing.assert_close(amplitude**2 + phase**2, both**2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("amplitude", "phase"), [(0.5, 0.5), (0.5, 0.4)])
def test_a_set_has_nearly_no_distance_from_itself_and_a_finite_gradient(amplitude, phase):
    real, t = points(5).float(), points(11, seed=2).float()
    syn = real.clone().requires_grad_()
    distance = phase_distance(real, syn, t, amplitude, phase)
    assert 0 <= float(distance.detach()) <= 300 * math.sqrt(0.5 * 1e-12) * 1.001 or amplitude != phase
    (gradient,) = torch.autograd.grad(distance, syn)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients_are_finite_differences_and_only_of_the_synthetic_side(kind):
    real, syn = points(12).requires_grad_(), points(7, seed=1).requires_grad_()

    def total(s):
        return kind(real, s, REAL, SYN, generator()).sum()

    gradient, none = torch.autograd.grad(total(syn), [syn, real], allow_unused=True)
    assert none is None
    if kind.kind == "mmd":  # h is a constant: finite differences would move it
        wanted = torch.autograd.grad(sum(fixed_mmd(x, s) for x, s in by_class(real, syn)), syn)[0]
        torch.testing.assert_close(gradient, wanted)
        return
    step = 1e-6
    for place in ((0, 0), (3, 2), (6, 5)):
        up, down = syn.detach().clone(), syn.detach().clone()
        up[place] += step
        down[place] -= step
        slope = (total(up) - total(down)) / (2 * step)
        torch.testing.assert_close(gradient[place], slope.detach(), rtol=1e-5, atol=1e-6)


def by_class(real, syn):
    return zip(real.split(REAL), syn.split(SYN), strict=True)


def fixed_mmd(real, syn):
    """With cdist, and h as a number."""
    everything = torch.cat([real, syn]).detach()
    h = statistics.median(math.dist(a, b) for a, b in itertools.combinations(everything.tolist(), 2))

    def mean(a, b):
        return (-(a[:, None] - b[None]).square().sum(2) / (2 * h * h)).exp().mean()

    real = real.detach()
    return mean(real, real) + mean(syn, syn) - 2 * mean(real, syn)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_classes_do_not_see_each_other(kind):
    real, syn = points(12), points(7, seed=1)
    before = kind(real, syn, REAL, SYN, generator())
    moved = syn.clone()
    moved[:2] += 1.0
    after = kind(real, moved, REAL, SYN, generator())
    assert torch.equal(before[1:], after[1:]) and not torch.equal(before[0], after[0])


def test_characteristic_functions_are_of_rows_of_length_one():
    real, syn, kind = points(12), points(7, seed=1), Discrepancy("cf", 16)
    scaled = kind(real * torch.rand(12, 1, dtype=torch.float64).add(0.5), 3 * syn, REAL, SYN, generator())
    torch.testing.assert_close(scaled, kind(real, syn, REAL, SYN, generator()))


def test_every_class_and_every_call_has_frequencies_of_its_own():
    real, syn, kind, draws = points(4), points(2, seed=1), Discrepancy("cf", 16), generator()
    twice = kind(torch.cat([real, real]), torch.cat([syn, syn]), [4, 4], [2, 2], draws)
    again = kind(real, syn, [4], [2], draws)
    assert len({float(value) for value in [*twice, *again]}) == 3


def test_classes_of_equal_size_share_operations_with_the_same_distances(monkeypatch):
    real, syn = points(12), points(6, seed=1)
    for kind in KINDS[2:]:
        together = kind(real, syn, [4] * 3, [2] * 3, generator())
        monkeypatch.setattr(distributions, "TOGETHER", 0)
        torch.testing.assert_close(kind(real, syn, [4] * 3, [2] * 3, generator()), together)
        monkeypatch.undo()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("real", "syn"), [([12], SYN), ([5, 3, 3], SYN), (REAL, [7, 0, 0]), (REAL, [2, 4, 2])])
def test_what_is_no_batch_of_classes_is_refused(kind, real, syn):
    with pytest.raises(ValueError, match=r"classes of|do not match"):
        kind(points(12), points(7), real, syn, generator())
    with pytest.raises(ValueError, match="features of real"):
        kind(points(12), points(7, d=5), REAL, SYN, generator())
