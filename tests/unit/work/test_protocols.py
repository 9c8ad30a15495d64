"""Protocols: how long, at which rate, with which augmentation; worked out by hand from the evaluation rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ddbench.core.plugin.loader import installed, load
from ddbench.core.plugin.registry import Origin
from ddbench.core.profiles import profile
from ddbench.core.specs import DatasetInfo
from ddbench.data.catalog import DATASETS
from ddbench.data.dataset import facts_of, open_data
from ddbench.models.catalog import FAMILIES
from ddbench.models.names import student as student_of
from ddbench.plan import grid, planner, suite
from ddbench.work.evaluate.catalog import PROTOCOLS
from ddbench.work.evaluate.params import SGDParams

BY_NAME = {info.name: info for info in PROTOCOLS}


def info(name="cifar10", flip=True, **declared):
    return DatasetInfo(
        name, "r", 3, 32, 10, tuple("abcdefghij"), (100,) * 10, (10,) * 10, 100, "convnet3-w128-in", flip, (), (),
        **declared,
    )  # fmt: skip


def resolve(protocol, n, profile_name="paper", student="convnet3-w128-in", **facts):
    return SGDParams.resolve(
        BY_NAME[protocol].defaults, n=n, data=info(**facts), student=student_of(student, installed().architectures),
        profile=profile(profile_name),
    )  # fmt: skip


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
    assert resolve("hard", 10, "short").lr == (0.003, 0.01, 0.03)
    assert resolve("hard-fixed", 10).lr == resolve("dc2021", 10).lr == resolve("val", 10).lr == (0.01,)


@pytest.mark.parametrize("n", [10, 256, 257, 1000])
def test_dc2021_counts_passes(n):
    params, per_pass = resolve("dc2021", n, "short"), -(-n // 256)
    assert (params.updates, params.drop_after, params.augmentation) == (301 * per_pass, 152 * per_pass, "none")


NOISY = {f"convnet{depth}-w{width}-bn" for depth in range(1, 6) for width in (32, 128)}
"""The students that DC trains with crops and noise, on all data sets but MNIST."""


@pytest.mark.parametrize("record", DATASETS, ids=lambda record: record.name)
def test_dc2021_augments_mnist_and_batch_norm_convnets_for_longer(record):
    students = [
        "-".join(filter(None, [base, variant, f"w{width}", norm]))
        for family in FAMILIES
        for base in family.bases
        for variant in ("", *family.variants)
        for width in (32, 128)
        for norm in family.norms
    ]
    assert set(students) >= NOISY
    for student in students:
        facts = {"name": record.name, "flip": record.flip, "dc_augmentation": record.dc_augmentation}
        found = resolve("dc2021", 300, "short", student, **facts)
        augmented = "dc_mnist" if record.name == "mnist" else "crop_noise" if student in NOISY else "none"
        passes = (301, 152) if augmented == "none" else (1001, 502)
        assert (found.updates, found.drop_after, found.augmentation) == (2 * passes[0], 2 * passes[1], augmented)
        found = resolve("dc2021", 300, "smoke", student, **facts)
        assert (found.updates, found.drop_after, found.augmentation) == (8, 4, augmented)


def test_a_data_set_of_any_name_can_declare_the_augmentation_of_dc2021():
    registries = load()
    draft = registries.datasets.draft(Origin("theirs", "theirs", "1", "theirs"))
    draft.add(replace(next(iter(DATASETS)), name="strokes", dc_augmentation="dc_mnist", licence="CC0"))
    draft.commit()
    opened = open_data("strokes", None, "default", "meanstd", registries)
    assert (opened.info.dc_augmentation, opened.info.licence) == ("dc_mnist", "CC0")
    assert facts_of(opened.spec, registries.datasets) == opened.info
    content = {"methods": ["random"], "datasets": ["strokes"], "budget": {"ipc": [1]}, "protocols": ["dc2021"]}
    planned = planner.make(grid.build(suite.parse(content, "test"), registries, profile("short")))
    students = [node.document.eval.protocol_params for node in planned.nodes.values() if node.kind == "evaluation"]
    assert students
    assert all(student["augmentation"] == "dc_mnist" for student in students)


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
