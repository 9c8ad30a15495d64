"""ARCHITECTURE.md says what the tree is: every room's line is its docstring, every file that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
LINES = dict(re.findall(r"^\| `([a-z/]+)/` \| (.+?) \|$", TEXT, flags=re.MULTILINE))
ROOMS = sorted(str(path.parent.relative_to(ROOT / "ddbench")) for path in (ROOT / "ddbench").glob("*/**/__init__.py"))


def test_every_room_has_a_line():
    assert sorted(LINES) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_line_is_the_first_of_its_docstring(room):
    docstring = ast.get_docstring(ast.parse((ROOT / "ddbench" / room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring.splitlines()[0] == LINES[room]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+\.py)`", TEXT)) - {"__init__.py"}))
def test_every_module_that_it_names_exists(path):
    assert (ROOT / "ddbench" / path).is_file()


def test_the_laws_of_imports_are_those_of_the_contract():
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[[tool.importlinter.contracts]]")[1]
    rooms = list(dict.fromkeys(re.findall(r"ddbench\.(\w+)", contract)))
    top = list(dict.fromkeys(room.partition("/")[0] for room in LINES))
    assert sorted(rooms) == sorted(top)
    order = {room: place for place, room in enumerate(top)}
    street = [room for room in rooms if room not in ("results", "testing", "blocks", "models", "data")]
    assert street == sorted(street, key=order.get)
