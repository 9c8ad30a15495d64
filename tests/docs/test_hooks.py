"""Each hook has a page whose heading, arguments and fields are those of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from pydantic import BaseModel

import ddbench
from ddbench.core import api
from ddbench.core.api import EvalProtocol, ProtocolParams
from ddbench.core.plugin import hooks, registry
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.models import catalog

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "hooks"
HOOKS = {name: hook for name, hook in vars(hooks).items() if name.startswith("ddbench_register_")}


def record_of(hook):
    """The type that a hook's registry takes."""
    hints = get_type_hints(hook, {**vars(api), "Draft": registry.Draft})
    return get_args(hints["registry"])[0]


def page_of(name):
    return (PAGES / f"{name.removeprefix('ddbench_register_')}.md").read_text(encoding="utf-8")


def fields_shown(text, record):
    """The first column of the table whose heading names the record."""
    table = text.partition(f"| field of `{record}` |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)


def test_every_hook_has_a_page_and_every_page_a_hook():
    assert {path.stem for path in PAGES.glob("*.md")} == {name.removeprefix("ddbench_register_") for name in HOOKS}
    assert set(HOOKS) == set(Registries().by_hook())


@pytest.mark.parametrize("name", HOOKS)
def test_the_heading_has_the_exact_arguments(name):
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert page_of(name).splitlines()[0] == f"# `{name}({arguments})`"


@pytest.mark.parametrize("name", HOOKS)
def test_the_table_has_every_field_of_the_record(name):
    record = record_of(HOOKS[name])
    assert fields_shown(page_of(name), record.__name__) == [field.name for field in dataclasses.fields(record)]


def fields_of(kind):
    """The fields of a public type that is a record of fields, in order; None for other types."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind.model_fields) if issubclass(kind, BaseModel) and kind.model_fields else None


PUBLIC = {name: kind for name in ddbench.__all__ if isinstance(kind := getattr(ddbench, name), type)}
WITH_FIELDS = {name: fields for name, kind in PUBLIC.items() if (fields := fields_of(kind)) is not None}
TEXTS = {name: page_of(name) for name in HOOKS}


def test_every_table_of_fields_is_that_of_a_public_type_and_complete():
    tables = [
        (page, name) for page, text in TEXTS.items() for name in re.findall(r"^\| field of `(\w+)` \|", text, re.M)
    ]
    assert {name for _, name in tables} >= {"Standing", "Paper", "RawDataset", "ImageStream", "StudentInfo"}
    for page, name in tables:
        assert fields_shown(TEXTS[page], name) == WITH_FIELDS[name], f"{page}: {name}"


@pytest.mark.parametrize("name", HOOKS)
def test_every_type_with_fields_that_a_page_names_has_a_table_on_one_of_the_pages(name):
    named = set(re.findall(r"`(?:ddbench\.)?(\w+)`", TEXTS[name])) & set(WITH_FIELDS)
    hints = get_type_hints(record_of(HOOKS[name]))
    nested = {kind.__name__ for hint in hints.values() for kind in (hint, *get_args(hint)) if kind in PUBLIC.values()}
    lacking = [kind for kind in named | nested if not any(fields_shown(text, kind) for text in TEXTS.values())]
    assert not lacking
    assert all(fields_shown(TEXTS[name], kind) for kind in nested), "what a record holds stands on its own page"


def call_of(function, name):
    """``name(a, b, *, c)`` as the code has it."""
    parts, keyword = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            parts.append("*")
            keyword = True
        parts.append(parameter.name)
    return f"`{name}({', '.join(parts)})`"


@pytest.mark.parametrize(
    ("page", "function", "name"),
    [
        ("protocols", EvalProtocol.fit, "fit"),
        ("protocols", ProtocolParams.resolve, "resolve"),
        ("protocols", ProtocolParams.unsupported, "unsupported"),
        ("protocols", ProtocolParams.artifacts, "artifacts"),
        ("architectures", import_target(catalog.FAMILIES[0].target), "build"),
        ("artifacts", import_target("ddbench.blocks.features:build"), "build"),
        ("methods", api.Params.artifacts, "artifacts"),
        ("methods", api.Params.unsupported, "unsupported"),
        ("methods", api.Params.stored_bytes, "stored_bytes"),
        ("methods", api.Params.stored_pixels, "stored_pixels"),
        ("methods", api.Selector.select, "select"),
        ("methods", api.Method.prepare, "prepare"),
        ("methods", api.Method.load_state_dict, "load_state_dict"),
    ],
)
def test_functions_are_shown_with_their_arguments(page, function, name):
    assert call_of(function, name) in page_of(f"ddbench_register_{page}")
