"""Laws that the presets of trajectory methods keep at every budget."""

from __future__ import annotations

import itertools

import pytest

from ddbench.core.plugin.loader import installed, params_class
from ddbench.core.specs import Budget
from ddbench.plan.presets import choose, presets

METHODS = ("mtt", "tesla", "ftd", "datm")
TRAIN = {"cifar10": 45_000, "cifar100": 45_000, "tinyimagenet": 90_000, "digits": 1197, "mnist": 6_000,
         "fashionmnist": 10_000, "svhn": 65_931}  # fmt: skip
"""Training images; those of mnist and fashionmnist are the smallest views that their presets are made for."""


@pytest.mark.parametrize("profile", ["paper", "short", "smoke"])
@pytest.mark.parametrize("name", METHODS)
def test_the_target_is_further_than_the_student_can_walk_and_within_reach_of_the_experts(name, profile):
    info = installed().methods.get(name)
    for (dataset, n), ipc in itertools.product(TRAIN.items(), (1, 10, 50, 100, 500, 1000)):
        chosen = choose(info, dataset, Budget(ipc=ipc), profile)
        if not chosen.params:
            continue
        p, where = params_class(info).model_validate(dict(chosen.params)), f"{dataset} ipc {ipc}"
        per_epoch = -(-n // p.expert_batch)
        assert p.match_snapshots * (p.snapshot_updates or per_epoch) > p.syn_steps, where
        assert p.min_start < p.max_start, where
        assert p.max_start - 1 + p.match_snapshots <= p.last_snapshot(n), where


@pytest.mark.parametrize(("profile", "flat"), [("short", ("ftd",)), ("smoke", ())])
@pytest.mark.parametrize("dataset", TRAIN)
def test_short_and_smoke_share_one_pool_of_plain_experts(profile, flat, dataset):
    pools = {}
    for name in (*METHODS, "random_soft"):
        info = installed().methods.get(name)
        for ipc in (1, 10, 50, 500):
            chosen = choose(info, dataset, Budget(ipc=ipc), profile)
            pool = params_class(info).model_validate(dict(chosen.params)).pool
            pools.setdefault("gsam" if name in flat else "sgd", set()).add(pool.model_dump_json())
    assert all(len(found) == 1 and f'"optimiser":"{name}"' in next(iter(found)) for name, found in pools.items())


VALUES = {"digits": 64, "mnist": 784, "fashionmnist": 784, "cifar10": 3072}
"""Of an image."""


def tuned(name, ipc):
    """What was chosen on fm14."""
    return dict(choose(installed().methods.get(name), "fashionmnist", Budget(ipc=ipc), "short", size=14, pool=2).params)


@pytest.mark.parametrize("name", [*METHODS, "dm"])
@pytest.mark.parametrize("ipc", [1, 10, 50])
@pytest.mark.parametrize("dataset", [*VALUES, "svhn"])
def test_presets_of_other_data_follow_from_the_tuned_ones(name, ipc, dataset):
    """The rule of docs/explanation/tuning.md."""
    expected = tuned(name, ipc)
    if name in METHODS:
        expected["lr_img"] = float(f"{expected['lr_img'] * VALUES.get(dataset, 784) / 196:.2g}")
        if dataset in VALUES:
            expected |= {"expert_epochs": -(-800 // -(-TRAIN[dataset] // 128)), "snapshot_updates": 40}
    assert dict(choose(installed().methods.get(name), dataset, Budget(ipc=ipc), "short").params) == expected


PUBLISHED = {  # N, M, T⁻, T⁺, batch_syn, lr_img, lr_lr, β₀ as the papers and their authors' code print them
    ("mtt", "cifar10", 10): (30, 2, 0, 20, 0, 100.0, 1e-5, 0.001),
    ("mtt", "cifar100", 50): (80, 2, 0, 40, 125, 1000.0, 1e-5, 0.01),
    ("mtt", "tinyimagenet", 1): (10, 2, 0, 10, 0, 1e4, 1e-4, 0.01),
    ("tesla", "cifar10", 1): (50, 2, 0, 5, 0, 500.0, 1e-7, 0.01),
    ("tesla", "cifar100", 50): (80, 2, 0, 40, 125, 500.0, 1e-5, 0.01),
    ("ftd", "cifar10", 1): (50, 2, 0, 2, 0, 100.0, 1e-7, 0.01),
    ("ftd", "tinyimagenet", 10): (20, 2, 0, 40, 500, 1e4, 1e-4, 0.01),
    ("datm", "cifar10", 1): (80, 2, 0, 4, 0, 100.0, 1e-7, 0.01),
    ("datm", "cifar10", 500): (40, 2, 40, 60, 1000, 50.0, 1e-5, 0.01),
    ("datm", "cifar10", 1000): (100, 2, 40, 60, 1000, 50.0, 1e-5, 0.01),
    ("datm", "cifar100", 1): (40, 3, 0, 20, 0, 1000.0, 1e-5, 0.01),
    ("datm", "tinyimagenet", 50): (20, 2, 40, 70, 1000, 100.0, 1e-4, 0.01),
}


@pytest.mark.parametrize(("cell", "published"), PUBLISHED.items(), ids=str)
def test_paper_presets_are_the_published_numbers(cell, published):
    name, dataset, ipc = cell
    info = installed().methods.get(name)
    p = params_class(info).model_validate(dict(choose(info, dataset, Budget(ipc=ipc), "paper").params))
    ours = (p.syn_steps, p.match_snapshots, p.min_start, p.max_start, p.batch_syn, p.lr_img, p.lr_lr, p.lr_init)
    assert ours == published


@pytest.mark.parametrize("name", ["datm", "ftd"])
def test_paper_presets_keep_the_authors_experts(name):
    info = installed().methods.get(name)
    published = [preset for preset in presets(info) if preset.where.profile == "paper"]
    assert len(published) == {"datm": 12, "ftd": 8}[name]
    for preset in published:
        p = params_class(info).model_validate(preset.params)
        assert (p.expert_optimiser, p.expert_rho, p.expert_lr, p.expert_batch, p.experts) == (
            "gsam",
            0.01,
            0.01,
            256,
            100,
        )
        assert p.expert_epochs == {"datm": 100, "ftd": 50}[name]


def test_teslas_step_on_pixels_is_half_of_what_its_code_is_given():
    """Its gradient lacks the factor 2: its README says 1e3 for CIFAR-10 at ipc 1."""
    chosen = choose(installed().methods.get("tesla"), "cifar10", Budget(ipc=1), "paper")
    assert chosen.params["lr_img"] == 500.0
