"""The documentation names every field of a recipe with its default, and every augmentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from ddbench.core.api import Recipe
from ddbench.core.sets import AugmentationName

DOCS = Path(__file__).parents[2] / "docs"
SECTION = (DOCS / "explanation/evaluation.md").read_text("utf-8").partition("## Recipes")[2].partition("## Budgets")[0]
TABLE = (DOCS / "reference/hooks/methods.md").read_text("utf-8").partition("| field of `Recipe` |")[2]
OF_PROTOCOL = {"lr", "updates", "batch"}
"""What `native` fills in where a recipe is silent: the page says with what."""


def shown(default):
    """A default as the table has it."""
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return "no"
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return default if isinstance(default, str) else f"{default:g}".replace("0.0005", "5e-4")


def test_the_table_has_every_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| ", TABLE, re.MULTILINE))
    told = {name: rows[name].strip("`") for name in Recipe.model_fields if name not in OF_PROTOCOL | {"schema_version"}}
    assert told == {name: shown(Recipe.model_fields[name].default) for name in told}


def test_every_augmentation_is_explained():
    names = set(re.findall(r"`(\w+)`", SECTION.partition("Augmentations, each")[2].partition("**Another norm")[0]))
    assert set(get_args(AugmentationName)) <= names
