"""Views: what may stand together, what is left out and said, and every format."""

import csv
import io
import json
import re

import pytest

from ddbench.blocks.said import SAID
from ddbench.cli import invoke
from ddbench.core.errors import UsageError
from ddbench.publish.text.captions import caption
from ddbench.publish.text.latex import escape
from ddbench.publish.text.render import FORMATS, render, shown
from ddbench.publish.views.catalog import MAIN, VIEWS, views_of
from ddbench.results.scores.ranking import rankings, stabilities
from ddbench.results.scores.regimes import regime_tables
from ddbench.results.scores.scores import cost_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, decided, demo, imported, skipped

MNIST = {"name": "mnist", "revision": "1" * 16}


def grid(records, name):
    """The one table of a view, by the first column."""
    (view,) = views_of(tables_of(records), [name])
    return {line[0]: dict(zip(view.grid[0][1:], line[1:], strict=True)) for line in view.grid[1:]}


def notes(records, name):
    return "\n".join(note for view in views_of(tables_of(records), [name]) for note in view.notes)


def three(a, b, c, **fields):
    return [x for label, top1 in zip("abc", (a, b, c), strict=True) for x in cell(label, [top1], **fields)]


def ranking(records):
    (found,) = rankings(tables_of(records))
    return found


# --- ranks


def test_ranks_are_averaged_over_budgets_then_over_data_sets():
    records = three(3.0, 2.0, 1.0) + three(3.0, 2.0, 1.0, ipc=10) + three(1.0, 2.0, 3.0, data=MNIST)
    found = ranking(records)
    assert found.average == {"a": 2.0, "b": 2.0, "c": 2.0}
    assert found.per_dataset["digits"] == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert found.complete == 3


def test_a_diverged_row_ranks_last_and_one_out_of_memory_excludes_the_cell():
    nan = cell("a", [50.0]) + cell("b", [None])
    assert ranking(nan).average == {"a": 1.0, "b": 2.0}
    oom = nan + cell("a", [50.0], ipc=10) + cell("b", [1.0], ipc=10, status="oom", reason="9 GB")
    found = ranking(oom)
    assert found.complete == 1
    assert [(cell.where, cell.why) for cell in found.excluded] == [
        ("digits, convnet2-w32-in, ipc 10 (8.4 %)", "oom: b")
    ]
    assert "not counted: digits, convnet2-w32-in, ipc 10 (8.4 %) (oom: b)" in notes(oom, "ranks")


def test_a_mean_of_survivors_does_not_outrank_a_complete_one():
    assert ranking(cell("a", [50.0, 50.0]) + cell("b", [90.0, None])).average == {"a": 1.0, "b": 2.0}


def test_rows_that_a_data_set_lacks_are_left_out_and_named():
    records = three(3.0, 2.0, 1.0) + cell("a", [1.0], data=MNIST) + cell("b", [2.0], data=MNIST)
    found = ranking(records)
    assert set(found.average) == {"a", "b"}
    assert found.left_out == ("c",)
    assert "not in every table: c" in notes(records, "ranks")


def test_references_imports_and_controls_take_no_rank():
    records = cell("a", [50.0]) + cell("b", [40.0]) + cell("full", [99.0]) + cell("c", [60.0], source="imported")
    records += cell("random", [45.0])
    records += cell("a", [55.0], label="a (0 steps)") + cell("random", [45.0], label="random (recipe of a)")
    records += cell("random_soft", [45.0]) + cell("random_best_of_k", [46.0], label="random_best_of_k (for a)")
    assert ranking(records).average == {"a": 1.0, "b": 2.0}


def test_means_that_are_equal_but_for_the_order_of_their_sums_share_a_rank():
    """Of 300 test images: 293 + 283 + 291 = 293 + 284 + 290 = 867."""
    records = [
        x
        for name, right in (("a", (293, 283, 291)), ("b", (293, 284, 290)), ("c", (280, 280, 280)))
        for x in cell(name, [100 * count / 300 for count in right])
    ]
    assert ranking(records).average == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_two_revisions_of_one_data_set_have_captions_that_differ():
    tables = tables_of(cell("a", [1.0]) + cell("a", [1.0], data={"revision": "2" * 16}))
    assert [table.dataset for table in tables] == ["digits", "digits"], "what programs filter by stays"
    assert [caption(table).partition(" · ")[0] for table in tables] == [
        "digits (revision 00000000)",
        "digits (revision 22222222)",
    ]


