"""Recipes: what schema 1 could say is written as it was, schema 2 says the rest, and what contradicts itself is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from pydantic import ValidationError

from ddbench.core.api import CondensedSet, Preprocess, Recipe
from ddbench.core.errors import CorruptFileError, NewerRecordError
from ddbench.core.sets import SINCE_2
from ddbench.core.store.tensors import load_set, save_set

PLAIN = (
    '{"schema":1,"loss":"ce","lr":null,"updates":null,"batch":null,"momentum":0.9,"weight_decay":0.0005,'
    '"augmentation":"dsa","order":"shuffled","teacher":null}'
)
OLD = Recipe(
    lr=0.02, batch=3, updates=7, order="fixed", augmentation="none", loss="mse", momentum=0.5, weight_decay=0.0,
    teacher="t",
)  # fmt: skip
NEW = {
    "optimiser": "adamw", "betas": (0.5, 0.9), "schedule": "drops", "drops": (0.25, 0.75), "drop_factor": 0.2,
    "warmup": 3, "cutmix": 0.5, "norm": "bn", "initial": True, "augmentation": "one_for_all", "lr": 0.001,
}  # fmt: skip


def a_set(recipe, **parts):
    images = torch.arange(24.0).reshape(2, 1, 3, 4)
    space = Preprocess(id="meanstd", mean=(0.5,), std=(0.25,))
    return CondensedSet.of_images(images, torch.tensor([1, 0]), space, recipe, **parts)


def test_a_plain_recipe_is_written_as_before_there_was_schema_2():
    assert Recipe().model_dump_json(by_alias=True) == PLAIN


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        (Recipe(), "32c5183e4dfa2f1badf52cb18dc6132d21736ed139d9e1a7da2cdbf5b3d88ff0"),
        (OLD, "3a18261e1dd37cdd2d74dba4186b9b03a15b6a4f605dd2472cbd66ed9ea03e7d"),
    ],
)
def test_a_set_of_schema_1_is_the_same_file_as_before(tmp_path, recipe, digest):
    """The digests are those of files that were written before schema 2."""
    save_set(tmp_path / "set", a_set(recipe))
    assert hashlib.sha256((tmp_path / "set").read_bytes()).hexdigest() == digest
    assert load_set(tmp_path / "set").recipe == recipe


def test_saying_a_default_is_no_need_for_schema_2():
    usual = {name: Recipe.model_fields[name].default for name in SINCE_2}
    assert Recipe(**usual) == Recipe() and Recipe(**usual).schema_version == 1


@pytest.mark.parametrize("field", sorted(SINCE_2 | {"augmentation"}))
def test_each_new_field_alone_is_schema_2_and_comes_back(field):
    odd = {"lr_end": 0.5, "schedule": "constant", "lrs": (0.1, 0.2), "optimiser": "lamb"} | NEW
    beside = {"schedule": "drops"} if field == "drops" else {"schedule": "cosine"} if field == "lr_end" else {}
    value = "constant" if field == "schedule" else odd[field]
    recipe = Recipe(**beside, **{field: value})
    assert recipe.schema_version == 2
    written = recipe.model_dump_json(by_alias=True)
    assert json.loads(written)["schema"] == 2 and Recipe.model_validate_json(written) == recipe


def test_a_recipe_of_schema_2_survives_the_file(tmp_path):
    recipe, state = Recipe(**NEW), torch.arange(5.0)
    save_set(tmp_path / "set", a_set(recipe, initial=state))
    found = load_set(tmp_path / "set")
    assert found.recipe == recipe and torch.equal(found.aux["initial"], state)
    assert found.storage.initial == 20 and found.storage.lrs == 4


def test_a_copy_with_a_new_field_is_written_whole():
    """``model_copy`` validates nothing: the field must not be lost for that."""
    written = Recipe().model_copy(update={"optimiser": "adam"}).model_dump(mode="json", by_alias=True)
    assert Recipe.model_validate(written) == Recipe(optimiser="adam")


def test_learned_rates_are_counted_each():
    assert a_set(Recipe(lrs=(0.1, 0.2, 0.3))).storage.lrs == 12
    assert a_set(Recipe(lr=0.1)).storage.lrs == 4 and a_set(Recipe()).storage.lrs == 0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"schema": 1, "norm": "bn"}, "a recipe of schema 1 has no norm: that is schema 2"),
        ({"schema": 1, "augmentation": "composed"}, "a recipe of schema 1 has no augmentation of such a name"),
        ({"schema": 3}, "a recipe of schema 3: this ddbench knows 1 and 2"),
        ({"schema": "new"}, "a recipe of schema 'new': this ddbench knows 1 and 2"),
        ({"drops": [0.5]}, "schedule 'drops' has some, others have none"),
        ({"schedule": "drops"}, "schedule 'drops' has some, others have none"),
        ({"schedule": "drops", "drops": [0.5, 0.5]}, "that rise within (0, 1)"),
        ({"schedule": "drops", "drops": [0.5, 0.4]}, "that rise within (0, 1)"),
        ({"schedule": "drops", "drops": [0.0, 0.4]}, "that rise within (0, 1)"),
        ({"schedule": "drops", "drops": [0.4, 1.0]}, "that rise within (0, 1)"),
        ({"schedule": "drops", "drops": [0.4, float("nan")]}, "that rise within (0, 1)"),
        ({"drop_factor": 0.0}, "drop_factor 0 is no number above 0"),
        ({"lr": -0.01}, "lr -0.01 is no learning rate: it must be above 0"),
        ({"lr": 0.0}, "lr 0 is no learning rate: it must be above 0"),
        ({"schema": 1, "lr": -1e-9}, "lr -1e-09 is no learning rate"),
        ({"momentum": 1.0}, "momentum 1 is not in [0, 1)"),
        ({"momentum": -0.5, "optimiser": "adam"}, "momentum -0.5 is not in [0, 1)"),
        ({"momentum": float("nan")}, "momentum nan is not in [0, 1)"),
        ({"schema": 1, "momentum": 9}, "momentum 9 is not in [0, 1)"),
        ({"weight_decay": -5e-4}, "weight_decay -0.0005 is no number of at least 0"),
        ({"weight_decay": float("inf")}, "weight_decay inf is no number of at least 0"),
        ({"lr_end": 0.1}, "lr_end is of schedule 'cosine', not of 'step'"),
        ({"lr_end": 1.5, "schedule": "cosine"}, "lr_end 1.5 is no share of lr in [0, 1]"),
        ({"warmup": 8, "updates": 7}, "a warm-up of 8 updates is longer than all 7 of them"),
        ({"lrs": []}, "lrs is empty"),
        ({"lrs": [0.1, -0.1]}, "lrs are not all finite and above 0"),
        ({"lrs": [float("inf")]}, "lrs are not all finite and above 0"),
        ({"lrs": [0.1], "warmup": 1}, "lrs are the rates of all updates"),
        ({"lrs": [0.1], "schedule": "cosine"}, "lrs are the rates of all updates"),
        ({"betas": (0.9, 1.0)}, "betas (0.9, 1.0) are not both in [0, 1)"),
        ({"cutmix": 1.5}, "less than or equal to 1"),
        ({"optimiser": "rmsprop"}, "'sgd', 'adam', 'adamw' or 'lamb'"),
    ],
)
def test_what_does_not_go_together_is_refused(values, told):
    with pytest.raises(ValidationError) as raised:
        Recipe.model_validate(values)
    assert told in str(raised.value)


def test_a_recipe_of_a_newer_ddbench_is_no_damaged_file(tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "set"
    save_set(path, a_set(Recipe()))
    facts = {"label_space": "hard", "preprocess": {"id": "meanstd"}, "storage": {"images": 1}}
    for recipe, error in (({"schema": 3, "tempo": 4}, NewerRecordError), ({"schema": 2, "tempo": 4}, CorruptFileError)):
        save_file(load_file(path), path, {"ddbench_set": json.dumps({**facts, "recipe": recipe})})
        with pytest.raises(error):
            load_set(path)
