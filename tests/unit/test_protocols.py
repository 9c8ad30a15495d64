"""Protocols: how long, at which rate, with which augmentation; worked out by hand from the evaluation rules."""

from __future__ import annotations

import pytest

from ddbench.evaluate.catalog import PROTOCOLS
from ddbench.evaluate.params import SGDParams
from ddbench.profiles import profile
from ddbench.specs import DatasetInfo

BY_NAME = {info.name: info for info in PROTOCOLS}


def info(name="cifar10", flip=True):
    return DatasetInfo(
        name, "r", 3, 32, 10, tuple("abcdefghij"), (100,) * 10, (10,) * 10, 100, "convnet3-w128-in", flip, (), ()
    )


def resolve(protocol, n, profile_name="paper", student="convnet3-w128-in", **facts):
    return SGDParams.resolve(
        BY_NAME[protocol].defaults, n=n, data=info(**facts), student=student, profile=profile(profile_name)
    )


@pytest.mark.parametrize(
    ("n", "paper", "short", "long"),
    [(10, 1000, 1000, 1000), (256, 1000, 1000, 1000), (257, 2000, 2000, 2000), (1000, 4000, 3000, 4000),
     (5000, 20000, 3000, 20000), (50000, 20000, 3000, 196000)],
)  # fmt: skip
def test_updates_follow_the_budget(n, paper, short, long):
    assert resolve("hard", n).updates == paper
    assert resolve("hard", n, "short").updates == short
    assert resolve("hard-long", n).updates == resolve("hard-long", n, "short").updates == long


def test_the_rate_drops_after_half():
    params = resolve("hard", 257)
    assert (params.drop_after, params.schedule, params.momentum, params.weight_decay) == (1000, "step", 0.9, 5e-4)


def test_rates_are_chosen_on_val_except_in_fixed_protocols():
    assert resolve("hard", 10).lr == (0.003, 0.01, 0.03, 0.1)
    assert resolve("hard", 10, "short").lr == (0.01, 0.03)
    assert resolve("hard-fixed", 10).lr == resolve("dc2021", 10).lr == resolve("val", 10).lr == (0.01,)


@pytest.mark.parametrize("n", [10, 256, 257, 1000])
def test_dc2021_counts_passes(n):
    params, per_pass = resolve("dc2021", n, "short"), -(-n // 256)
    assert (params.updates, params.drop_after, params.augmentation) == (301 * per_pass, 152 * per_pass, "none")


def test_dc2021_augments_mnist_and_batch_norm_nets_for_longer():
    mnist = resolve("dc2021", 10, name="mnist", flip=False)
    assert (mnist.updates, mnist.drop_after, mnist.augmentation) == (1001, 502, "dc_mnist")
    batch_norm = resolve("dc2021", 10, student="convnet3-w128-bn")
    assert (batch_norm.updates, batch_norm.augmentation) == (1001, "crop_noise")


def test_digits_are_never_mirrored():
    assert not resolve("hard", 10, name="digits", flip=False).flip


def test_batches_are_at_most_256():
    assert [resolve("hard", n).batch for n in (10, 256, 300)] == [10, 256, 256]


def test_only_smoke_is_below_a_thousand_updates():
    for name in BY_NAME:
        if name != "val":
            assert resolve(name, 10, "smoke").updates <= 10
    assert not profile("smoke").tabulated
    assert profile("short").tabulated