@pytest.mark.parametrize(
    "other",
    [{"protocol": "soft"}, {"data": {"split": "paper"}}, {"data": {"revision": "2" * 16}}, {"preprocess": "zca-kornia"},
     {"profile": "paper"}, {"eval_arch": "mlp-w128-nn"}],
    ids=str,
)  # fmt: skip
def test_no_ranking_and_no_line_mixes_what_must_not_share_a_table(other):
    records = three(3.0, 2.0, 1.0) + three(1.0, 2.0, 3.0, **other)
    assert [found.average for found in rankings(tables_of(records))] == [
        {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 3.0, "b": 2.0, "c": 1.0}
    ]  # fmt: skip
    for name in ("scores", "cost"):
        assert len(views_of(tables_of(records), [name])) == 2


def test_data_sets_count_once_each_in_friedmans_test():
    orders = [three(3.0, 2.0, 1.0, data={"name": f"d{i}"}, ipc=ipc) for i in range(6) for ipc in (1, 10)]
    found = ranking([x for records in orders for x in records])
    assert found.friedman.n == 6
    assert found.friedman.statistic == pytest.approx(12.0)
    assert ranking(orders[0] + orders[2]).friedman is None


SHORT = {"facts": {"short": {"classes": 2, "of": 10, "least": 12, "most": 41}}}
TOLD = "ipc 50: 2 of 10 classes have fewer images and give all they have (between 12 and 41)"


def unbalanced():
    return [
        x
        for name in ("random", "dm")
        for ipc, more in ((1, {}), (50, SHORT))
        for x in cell(name, [50.0], ipc=ipc, **more)
    ]


@pytest.mark.parametrize("style", FORMATS)
def test_a_column_with_short_classes_says_so_in_every_format(style):
    text = render(tables_of(unbalanced()), style)
    if style == "csv":
        lines = csv.DictReader(io.StringIO(text))
        assert {(line["budget"], line["short_classes"]) for line in lines} == {("ipc 1", ""), ("ipc 50", "2")}
    else:
        assert text.count(TOLD) == 1
    plain = render(tables_of([x for x in unbalanced() if x.document.cell.budget.ipc == 1]), style)
    assert "fewer images" not in plain


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_views_of_such_columns_say_so_too(name):
    for view in views_of(tables_of(unbalanced()), [name]):
        assert (f"digits, {TOLD}" in view.notes) == bool(view.rows)


def ladder(**fields):
    """Three rows of which verdicts leave no place open, and as many repetitions as that takes."""
    rows = (("a", 50.0, 1), ("b", 60.0, 3), ("c", 70.0, 5))
    return [x for label, mean, k in rows for x in cell(label, [mean + k * r % 7 / 9 for r in range(7)], **fields)]


def test_places_that_verdicts_leave_open_are_averaged_like_ranks_and_stand_beside_them():
    found = ranking(ladder() + three(3.0, 2.0, 1.0, ipc=10) + three(3.0, 2.0, 1.0, data=MNIST))
    assert found.decided
    assert found.places["digits"] == {"a": (2.0, 3.0), "b": (1.5, 2.5), "c": (1.0, 2.0)}
    assert found.places["mnist"] == dict.fromkeys("abc", (1.0, 3.0))
    assert found.range == {"a": (1.5, 3.0), "b": (1.25, 2.75), "c": (1.0, 2.5)}
    assert grid(ladder(), "ranks") == {label: {"average rank [open places]": f"{place}.00 [{place}, {place}]"}
                                       for place, label in enumerate("cba", 1)}  # fmt: skip
    (document,) = json.loads(render(tables_of(ladder()), "json", views=["ranks"]))
    assert [(line["row"], line["range_best"], line["range_worst"]) for line in document["lines"]] == [
        ("c", 1.0, 1.0), ("b", 2.0, 2.0), ("a", 3.0, 3.0)
    ]  # fmt: skip


