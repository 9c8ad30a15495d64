"""Keys: what changes a result changes the key, and nothing else does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.keys import artifact_key, canonical, condense_key, digest, eval_key, seed_of, student_seed
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DataSpec, EvalSpec
from ddbench.data.prepared.views import canonical_view

DATA = DataSpec(name="digits", revision="0123456789abcdef")
CELL = CellSpec(
    method="dm", method_version=1, origin="ddbench", params={"a": 1, "b": 2.5}, data=DATA, budget=Budget(ipc=1),
    arch="convnet2-w32-in", master=0, r=0,
)  # fmt: skip
ALL = frozenset({"budget", "arch", "seed"})
EVAL = EvalSpec(
    set="f" * 64, protocol="hard", protocol_version=1, protocol_params={"lr": [0.1]}, arch="convnet2-w32-in", master=0, r=0, e=0
)  # fmt: skip


def changed(spec, **update):
    return spec.model_copy(update=update)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_canonical_json_ignores_the_order_of_fields(value):
    assert canonical(dict(reversed(value.items()))) == canonical(value)


def test_nan_has_no_key():
    with pytest.raises(ValueError, match="Out of range"):
        digest({"lr": math.nan})


@pytest.mark.parametrize(
    "update",
    [
        {"method": "dc"},
        {"method_version": 2},
        {"origin": "someone-else"},
        {"params": {"a": 1, "b": 2.0}},
        {"data": changed(DATA, revision="f" * 16)},
        {"data": changed(DATA, split="paper")},
        {"data": changed(DATA, view=({"name": "train_size", "size": 10},))},
        {"data": changed(DATA, preprocess="zca-kornia")},
        {"data": changed(DATA, origin="f" * 64)},
        {"origins": {"arch": "f" * 64}},
        {"budget": Budget(ipc=2)},
        {"budget": Budget(fraction=0.5)},
        {"arch": "convnet3-w128-in"},
        {"master": 1},
        {"r": 1},
        {"initial": "e" * 64},
    ],
)
def test_every_field_of_a_cell_is_in_its_key(update):
    assert condense_key(changed(CELL, **update), ALL, ()) != condense_key(CELL, ALL, ())


def test_who_registered_what_takes_part_is_in_a_key_unless_ddbench_did():
    for spec, key in ((EVAL, eval_key), (CELL, lambda spec: condense_key(spec, ALL, ()))):
        keys = {key(changed(spec, origins=origins)) for origins in ({}, {"arch": "a"}, {"arch": "b"})}
        assert len(keys) == 3
        assert "origins" not in spec.model_dump(mode="json")
        assert type(spec).model_validate(spec.model_dump(mode="json")) == spec
    artifact = ArtifactSpec(kind="features", data=DATA)
    variants = [
        artifact, changed(artifact, origins={"artifact": "a"}), changed(artifact, data=changed(DATA, origin="a"))
    ]  # fmt: skip
    assert len({artifact_key(spec, 1) for spec in variants}) == 3
    assert "origin" not in DATA.model_dump()


def test_the_set_that_a_cell_starts_from_is_in_its_key_whatever_its_axes():
    found = {condense_key(changed(CELL, initial=start), frozenset(), ()) for start in ("", "e" * 64, "f" * 64)}
    assert len(found) == 3
    assert "initial" not in CELL.model_dump(mode="json")


def test_what_networks_are_trained_in_is_in_a_key_unless_it_is_float32():
    pool = ArtifactSpec(kind="experts", data=DATA)
    half = changed(pool, precision="bf16")
    assert artifact_key(pool, 1) != artifact_key(half, 1)
    for spec in (pool, EVAL):
        assert "precision" not in spec.model_dump(mode="json")
        told = changed(spec, precision="bf16").model_dump(mode="json")
        assert type(spec).model_validate(told).precision == "bf16"


@pytest.mark.parametrize(
    ("axis", "update"), [("budget", {"budget": Budget(ipc=7)}), ("arch", {"arch": "x"}), ("seed", {"r": 3})]
)
def test_an_axis_that_a_method_does_not_have_leaves_its_key_alone(axis, update):
    without = ALL - {axis}
    assert condense_key(changed(CELL, **update), without, ()) == condense_key(CELL, without, ())
    assert condense_key(CELL, without, ()) != condense_key(CELL, ALL, ())


def test_artifacts_are_in_the_key_whatever_their_order():
    assert condense_key(CELL, ALL, ["a", "b"]) == condense_key(CELL, ALL, {"y": "b", "x": "a"})
    assert condense_key(CELL, ALL, ["a"]) != condense_key(CELL, ALL, ["b"])


@pytest.mark.parametrize(
    "update",
    [{"set": "e" * 64}, {"protocol": "soft"}, {"protocol_version": 2}, {"protocol_params": {"lr": [0.2]}}, {"arch": "x"},
     {"master": 1}, {"r": 1}, {"e": 1}, {"precision": "bf16"}],
)  # fmt: skip
def test_every_field_of_an_evaluation_is_in_its_key(update):
    assert eval_key(changed(EVAL, **update)) != eval_key(EVAL)


def test_the_version_of_its_kind_is_in_an_artifacts_key():
    spec = ArtifactSpec(kind="features", data=DATA, arch="x", params={}, seed={"master": 0, "r": 0})
    assert artifact_key(spec, 1) != artifact_key(spec, 2)


def test_keys_never_change_by_accident():
    """Golden values: if one differs, stored results of users no longer match; bump a version instead."""
    assert condense_key(CELL, ALL, ())[:16] == "0fb24bc87a6e5062"
    assert eval_key(EVAL)[:16] == "5ce4201a02b6fdf1"
    assert seed_of(0, "digits", 0, "random", "3") == 5546258303623438055
    view = canonical_view({"label_flips": 0.2, "train_size": 100, "classes": [3, 0, 3], "seed": 5})
    assert condense_key(changed(CELL, data=changed(DATA, view=view)), ALL, ())[:16] == "cd213ea705e98399"


def test_seeds_differ_by_use_and_fit_a_generator():
    seeds = {seed_of(0, "digits", r, use) for r in range(20) for use in ("init", "net")}
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_students_seed_depends_on_its_architecture_but_on_no_method():
    assert student_seed(0, "digits", 1, 2, "convnet3") != student_seed(0, "digits", 1, 2, "convnet4")
