"""Each hook has a page whose heading, arguments and fields are those of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from ddbench import RawDataset
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


def test_the_page_of_data_sets_has_every_field_of_what_a_reader_returns():
    shown = fields_shown(page_of("ddbench_register_datasets"), "RawDataset")
    assert shown == [field.name for field in dataclasses.fields(RawDataset)]


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
        ("methods", api.Selector.select, "select"),
        ("methods", api.Method.prepare, "prepare"),
        ("methods", api.Method.load_state_dict, "load_state_dict"),
    ],
)
def test_functions_are_shown_with_their_arguments(page, function, name):
    assert call_of(function, name) in page_of(f"ddbench_register_{page}")
