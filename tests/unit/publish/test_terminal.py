"""Tables in a terminal are no wider than it, lose nothing by that, and say in a sentence what they show."""

from __future__ import annotations

import re
import sys

import pytest

from ddbench.cli.screen import screen
from ddbench.publish.text.render import render, shown
from ddbench.publish.text.summary import summary
from ddbench.publish.text.terminal import Screen, fitting, terminal
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, decided, demo

ANSI = re.compile(r"\x1b\[\d*m")
EVERY = ("main", "scores", "cost", "verdicts", "ranks", "failures")


def wide():
    """Six columns of budgets and costs."""
    scores = {"random": [40.0, 41.0, 42.5], "dm": [50.0, 52.0, 51.0], "a_long_name": [49.0, 48.0, 50.5]}
    return [x for ipc in (1, 2, 5, 10, 50, 100) for name in scores for x in cell(name, scores[name], ipc=ipc)]


@pytest.mark.parametrize("records", [demo, decided, wide], ids=["demo", "decided", "wide"])
@pytest.mark.parametrize("width", [60, 80, 100, 132])
def test_no_line_is_wider_than_the_terminal_and_no_cell_or_word_is_lost(records, width):
    tables = tables_of(records())
    views = shown(tables, views=EVERY, screen=Screen(width))
    text = render(tables, "table", views=EVERY, screen=Screen(width))
    for view in views:
        parts = list(fitting(view, width))
        assert [column.header for part in parts for column in part.shown[1:]] == [c.header for c in view.shown[1:]]
        assert all(part.width <= width or len(part.shown) == 2 for part in parts), "a column alone may be wider"
        assert all(part.shown[:1] == view.shown[:1] and len(part.rows) == len(view.rows) for part in parts)
    longest = max((part.width for view in views for part in fitting(view, width)), default=0)
    assert all(len(line) <= max(width, longest) for line in text.splitlines())
    words = re.sub(r"[|\-]{2,}|\(continued\)", " ", text).split()
    whole = re.sub(r"[|\-]{2,}", " ", terminal(views)).split()
    assert not set(whole) - set(words)


def test_costs_stand_beside_accuracies_where_they_fit_and_below_where_they_do_not():
    def captions(width):
        return [view.caption.split(" ·")[0] for view in shown(tables_of(decided()), screen=Screen(width))]

    assert captions(60) == ["digits", "minus random", "cost of one set"]
    assert captions(200) == ["digits", "minus random"]


def test_a_file_has_lines_as_long_as_they_are_whatever_terminal_is_near(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert screen() == Screen(None, bold=False)
    assert render(tables_of(demo()), "table", screen=screen()) == render(tables_of(demo()), "table")


@pytest.mark.parametrize(
    ("changed", "bold"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_a_terminal_says_how_wide_it_is_and_whether_it_knows_bold_type(monkeypatch, changed, bold):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"COLUMNS": "77", "TERM": "xterm"} | changed).items():
        monkeypatch.setenv(name, value)
    assert screen() == Screen(77, bold=bold)
    assert screen(wide=True).width > 10_000


def test_bold_type_stands_for_stars_and_leaves_columns_where_they_were():
    views = shown(tables_of(decided()), screen=Screen())
    plain, bold = terminal(views).splitlines(), terminal(views, Screen(bold=True)).splitlines()
    assert any("**" in line for line in plain) and not any("**" in line for line in bold)
    for starred, line in zip(plain, bold, strict=True):
        assert len(ANSI.sub("", line)) == len(starred)
        assert ANSI.sub("", line).split() == starred.replace("**", "").split()
        assert line.count("\x1b[1m") == line.count("\x1b[0m") == starred.count("**") / 2


def sentence(*rows, **fields):
    (table,) = tables_of([x for name, scores in rows for x in cell(name, scores, **fields)])
    return summary(table)


RANDOM = ("random", [40.0, 41.0, 42.5])


def test_before_verdicts_rows_whose_interval_is_above_zero_are_named_and_what_verdicts_need():
    few = sentence(RANDOM, ("dm", [50.0, 51.5, 52.0]), ("mtt", [39.0, 49.0, 42.0]))
    assert few == (
        "dm is ahead of random at ipc 1 by 10.0 [8.8, 11.2], not adjusted for 2 comparisons; "
        "nothing is decided at n = 3: verdicts need n ≥ 7 (--seeds 7)"
    )
    assert sentence(RANDOM, ("mtt", [39.0, 49.0, 42.0])) == (
        "nothing is decided at n = 3: verdicts need n ≥ 6 (--seeds 6)"
    )
    assert sentence(RANDOM) == "", "nothing is held against random"


def test_verdicts_are_told_with_the_largest_difference_first():
    noise = [0.0, 2.0, 1.0, 0.5, 2.5, 1.5, 0.7, 1.2]
    more = [x + [0.3, -0.2, 0.1, 0.0, 0.2, -0.1, 0.15, -0.3][i] for i, x in enumerate(noise)]
    found = sentence(
        ("random", noise),
        ("dm", [x + 10 for x in more]),
        ("dc", [x + 12 for x in more]),
        ("bad", [x - 5 for x in more]),
    )
    assert found == "dc is ahead of random at ipc 1 by 12.0, dm at ipc 1 by 10.0; bad is behind random at ipc 1 by 5.0"
    unclear = sentence(("random", noise), ("mtt", [x + (-1) ** i * 4 for i, x in enumerate(noise)]))
    assert unclear == "no row is told apart from random at n = 8"


def test_more_rows_than_a_sentence_holds_are_counted():
    scores = [40.0, 41.0, 42.5, 41.5, 40.5, 43.0, 42.0, 41.0, 40.0, 42.0]
    rows = [(f"m{i}", [x + 5 + i + 0.1 * (r % 3) for r, x in enumerate(scores)]) for i in range(5)]
    assert sentence(("random", scores), *rows).startswith("m4 is ahead of random at ipc 1 by 9.1, m3 at ipc 1 by 8.1, ")
    assert sentence(("random", scores), *rows).endswith(", 2 more")


def test_a_page_has_no_such_sentence():
    assert "ahead of random" not in render(tables_of(demo()), "markdown")
