"""Lists are no wider than the terminal they are read in, and depend on nobody's terminal where they are piped."""

from __future__ import annotations

import re

import pytest

from ddbench.cli import listing as module
from ddbench.cli.listing import listing
from ddbench.publish.text.terminal import FILE, Screen
from tests.e2e.runs import ddbench

ROWS = [
    {"name": "dm", "version": 1, "summary": "match means of " + "features " * 6},
    {"name": "dc", "version": 2, "summary": ""},
]


@pytest.fixture
def reading(monkeypatch):
    def at(width):
        monkeypatch.setattr(module, "screen", lambda: FILE if width is None else Screen(width))

    return at


@pytest.mark.parametrize(
    "command",
    ["list methods", "list datasets", "list archs", "list protocols", "list artifacts", "data list", "plugin list",
     "artifacts list", "describe kip"],
)  # fmt: skip
def test_every_grid_fits_a_terminal_and_says_the_same_words(reading, capsys, command):
    def words(width):
        reading(width)
        assert ddbench(*command.split()) == 0
        out = capsys.readouterr().out
        assert width is None or all(len(line) <= width for line in out.split("\n") if line.count("  ") > 1)
        return sorted(word for word in out.split() if not re.fullmatch("-+", word))

    assert words(80) == words(120) == words(None)


def test_a_column_is_broken_where_there_is_room_and_stands_below_its_row_where_there_is_not(reading):
    reading(50)
    _, _, first, second, *_, last = listing(ROWS).split("\n")
    assert (
        first.startswith("dm              1  match means of")
        and second.startswith(" " * 19)
        and last.split() == ["dc", "2"]
    )
    reading(30)
    assert [line.rstrip() for line in listing(ROWS).split("\n")] == [
        "name      version", "  summary", "------  ---------", "dm              1", "  match means of features",
        "  features features features", "  features features", "dc              2",
    ]  # fmt: skip
    assert listing([]) == ""