def test_without_verdicts_every_place_is_open_and_rows_are_not_put_in_an_order():
    records = three(1.0, 2.0, 3.0)
    assert list(ranking(records).average) == ["a", "b", "c"]
    assert list(grid(records, "ranks")["c"].values()) == ["1.00 [1, 3]"]
    assert "no row is found better, so every place is open" in notes(records, "ranks")
    assert "no row is found better" not in notes(ladder(), "ranks")


def test_a_diverged_row_is_behind_all_that_have_a_result_and_no_verdict_is_needed_for_that():
    found = ranking(cell("a", [50.0]) + cell("b", [None]) + cell("c", [40.0]))
    assert found.range == {"a": (1.0, 2.0), "b": (3.0, 3.0), "c": (1.0, 2.0)}


def test_rows_that_share_experts_are_ranked_with_all_places_open():
    experts = cell("d", [90.0 + r % 2 for r in range(7)], artifacts={"experts": ["experts", "e" * 64]})
    assert ranking(ladder() + experts).range == {"d": (1, 4), "c": (1, 2), "b": (2, 3), "a": (3, 4)}


# --- stability


def test_stability_compares_what_differs_in_one_thing():
    records = three(3.0, 2.0, 1.0) + three(1.0, 2.0, 3.0, ipc=10) + three(3.0, 2.0, 1.0, eval_arch="mlp-w128-nn")
    records += three(3.0, 1.0, 2.0, protocol="soft")
    found = {(s.differs, s.first, s.second): s.tau for s in stabilities(tables_of(records))}
    assert found == {
        ("protocol", "hard@1", "soft@1"): pytest.approx(1 / 3),
        ("student", "convnet2-w32-in", "mlp-w128-nn"): 1.0,
        ("budget", "ipc 1", "ipc 10"): -1.0,
    }


def test_orders_of_different_data_are_not_compared():
    assert stabilities(tables_of(three(3.0, 2.0, 1.0) + three(3.0, 2.0, 1.0, data=MNIST))) == []


# --- verdicts


def test_programs_read_every_pair_and_the_family_that_it_is_judged_with():
    experts = cell("mtt", [50.0 + r % 3 for r in range(6)], artifacts={"experts": ["experts", "e" * 64]})
    (document,) = json.loads(render(tables_of(decided() + experts), "json", views=["verdicts"]))
    (line,) = document["lines"]
    assert (line["row"], line["versus"], line["n"], line["verdict"], line["n_needed"]) == ("datm", "dm", 6, "better", 6)
    assert line["interval"][0] < line["difference"] < line["interval"][1]
    assert document["families"] == [
        {
            "budget": "ipc 1", "rows": ["datm", "dm"], "pairs": 1, "n": 6, "n_needed": 6, "bold": ["datm"],
            "ranks": {"datm": [1, 1], "dm": [2, 2]}, "as_run": [], "conditional": {"mtt": ["experts"]},
        }
    ]  # fmt: skip


def test_a_pair_is_shown_from_the_better_one_whatever_the_order_of_the_rows():
    up, down = (cell(name, [mean + k * r % 7 / 9 for r in range(6)]) for name, mean, k in (("a", 50, 1), ("b", 60, 3)))
    (there,), (back,) = (views_of(tables_of(records), ["verdicts"])[0].grid[1:] for records in (up + down, down + up))
    assert there == back
    assert there[:2] == ["b", "a"]


# --- crossings


def against_random(*gains, n=3, **fields):
    """A row that is so much better than random at 1, 10 and 100 %, in every repetition."""
    records = []
    for share, gain in zip((0.01, 0.1, 1.0), gains, strict=True):
        for name, more in (("random", 0.0), ("el2n", gain)):
            kept = {} if name == "random" else fields
            records += cell(name, [50.0 + more + r for r in range(n)], fraction=share, **kept)
    return records


