"""Protocols: how long, at which rate, with which augmentation; worked out by hand from the evaluation rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ddbench.core.keys import eval_key
from ddbench.core.plugin.loader import installed, load
from ddbench.core.plugin.registry import Origin
from ddbench.core.profiles import profile
from ddbench.core.sets import Recipe
from ddbench.core.specs import DatasetInfo, EvalSpec
from ddbench.data.catalog import DATASETS
from ddbench.data.dataset import facts_of, open_data
from ddbench.models.catalog import FAMILIES
from ddbench.models.names import student as student_of
from ddbench.plan import grid, planner, suite
from ddbench.work.evaluate.catalog import PROTOCOLS
from ddbench.work.evaluate.params import RecipeParams, SGDParams

BY_NAME = {info.name: info for info in PROTOCOLS}


def info(name="cifar10", flip=True, **declared):
    return DatasetInfo(
        name, "r", 3, 32, 10, tuple("abcdefghij"), (100,) * 10, (10,) * 10, 100, "convnet3-w128-in", flip, (), (),
        **declared,
    )  # fmt: skip


def resolve(protocol, n, profile_name="paper", student="convnet3-w128-in", **facts):
    cls = RecipeParams if BY_NAME[protocol].follows_recipe else SGDParams
    return cls.resolve(
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


@pytest.mark.parametrize("profile_name", ["paper", "short"])
@pytest.mark.parametrize("batch", [None, 32, 128, 256, 1000])
@pytest.mark.parametrize("n", [1, 10, 128, 129, 500, 1000, 5000])
def test_a_recipe_without_a_length_has_1001_passes_in_its_own_batches(n, batch, profile_name):
    longest = {"paper": 20_000, "short": 3000}[profile_name]
    passes_one_by_one = sum(len(range(0, n, batch or 256)) for _ in range(1001))
    params = resolve("native", n, profile_name)
    assert params.length(Recipe(batch=batch), n) == (passes_one_by_one, min(passes_one_by_one, longest))
    assert params.updates == params.length(Recipe(), n)[1], "what a plan expects"
    assert (params.batch, params.drop_after) == (256, -(-params.updates // 2))


def test_datm_at_ipc_50_is_evaluated_as_its_authors_do():
    recipe = Recipe(batch=128)
    assert resolve("native", 500).length(recipe, 500) == (4004, 4004)
    assert resolve("native", 500, "short").length(recipe, 500) == (4004, 3000)


@pytest.mark.parametrize("named", [1, 700, 3000, 3001, 50_000])
def test_a_length_that_a_recipe_names_wins_and_is_cut_in_the_same_way(named):
    assert resolve("native", 10, "short").length(Recipe(updates=named, batch=3), 10) == (named, min(named, 3000))


def test_for_tests_recipes_are_tiny():
    for n in (1, 10, 10_000):
        wanted, made = resolve("native", n, "smoke").length(Recipe(batch=3), n)
        assert wanted >= 4 and made == min(10, wanted)


@pytest.mark.parametrize("protocol", [p.name for p in PROTOCOLS if not p.follows_recipe])
def test_other_protocols_follow_no_recipe(protocol):
    params = resolve(protocol, 500)
    assert params.length(Recipe(updates=7), 500) == params.length(None, 500) == (params.updates, params.updates)


GOLDEN = {
    "cropflip@1": "41b5e79436d13693", "dc2021@1": "06452086665344bd", "hard@2": "11543ef190815a42",
    "hard-fixed@1": "47621b06ba5129c4", "hard-long@2": "414c0ed30884275e", "native@2": "0ae9c2aad92ca736",
    "noaug@1": "a63e3d4494fe106e", "real@1": "3b8a0d63efda579e", "soft@1": "05f4a73865ade8e6",
    "val@2": "edd94f41268cfda2",
}  # fmt: skip


def test_keys_of_students_never_change_by_accident():
    """If one differs, stored results no longer match: bump the protocol's version, and add the new key."""
    for one in PROTOCOLS:
        spec = EvalSpec(
            set="f" * 64, protocol=one.name, protocol_version=one.version, arch="convnet3-w128-in", master=0, r=0, e=0,
            protocol_params=resolve(one.name, 500).model_dump(mode="json"),
        )  # fmt: skip
        assert eval_key(spec)[:16] == GOLDEN[f"{one.name}@{one.version}"]


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
