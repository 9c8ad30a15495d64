"""One list of columns: every format shows the same columns of a view, in the same order, with the same values."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.correctness import pack
from ddbench.core.errors import UsageError
from ddbench.publish.page import page
from ddbench.publish.text.csv_json import CELLS, CLAIM, PLACE, ROW, TABLE
from ddbench.publish.text.latex import escape
from ddbench.publish.text.render import render, shown
from ddbench.publish.views.catalog import VIEWS, views_of
from ddbench.publish.views.columns import COMPACT, COUNT, column, decimals
from ddbench.publish.views.cost import COSTS
from ddbench.publish.views.crossing import CROSSING
from ddbench.publish.views.inside_methods import details_view
from ddbench.publish.views.main import CELL, MAIN, differences_view, main_view
from ddbench.publish.views.scores import SCORES
from ddbench.publish.views.students import OVER, students_view
from ddbench.publish.views.verdicts import LINES, verdicts_view
from ddbench.results.scores.cross import cross_tables
from ddbench.results.scores.scores import CostLine, Score
from ddbench.results.tables.cells import CellCost
from ddbench.results.tables.figures import NONE, significant
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, pair
from tests.unit.results.test_lossless import FULL as LOSSLESS
from tests.unit.results.test_lossless import hits

METRICS = {
    "per_class": [70.0, 55.5, 61.25], "quartiles": [99.0, 80.25, 40.0, 10.0], "difficulty": "d" * 8,
    "top1_uint8": 49.04, "full_stopped": 88.88, "full_stopped_updates": 120.0,
}  # fmt: skip
BUYS = {"of": ["dm"], "images": 40, "budget": {"ipc": 1, "fraction": None}}
AT_UINT8 = {"role": {"kind": "at_uint8", "of": ["dm"]}}
SPENT = {"condense_s": 3.0, "artifact_s": 123.4, "artifact_rest_s": 55.5}
EXPERTS = {
    "artifact_s": 1234.5, "artifact_rest_s": 44.0, "condense_s": 30.04, "contended": True, "peak_mb": 2345.6, "warm": True,
    "peak_from": "clear_refs", "beside": 1, "cpu": SPENT, "device": SPENT, "device_mb": 77.0,
}  # fmt: skip
STUDENT = {"cpu": {"evaluate_s": 3.1}, "device": {"evaluate_s": 0.4}}


def filled():
    """Records that fill every column of every view."""
    found = []
    for where in ({}, {"protocol": "native"}, {"protocol": "noaug"}, {"eval_arch": "mlp-w128-nn"},
                  {"data": {"name": "mnist", "revision": "1" * 16}}):  # fmt: skip
        found += cell("full", [97.5, 97.8, 98.1], updates=3000, evaluate_s=14.0, **where)
        for ipc in (1, 10):
            found += cell("random", [41.03, 43.01, 45.02], ipc=ipc, metrics=METRICS, **where)
            found += cell(
                "dm", [50.06 + ipc, 52.0, 57.0], ipc=ipc, metrics=METRICS, cost=EXPERTS, student=STUDENT, **where
            )
            found += cell("dc", [49.0, 58.0 - ipc, 55.04], ipc=ipc, **where)
            found += cell("idc", [46.0 - 2 * ipc, 45.0, 48.3], ipc=ipc, **where)
        found += cell("kip", [51.0, 50.0, 49.0], **where)
        found += cell("random", [47.04, 48.0, 50.0], ipc=4, label="random@bytes", facts={"buys": BUYS}, **where)
        found += cell(
            "random",
            [46.04, 47.0, 49.0],
            ipc=2,
            label="random@uint8 (for dm)",
            facts={"buys": BUYS} | AT_UINT8,
            **where,
        )
        found += cell("theirs", [80.0, 82.0, None], source="imported", **where)
    found += cell("random", [45.0, 46.0, 47.0], label="random (recipe of dm)", protocol="native")
    for record in found:
        if record.kind == "condense" and record.document.label == "dm":
            record.metrics.update(loss=0.000123456, distance=12345.678)
    lossless = [
        record
        for r in range(6)
        for record in pair("dm", 100 * hits(290, r).mean(), r=r, protocol="hard-long", ipc=24,
                           metrics={"correct": pack(hits(290, r))})
    ]  # fmt: skip
    return [*found, *LOSSLESS, *lossless, *cell("dc", [90.0], protocol="hard-long", ipc=24)]


@pytest.fixture(scope="module")
def records():
    return filled()


@pytest.fixture(scope="module")
def tables(records):
    return tables_of(records)


@pytest.fixture(scope="module")
def every(tables):
    """All views, as terminal, markdown and LaTeX show them, in order."""
    return shown(tables, details=True, views=[MAIN, *VIEWS])


class Page(HTMLParser):
    """Tables of a page by caption, in order: rows of cells of text, number that it sorts by, columns that it spans."""

    def __init__(self, text):
        super().__init__()
        self.found, self.caption, self.inside, self.classes = {}, "", None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "p":
            self.classes.append(given.get("class"))
            self.caption = "" if self.classes[-1] == "caption" else self.caption
        if tag == "table":
            self.inside = []
            self.found.setdefault(self.caption.strip(), []).append(self.inside)
        if tag == "tr" and self.inside is not None:
            self.inside.append([])
        if tag in ("td", "th") and self.inside is not None:
            self.inside[-1].append(["", given.get("data-v"), int(given.get("colspan", 1))])

    def handle_endtag(self, tag):
        if tag == "p":
            self.classes.pop()
        if tag == "table":
            self.inside = None

    def handle_data(self, text):
        if self.inside and self.inside[-1]:
            self.inside[-1][-1][0] += text.strip("\n")
        elif self.classes and self.classes[-1] == "caption":
            self.caption += text


def pipes(text):
    """The grids of a pipe table, as cells."""
    grids, last = [], None
    for line in text.splitlines():
        if line.startswith("| "):
            if last is None:
                grids.append([])
            grids[-1].append([part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]])
            last = line
        elif not line.startswith("|-"):
            last = None
    return grids


def test_every_column_is_filled_somewhere(tables, every):
    """Without this the laws below could hold of nothing."""
    assert {view.name for view in every} == {MAIN, "minus_random", "students", "details", *VIEWS}
    empty = {
        (view.name, each.name)
        for view in every
        for each in view.columns
        if all(each.value(row) in (None, "", ()) for other in every if other.name == view.name for row in other.rows
               if each.name in {c.name for c in other.columns})
    }  # fmt: skip
    assert empty <= {("scores", "unquartered"), ("scores", "unrecovered")}, "reasons why there is nothing"
    assert not empty & {(view.name, each.name) for view in every for each in view.shown}


def test_no_view_has_two_columns_of_one_name_or_header(every):
    for view in every:
        names, headers = ([getattr(c, part) for c in view.columns] for part in ("name", "header"))
        assert len(set(names)) == len(names), view.name
        assert len(set(filter(None, headers))) == len(list(filter(None, headers))), view.name


def test_every_derived_number_has_a_column():
    assert [each.name for each in SCORES] == [field.name for field in fields(Score)]
    derived = {field.name for field in fields(CostLine)} - {"cell"} | {field.name for field in fields(CellCost)}
    assert derived <= {each.name for each in COSTS}


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_terminal_and_markdown_show_these_columns(tables, every, style):
    found = pipes(render(tables, style, details=True, views=[MAIN, *VIEWS]))
    wanted = [view.grid for view in every if view.grid]
    plain = [[[text.replace("\\", "") for text in line] for line in grid] for grid in found]
    assert plain == [[[text.strip() for text in line] for line in grid] for grid in wanted]


def test_latex_shows_these_columns(tables, every):
    text = render(tables, "latex", details=True, views=[MAIN, *VIEWS])
    grids = re.findall(r"\\begin\{tabular\}\{l(r*)\}\n    \\toprule\n(.*?)    \\bottomrule", text, re.DOTALL)
    wanted = [view.grid for view in every if view.grid]
    assert len(grids) == len(wanted)
    for (right, body), grid in zip(grids, wanted, strict=True):
        lines = [line.strip().removesuffix(r" \\") for line in body.splitlines() if not line.endswith("rule")]
        assert len(right) == len(grid[0]) - 1
        lines = [re.sub(r"\\midrule \\multicolumn\{(\d+)\}\{l\}\{(.*)\}", lambda found: found[2] + " & " * (int(found[1]) - 1), line)
                 for line in lines]  # fmt: skip
        bold = re.compile(r"\\textbf\{(.*?)\} \(")
        assert [bold.sub(r"**\1** (", line) for line in lines] == [" & ".join(map(escape, line)) for line in grid]


def test_the_page_shows_these_columns_and_sorts_by_their_values(records, tables):
    found = Page(page(records, title="t", sources=[])).found
    views = [main_view(table) for table in tables]
    views += [view for table in tables if (view := differences_view(table)) is not None]
    views += [details_view(table) for table in tables]
    views += [view for view in map(verdicts_view, tables) if view.rows]
    views += [view for cross in cross_tables(tables) if (view := students_view(cross)).caption in found]
    views += views_of(tables, ["scores", "cost", "regime", "ranks", "stability", "lossless"])
    assert {"students", "minus_random", "details"} <= {view.name for view in views}
    seen = 0
    for view in filter(lambda view: view.rows, views):
        head, *lines = found[view.caption].pop(0)
        assert [text for text, _, _ in head] == [each.header for each in view.shown]
        for row, line in zip(view.rows, lines, strict=True):
            places = accumulate((span for _, _, span in line), initial=0)
            for (text, number, _), place in zip(line, places, strict=False):
                each, value = view.shown[place], view.shown[place].sort(row)
                assert text == each.text(row).replace("**", "").strip()
                assert number == (None if value is None else f"{value:.9g}")
                seen += number is not None
            assert sum(span for _, _, span in line) == len(view.shown)
    assert seen > 300
    assert not any(found.values()), "the page has no other tables"


def number_in(text):
    """The number that a text shows, a range by its upper end; by other code than what writes it."""
    last = text if text[:1] in "+-" else text.replace("**", "").rsplit("–", maxsplit=1)[-1]
    match = re.match(r"(<?)([+-]?[\d.]+(?:e[+-]\d+)?)(?: ([kMG])\b)?", last)
    return float(match[2]) * {None: 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[3]] / (2 if match[1] else 1)


def test_people_sort_by_the_number_they_see_which_is_the_value_rounded(every):
    for view in every:
        for each in view.shown:
            for row in view.rows:
                number, value, text = each.sort(row), each.value(row), each.text(row)
                if number is None:
                    assert value is None or not isinstance(value, float), (view.name, each.name)
                elif each.shown is not float:  # the main table sorts by all digits of its means
                    assert number == pytest.approx(number_in(text), rel=1e-9), (view.name, each.name)
                if number is not None and each.name not in ("quartiles", "break_even", "break_even_with_artifacts"):
                    assert number == pytest.approx(value, rel=0.06, abs=0.06), (view.name, each.name)


def test_json_has_these_columns_with_these_values(tables, every):
    documents = json.loads(render(tables, "json", views=[MAIN, *VIEWS]))
    wide = (MAIN, "minus_random", "details", "regime")  # these have a cell at a time, see below
    views = [view for view in every if view.name not in wide]
    for view, document in zip(views, [d for d in documents if d["view"] not in wide], strict=True):
        assert (document["view"], document["caption"], document["notes"]) == (view.name, view.caption, view.notes)
        lines = document["lines"]
        if view.name == "cost":
            lines = [line for line in lines if "recipe of" not in line["row"]]  # programs read twins, too
        names, values = (
            [each.name for each in view.columns],
            [[each.value(row) for each in view.columns] for row in view.rows],
        )
        assert [list(line.values()) for line in lines] == json.loads(json.dumps(values))
        assert all(list(line) == names for line in lines)


def test_json_has_the_main_tables_a_cell_at_a_time(tables):
    documents = [document for document in json.loads(render(tables, "json")) if document["view"] == MAIN]
    for table, document in zip(tables, documents, strict=True):
        budgets = max(1, len(table.columns))
        label, *columns = main_view(table).columns
        for row, line in zip(table.rows, document["rows"], strict=True):
            assert line["row"] == label.value(row)
            assert all(list(found) == [*(each.name for each in PLACE), "details"] for found in line["cells"])
            means = {found["budget"]: found["mean"] for found in line["cells"]}
            if row.spans:
                means = {columns[0].name: means["all"]}
            assert {each.name: each.value(row) for each in columns[:budgets]} == dict.fromkeys(
                each.name for each in columns[:budgets]
            ) | means
            for each in columns[budgets:]:
                costs = [found[each.name] for found in line["cells"] if found[each.name] is not None]
                assert each.value(row) == max(costs, default=None)


def test_json_has_differences_regimes_and_details_a_cell_at_a_time(tables):
    for document, table in zip(json.loads(render(tables, "json")), tables, strict=False):
        versus, inside = differences_view(table), details_view(table)
        found = {(line["row"], line["budget"]): line["difference"] for line in document["minus_random"]}
        assert found == ({} if versus is None else flat(versus, [row.label for row in versus.rows]))
        details = {
            (line["row"], one["budget"], name): value
            for line in document["rows"] for one in line["cells"] for name, value in one["details"].items()
        }  # fmt: skip
        assert details == {
            (one.row.label, one.column.budget.label, each.name): each.value(one)
            for one in inside.rows for each in inside.columns[2:] if each.value(one) is not None
        }  # fmt: skip
    regimes = json.loads(render(tables, "json", views=["regime"]))
    for document, view in zip(regimes, views_of(tables, ["regime"]), strict=True):
        means = {(line["row"], line["protocol"]): line["mean"] for line in document["lines"] if line["n"]}
        assert means == flat(view, [label for label, _ in view.rows])
        assert all(list(line) == ["row", "protocol", *(each.name for each in CELL)] for line in document["lines"])


def flat(view, labels):
    """(label of the row, name of the column) → value."""
    pairs = zip(labels, view.rows, strict=True)
    return {
        (label, each.name): value
        for label, row in pairs for each in view.columns[1:] if (value := each.value(row)) is not None
    }  # fmt: skip


def written(value):
    """A value as CSV has it."""
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


def test_csv_has_these_columns_with_these_values(tables):
    found = csv.DictReader(io.StringIO(render(tables, "csv", views=[MAIN, *CELLS])))
    lines, names = list(found), found.fieldnames
    own = [each.name for columns in (TABLE, ROW, PLACE) for each in columns]
    assert [*dict.fromkeys([*own, *names])] == names, "a cell's own come first"
    for columns in (OVER, SCORES, COSTS, CLAIM):
        wanted = [f"students_{each.name}" if columns is OVER else each.name for each in columns]
        assert [name for name in names if name in wanted and name not in own] == [
            name for name in wanted if name not in own
        ]
    documents = json.loads(render(tables, "json", views=[MAIN, "scores", "cost"]))
    cells = [
        {**{each.name: document[each.name] for each in TABLE}, **row, **one}
        for document in documents if document["view"] == MAIN for row in document["rows"] for one in row["cells"]
    ]  # fmt: skip
    assert [[line[name] for name in own] for line in lines] == [[written(one[name]) for name in own] for one in cells]
    places = {
        (i, one.row.label, one.budget): line
        for (i, one), line in zip(
            [(i, one) for i, table in enumerate(tables) for one in table.filled()], lines, strict=True
        )
    }
    for name in ("scores", "cost"):
        for i, document in enumerate(each for each in documents if each["view"] == name):
            for derived in document["lines"]:
                line = places[i, derived["row"], derived["budget"]]
                assert {n: line[n] for n in derived if n not in own} == {
                    n: written(value) for n, value in derived.items() if n not in own
                }


def test_csv_has_every_claim_on_the_line_of_its_cell(tables):
    lines = list(csv.DictReader(io.StringIO(render(tables, "csv", views=["lossless"]))))
    found = [line for line in lines if line["lossless_n"]]
    claims = [
        (table, claim)
        for table, view in zip(
            [table for table in tables if table.standing.full_under], views_of(tables, ["lossless"]), strict=True
        )
        for claim in view.rows
    ]
    assert len(found) == len(claims) > 1
    assert {line["verdict"] for line in found} == {"lossless", "not shown", ""}
    for line, (table, claim) in zip(found, claims, strict=True):
        assert (line["protocol"], line["row"]) == (str(table.setting.protocol), claim.row)
        assert {each.name: line[each.name] for each in CLAIM[2:-1]} == {
            each.name: written(each.value(claim)) for each in CLAIM[2:-1]
        }


@pytest.mark.parametrize(("view", "columns"), [("verdicts", LINES), ("crossing", CROSSING)])
def test_csv_has_a_line_per_row_of_a_view_whose_rows_are_about_several_cells_when_asked_for_it_alone(
    tables, view, columns
):
    lines = list(csv.DictReader(io.StringIO(render(tables, "csv", views=[view]))))
    documents = [d for d in json.loads(render(tables, "json", views=[view])) if d["view"] == view]
    wanted = [line for document in documents for line in document["lines"]]
    assert [{each.name: line[each.name] for each in columns} for line in lines] == [
        {name: written(value) for name, value in line.items()} for line in wanted
    ]
    assert len(lines) > 5
    for others in ([MAIN], ["verdicts", "crossing"]):
        with pytest.raises(UsageError, match=f"--views {view} alone"):
            render(tables, "csv", views=[view, *(name for name in others if name != view)])


def test_csv_holds_every_view_whose_rows_are_cells():
    assert set(VIEWS) - set(CELLS) == {"ranks", "stability", "verdicts", "crossing"}, "a row of these is no cell"


def test_csv_has_what_is_over_students(tables):
    lines = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    crosses = [d for d in json.loads(render(tables, "json")) if d["view"] == "students"]
    over = [{f"students_{name}": written(value) for name, value in row["over_students"].items()}
            for cross in crosses for row in cross["rows"] if row["over_students"] is not None]  # fmt: skip
    told = [{name: line[name] for name in line if name.startswith("students_")} for line in lines]
    assert over and all(any(one == line for line in told) for one in over)


@pytest.mark.parametrize("style", [decimals(1), decimals(2, sign=True), COMPACT])
@settings(deadline=None, derandomize=True)
@given(st.floats(0.0, 1e9) | st.floats(0.06, 20.0))
def test_what_a_style_shows_is_the_number_in_its_text(style, value):
    assert style.shown(value) == pytest.approx(number_in(style.text(value)), rel=1e-9)


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-9, 1e9), st.integers(1, 6))
def test_significant_digits_are_those_of_the_text(value, digits):
    assert significant(value, digits) == float(f"{value:.{digits}g}")
    assert significant(0.0, digits) == 0.0


def test_a_column_of_a_part_is_empty_where_the_part_is_missing():
    whole = column("n", COUNT).of(lambda row: row)
    assert (whole.value(None), whole.text(None), whole.sort(None)) == (None, NONE, None)


@pytest.mark.parametrize("value", [-0.0, 0.0, -0.04, 0.04, -1e-12])
@pytest.mark.parametrize("sign", [False, True])
def test_what_rounds_to_zero_is_not_negative(value, sign):
    assert decimals(1, sign=sign).text(value) == ("+0.0" if sign else "0.0")
    assert str(decimals(1, sign=sign).shown(value)) == "0.0"
    assert decimals(1, sign=sign).text(value - 1) == "-1.0"
    assert decimals(2, sign=True).text(value + 1).startswith("+")


def test_no_view_shows_a_negative_zero():
    records = [
        *cell("full", [90.0, 90.0, 90.0], updates=3000),
        *(one for ipc in (1, 10) for one in cell("random", [50.0, 50.0, 50.0], ipc=ipc)),
        *cell("dm", [50.0, 49.99, 49.99], ipc=1), *cell("dm", [90.0, 90.01, 90.0], ipc=10),
    ]  # fmt: skip
    tables = tables_of(records)
    for style in ("table", "markdown", "latex"):
        text = render(tables, style, views=["main", "scores", "verdicts", "lossless"])
        assert re.search(r"[-−]0\.0+(?![0-9])", text) is None and "0.0" in text