@pytest.mark.parametrize(
    ("gains", "crossing", "interval"),
    [
        ((1.0, 1.0, -1.0), "31.6 %", "[31.6 %, 31.6 %]"),
        ((1.0, -3.0, -1.0), "1.8 %", "[1.8 %, 1.8 %]"),
        ((-1.0, 0.0, -1.0), "≤ 1 %", "[≤ 1 %, ≤ 1 %]"),
        ((-1.0, 0.0, 1.0), "not within the grid (> 100 %)", "[> 100 %, > 100 %]"),
    ],
)
def test_a_crossing_is_a_share_or_says_on_which_side_of_the_grid_it_lies(gains, crossing, interval):
    assert grid(against_random(*gains), "crossing") == {
        "el2n": {"n": "3", "crossing": crossing, "95 % interval": interval}
    }
    said = notes(against_random(*gains), "crossing")
    assert "the grid: 1 %, 10 %, 100 %" in said and "n < 6: no significance claimed" in said
    assert "no significance claimed" not in notes(against_random(*gains, n=6), "crossing")


def test_programs_read_on_which_side_of_the_grid_a_crossing_lies():
    noisy = [x for share in (0.01, 0.1, 1.0) for x in cell("random", [50.0] * 3, fraction=share)]
    noisy += [x for share in (0.01, 0.1) for x in cell("el2n", [51.0] * 3, fraction=share)]
    noisy += cell("el2n", [48.0, 50.0, 52.0], fraction=1.0)
    (document,) = json.loads(render(tables_of(noisy), "json", views=["crossing"]))
    (line,) = document["lines"]
    assert (line["side"], line["crossing"]) == ("inside", pytest.approx(100.0))
    assert line["interval"] == [pytest.approx(10 * 10 ** (1 / 3), rel=1e-6), pytest.approx(100.0)]
    assert line["interval_sides"] == ["inside", "above"]
    assert document["grid"] == [1.0, 10.0, 100.0]


def test_a_row_that_is_not_above_random_before_its_crossing_either_is_named():
    said = "not above random before their crossing either, by the means: el2n (1 %)"
    assert said in notes(against_random(0.0, 1.0, -1.0), "crossing")
    assert said in notes(against_random(-1.0, 1.0, 1.0), "crossing")
    for gains in ((1.0, 1.0, -1.0), (-1.0, -1.0, -1.0), (1.0, -1.0, -1.0)):
        assert "not above random" not in notes(against_random(*gains), "crossing")


def test_what_repetitions_share_and_what_is_missing_is_said_of_a_crossing():
    experts = against_random(1.0, 1.0, -1.0, n=6, artifacts={"experts": ["experts", "e" * 64]})
    assert "no significance claimed for el2n: all repetitions share one artifact (experts)" in notes(
        experts, "crossing"
    )
    some = against_random(1.0, 1.0, -1.0) + cell("aum", [60.0, 61.0, 62.0], fraction=0.1)
    assert grid(some, "crossing")["aum"] == {
        "n": "3", "crossing": "–", "95 % interval": "–", "why": "no complete result at 1 %, 100 %"
    }  # fmt: skip


# --- regimes


def test_a_regime_column_per_protocol_and_random_under_the_recipe_of_the_row():
    records = cell("datm", [70.0]) + cell("random", [50.0]) + cell("datm", [80.0], protocol="native")
    records += cell("random", [60.0], label="random (recipe of datm)", protocol="native")
    assert grid(records, "regime") == {
        "datm": {
            "hard labels, DSA (hard@1)": "70.0 (1)", "own recipe (native@1)": "80.0 (1)", "random, that recipe": "60.0 (1)"
        },
        "random": {
            "hard labels, DSA (hard@1)": "50.0 (1)", "own recipe (native@1)": "–", "random, that recipe": "–"
        },
    }  # fmt: skip


def test_regimes_share_data_networks_and_profile():
    for other in ({"data": {"split": "paper"}}, {"eval_arch": "mlp-w128-nn"}, {"profile": "paper"}):
        assert regime_tables(tables_of(cell("dm", [50.0]) + cell("dm", [50.0], protocol="noaug", **other))) == []


def test_budgets_have_regime_tables_of_their_own():
    records = [x for p in ("hard", "noaug") for ipc in (1, 10) for x in cell("dm", [50.0], protocol=p, ipc=ipc)]
    assert len(regime_tables(tables_of(records))) == 2


# --- failures


def test_failures_say_where_and_why_and_how_many():
    lines = views_of(tables_of(demo()), ["failures"])[0].document["lines"]
    assert [(line["row"], line["budget"], line["status"]) for line in lines] == [
        ("random", "ipc 500", "skipped"),
        ("mtt", "ipc 1 (0.8 %)", "nan"),
        ("mtt", "ipc 10 (8.4 %)", "nan (1 of 3)"),
        ("mtt", "ipc 500", "skipped"),
        ("datm", "ipc 500", "skipped"),
    ]
    assert lines[1]["reason"] == "loss is nan at step 17"


def test_a_reference_that_was_not_measured_is_listed():
    records = cell("random", [40.0]) + skipped("full", "not measured (≈ 6 h)")
    assert [line["row"] for line in views_of(tables_of(records), ["failures"])[0].document["lines"]] == ["full"]


# --- words


def test_columns_that_nothing_fills_are_left_out_and_a_missing_full_is_said():
    records = cell("random", [40.0]) + cell("dm", [50.0])
    assert set(grid(records, "scores")["dm"]) == {"budget", "n", "top-1 %", "IOR"}
    assert "no recovery: full was not measured" in notes(records, "scores")
    assert "no break-even: full was not measured" in notes(records, "cost")


def test_break_even_is_a_whole_number_of_students_or_never():
    full = cell("full", [98.0], evaluate_s=14.0)
    slow = cell("slow", [60.0], evaluate_s=20.0)
    costly = cell("dm", [50.0], cost={"prepare_s": 0.0, "condense_s": 12345.0})
    shown = grid(full + costly + slow, "cost")
    assert shown["dm"]["pays after"] == "1235"
    assert shown["slow"]["pays after"] == "never"
    documents = json.loads(render(tables_of(full + slow), "json", views=["cost"]))
    assert documents[0]["lines"][-1]["break_even"] == "never"


def test_fewer_than_six_repetitions_claim_nothing():
    assert "no significance claimed" in notes(cell("dm", [50.0] * 5), "cost")
    assert "no significance claimed" not in notes(cell("dm", [50.0] * 6), "cost")


def test_nothing_to_show_says_what_is_missing():
    shown = render(tables_of(cell("dm", [50.0])), "table", views=["regime", "ranks", "stability", "failures"])
    assert shown.count("nothing to show: ") == 4
    assert "--protocols hard,native" in shown


# --- formats


def test_without_views_the_main_tables_stand_alone():
    tables = tables_of(demo())
    for style in FORMATS:
        assert render(tables, style) == render(tables, style, views=["main"])
    assert render(tables, "markdown", views=["main", "cost"]).startswith(render(tables, "markdown").rstrip("\n"))


@pytest.mark.parametrize("style", ["table", "markdown", "latex", "json"])
def test_every_view_has_every_format_and_equal_bytes(style):
    tables = tables_of(demo())
    shown = render(tables, style, views=list(VIEWS))
    assert shown == render(tables_of(demo()), style, views=list(VIEWS))
    assert shown.endswith("\n")
    if style == "json":
        assert {document["view"] for document in json.loads(shown)} == set(VIEWS)


def test_an_unknown_view_names_the_known_ones():
    with pytest.raises(UsageError, match="did you mean scores"):
        render([], "table", views=["score"])


def lines_of(records, *views):
    return list(csv.DictReader(io.StringIO(render(tables_of(records), "csv", views=views))))


def test_csv_gains_columns_for_scores_and_costs():
    line = next(x for x in lines_of(demo(), "scores", "cost") if (x["row"], x["ipc"]) == ("datm", "1"))
    (expected,) = [c for c in cost_of(tables_of(demo())[0]) if (c.row, c.budget) == ("datm", "ipc 1 (0.8 %)")]
    assert float(line["ior"]) == pytest.approx(16.0)
    assert line["break_even"] == "never" and expected.break_even == float("inf")
    assert line["pareto"] == " ".join(expected.pareto)
    assert "recovery" not in lines_of(demo())[0]


def test_csv_refuses_what_is_not_about_cells():
    with pytest.raises(UsageError, match="--format json"):
        lines_of(demo(), "ranks")


@pytest.mark.parametrize("view", ["ranks", "stability"])
def test_a_run_refuses_what_csv_cannot_hold_before_it_plans_anything(view, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("ddbench.cli.run.planned_from", lambda given: pytest.fail("planned"))
    given = ["run", "--methods", "random", "--ipc", "1", "--out", str(tmp_path / "runs"), "--format", "csv"]
    assert invoke([*given, "--views", f"scores,{view}"]) == 2
    assert f"view '{view}'" in capsys.readouterr().err


def test_the_cross_architecture_table_is_in_csv_and_json():
    records = cell("dm", [40.0, 42.0], eval_arch="mlp-w128-nn") + cell("dm", [60.0, 70.0])
    over = {"students_mean": "53.0", "students_worst": "41.0", "students_spread": "24.0"}
    assert all(over.items() <= line.items() for line in lines_of(records))
    document = json.loads(render(tables_of(records), "json"))[-1]
    assert document["view"] == "students"
    assert document["rows"][0]["over_students"]["spread"] == pytest.approx(24.0)
    assert {line["students_mean"] for line in lines_of(cell("dm", [40.0]))} == {""}


def test_latex_escapes_every_special_character():
    assert escape(r"a_b & 5 % of #1 {x} ~ ^ \ $") == (
        r"a\_b \& 5 \% of \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \$"
    )


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("dm ¹ ²", "dm $^{1,2}$"),
        ("theirs ² ¹⁰", "theirs $^{2,10}$"),
        ("k = 10³, e⁻¹", "k = 10$^{3}$, e$^{-1}$"),
        ("-1.3", "$-1.3$"),
        ("+7.6 [-5.2, -0.3]", "+7.6 [$-5.2$, $-0.3$]"),
        ("top-1 of convnet2-w32, 2026-12-01", "top-1 of convnet2-w32, 2026-12-01"),
        ("not made with --jobs 1", "not made with -{}-jobs 1"),
    ],
)
def test_latex_joins_marks_and_writes_a_minus_before_numbers_and_no_dash_for_an_option(text, latex):
    assert escape(text) == latex


def test_latex_has_all_that_methods_say_of_their_runs():
    assert all(escape(f"{one.header} {one.meaning}").isascii() for one in SAID)


def test_latex_rows_have_as_many_cells_as_the_tabular_has_columns_and_bold_is_kept():
    records = demo() + decided(ipc=20) + cell("dm", [50.0], label="d_m & 5%")
    shown = render(tables_of(records), "latex", views=["main", *VIEWS])
    assert r"\textbf{61.6 $\pm$ 1.2} (6)" in shown
    assert r"d\_m \& 5\%" in shown
    assert shown.isascii()
    for tabular in re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", shown, re.DOTALL):
        rows = [line for line in tabular[1].splitlines() if line.endswith(r"\\")]
        assert rows and all(len(re.split(r"(?<!\\)&", row)) == len(tabular[0]) for row in rows)
    for name in ("table", "tabular"):
        assert shown.count(f"\\begin{{{name}}}") == shown.count(f"\\end{{{name}}}")


@pytest.mark.parametrize("label", ["[1] ours", "[2ex]", "* dm", "*"])
def test_the_end_of_a_latex_row_does_not_read_the_label_of_the_next(label):
    shown = render(tables_of(demo() + cell("dm", [50.0], label=label)), "latex", views=["main", *VIEWS])
    assert f"{{}}{label}" in shown
    assert not re.search(r"(\\\\|rule)\s*[\[*]", shown), "an optional argument, or the starred command"


def test_imported_rows_are_marked_in_every_grid_and_note():
    grids = 0
    for part in shown(tables_of(imported()), details=True, views=[MAIN, *VIEWS]):
        labels = [line[0] for line in part.grid if line[0].startswith("theirs")]
        assert all(label.startswith("theirs (imported)") for label in labels), part.caption
        assert not re.search(r"theirs(?! \(imported\))", "\n".join(part.notes)), part.caption
        grids += bool(labels)
    assert grids > 10, "main, students, scores, cost, regime and failures have the row"


def test_programs_read_the_source_beside_the_plain_label():
    found = [
        line
        for document in json.loads(
            render(tables_of(imported()), "json", views=["scores", "cost", "regime", "failures"])
        )
        for line in document["lines"]
    ]
    assert {(line["row"], line["source"]) for line in found} == {("dm", "measured"), ("theirs", "imported")}
