"""What the user sees."""

import csv
import io
import json
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.core.errors import UsageError
from ddbench.publish.text.captions import caption
from ddbench.publish.text.render import FORMATS, render
from ddbench.publish.views.main import WIDEST, main_view, main_views
from ddbench.results.tables.figures import compact, spread
from ddbench.results.tables.tables import tables_of
from ddbench.results.tables.versions import WAITS
from tests.factories import cell, decided, demo, skipped

GOLDEN = """\
digits · convnet2-w32-in → the same · meanstd · hard@1 (short: 1000 updates) · test top-1 %, mean ± sd over 3 repetitions × 1 student

| method |                    ipc 1 (0.8 %) |        ipc 10 (8.4 %) | ipc 500 |
|--------|----------------------------------|-----------------------|---------|
| full   | 97.8 ± 0.3 (3) (all 1497 images) |                       |         |
| random |                   43.0 ± 2.0 (3) |        81.0 ± 1.0 (3) |     – ¹ |
| mtt    |                            nan ² | 86.5 ± 2.1 (2 of 3) ² |     – ¹ |
| datm ³ |                   59.0 ± 2.6 (3) |        87.5 ± 1.5 (3) |     – ¹ |
datm is ahead of random at ipc 1 by 16.0 [13.5, 18.5], ipc 10 by 6.5 [5.3, 7.7], not adjusted for 2 comparisons; \
nothing is decided at n = 3: verdicts need n ≥ 7 (--seeds 7)
¹ skipped: the smallest class has 118 training images, so ipc is at most 118
² nan: loss is nan at step 17
³ datm: soft labels were clipped
n < 6: no significance claimed; (2 of 3): the others have no result, so the mean is not compared; full: 3000 updates; \
one of 300 test images is 0.33 points

minus random · points, paired over 3 repetitions, 95 % interval

| method |        ipc 1 (0.8 %) |    ipc 10 (8.4 %) |
|--------|----------------------|-------------------|
| datm   | +16.0 [+13.5, +18.5] | +6.5 [+5.3, +7.7] |
n < 6: no significance claimed; verdicts on 2 comparisons with random need n ≥ 7

cost of one set · digits · convnet2-w32-in → the same · meanstd · hard@1 (short: 1000 updates)

| method | condense wall s | artifact wall s | peak MB |     bytes |
|--------|-----------------|-----------------|---------|-----------|
| full   |               – |               – |       – |      97 k |
| random |             1.2 |               0 |      12 | 640–6.4 k |
| mtt    |          1.2–30 |           0–120 |      12 | 640–6.4 k |
| datm   |        1.2–14 † |               0 |      12 | 640–6.4 k |
cost of one set in our implementation, medians over repetitions, a–b over the budgets: wall seconds to prepare and \
condense, those to build what it can open of the shared artifacts it reads, peak memory, stored bytes (real images as \
uint8; k = 10³); wall seconds, because CPU seconds were not measured: all rows; †: other processes used the cores \
meanwhile; charged for whole artifacts, also for what it cannot open: mtt; peak memory above a level that was taken \
without a warm-up: all rows
"""


def text(records, style="table"):
    return render(tables_of(records), style)


def caption_of(records):
    return caption(tables_of(records)[0])


def test_the_terminal_shows_this():
    lines = text(demo()).splitlines(keepends=True)
    waiting = [line for line in lines if line.endswith(f"{WAITS}\n")]  # these records name versions of before
    assert "".join(line for line in lines if line not in waiting) == GOLDEN


def of_start(method, scores, **fields):
    role = {"kind": "start", "of": [method]}
    return cell(method, scores, label=f"{method} (0 steps)", facts={"role": role}, **fields)


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_a_line_stands_between_methods_and_controls(style):
    lines = text(of_start("dm", [30.0]) + cell("dm", [50.0]) + cell("random", [20.0]), style).splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert names == ["method", "random", "dm", "controls:", "dm (0 steps)"]
    assert "controls:" not in text(cell("dm", [50.0]), style)
    assert "controls:" not in text(of_start("dm", [50.0]), style), "nothing stands before them"


def test_latex_has_a_rule_between_methods_and_controls():
    assert r"\midrule \multicolumn{5}{l}{controls:} \\" in text(of_start("dm", [30.0]) + cell("dm", [50.0]), "latex")


def test_programs_read_the_role_of_every_row():
    records = of_start("dm", [30.0]) + cell("dm", [50.0]) + cell("random", [20.0])
    wanted = {"random": "reference", "dm": "method", "dm (0 steps)": "start"}
    assert {row["row"]: row["role"] for row in csv.DictReader(io.StringIO(text(records, "csv")))} == wanted
    (table,) = json.loads(text(records, "json"))
    assert {row["row"]: row["role"] for row in table["rows"]} == wanted


@pytest.mark.parametrize("budgets", [1, 2, 3, 4, 5, 6])
def test_a_table_wider_than_a_page_is_two_accuracies_first(budgets):
    records = [one for ipc in range(1, budgets + 1) for one in cell("dm", [50.0, 51.0, 52.0], ipc=ipc)]
    twin = {"role": {"kind": "twin", "of": ["dm"]}}
    records += cell("dm", [50.0, 51.0, 52.0], label="dm (recipe of dm)", facts=twin)
    (table,) = tables_of(records)
    whole, parts = main_view(table), main_views(table)
    lines = [line for line in render([table], "markdown").splitlines() if line.startswith("|")]
    assert max(map(len, lines)) <= max(WIDEST, parts[0].width)
    if budgets < 3:
        assert whole.width <= WIDEST and len(parts) == 1
    if budgets > 4:
        first, costs = parts
        assert whole.width > WIDEST
        assert [c.name for c in first.shown] + [c.name for c in costs.shown][1:] == [c.name for c in whole.shown]
        assert [row.label for row in costs.rows] == ["dm"], "a twin is the set of another row"
        assert "seconds" in costs.notes[0] and "seconds" not in " ".join(first.notes)


def test_no_column_is_empty_for_all():
    records = cell("full", [97.0, 98.0, 99.0]) + cell("full", [97.0, 98.0, 99.0], protocol="real")
    (first, *_) = tables_of(records)
    assert [each.name for each in main_view(first).shown] == ["row", "all", "bytes"]


def test_a_reference_that_takes_too_long_says_how_long():
    shown = text(cell("random", [40.0]) + skipped("full", "not measured (≈ 6 h)"))
    assert "not measured (≈ 6 h) |" in shown
    assert "¹" not in shown


def test_the_caption_gives_the_range_of_updates_over_the_columns():
    records = cell("dm", [50.0], ipc=1) + cell("dm", [50.0], ipc=50, updates=2000)
    assert "hard@1 (short: 1000–2000 updates)" in caption_of(records)


def test_the_caption_names_another_student():
    assert "convnet2-w32-in → resnet18-in" in caption_of(cell("dm", [50.0], eval_arch="resnet18-in"))


def test_smoke_says_what_it_is_for():
    assert "(smoke: for tests only, 10 updates)" in caption_of(cell("dm", [50.0], profile="smoke", updates=10))


def test_one_repetition_has_no_plus_minus():
    assert " 50.0 (1) |" in text(cell("dm", [50.0]))


def test_below_the_least_n_the_legend_says_that_nothing_is_bold_and_what_would_decide():
    shown = text(cell("dm", [50.0, 51.0]) + cell("mtt", [60.0, 61.0]))
    assert "\n2 methods, 1 pair: verdicts on pairs need n ≥ 6; n = 2: nothing is bold\n" in shown
    assert "**" not in shown and "bold: " not in shown and "interval" not in shown


def test_from_the_least_n_on_the_legend_says_what_is_decided():
    shown = text(decided())
    assert "\n2 methods, 1 pair; datm better than dm\nbold: not worse than the best of the column" in shown
    assert re.search(r"\| datm +\| \*\*61\.6 ± 1\.2\*\* \(6\) \|", shown)
    assert shown.count("**") == 2


def test_draws_of_random_beyond_the_repetitions_of_the_methods_are_said_in_both_captions():
    draws = [40.0 + (7 * r) % 11 for r in range(30)]
    dm = [score + 8 + r % 3 for r, score in enumerate(draws[:6])]
    shown = text(cell("random", draws) + cell("dm", dm) + cell("dm", dm, label="dm (0 steps)"))
    assert "mean ± sd over 6 repetitions (random: 30) × 1 student\n" in shown
    assert "minus random · points, 6 repetitions beside 30 draws of random, 95 % interval" in shown
    assert "; paired by repetition: dm (0 steps); no verdict on controls\n" in shown


def test_verdicts_appear_with_six_repetitions_and_say_what_they_needed():
    scores = [50.0, 52.0, 51.0, 50.5, 52.5, 51.5]
    shown = text(cell("random", scores) + cell("dm", [x + 9 + i / 10 for i, x in enumerate(scores)]))
    assert "] better |" in shown
    assert "which needs n ≥ 6" in shown
    assert "no significance claimed" not in shown


def test_markdown_keeps_footnotes_out_of_the_grid():
    lines = text(demo(), "markdown").splitlines()
    last = next(i for i, line in enumerate(lines) if line.startswith("| datm"))
    assert lines[last + 1] == ""
    assert lines[last + 2].startswith("¹ skipped") and lines[last + 2].endswith("<br>")


@pytest.mark.parametrize("label", ["a|b", "`a`", "*a*", "__init__", "<b>a"])
def test_no_label_becomes_markup_or_ends_a_cell(label):
    grid = [line for line in text(cell("dm", [50.0], label=label), "markdown").splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in grid}) == 1
    assert f"| {label} " not in grid[2]


def test_underscores_in_words_stay_readable():
    assert "| dm (syn_steps=40) |" in text(cell("dm", [50.0], label="dm (syn_steps=40)"), "markdown")


def test_csv_has_a_line_per_cell_with_numbers_or_a_reason():
    rows = list(csv.DictReader(io.StringIO(text(demo(), "csv"))))
    datm = {row["budget"]: row for row in rows if row["row"] == "datm"}
    assert (datm["ipc 10"]["mean"], datm["ipc 10"]["n"]) == ("87.5", "3")
    assert float(datm["ipc 10"]["condense_s"]) == pytest.approx(14.2)
    assert (datm["ipc 500"]["mean"], datm["ipc 500"]["status"]) == ("", "skipped")
    assert [row["budget"] for row in rows if row["row"] == "full"] == ["all"]


def test_json_is_what_csv_says_and_the_differences():
    (table,) = json.loads(text(decided(), "json"))
    names = ("bold", "rank_best", "rank_worst", "n_needed")
    places = {row["row"]: tuple(one[name] for name in names) for row in table["rows"] for one in row["cells"]}
    assert places == {"random": (False, None, None, None), "dm": (False, 2, 2, 6), "datm": (True, 1, 1, 6)}
    (table,) = json.loads(text(demo(), "json"))
    flat = [row["row"] for row in table["rows"] for _ in row["cells"]]
    assert flat == [row["row"] for row in csv.DictReader(io.StringIO(text(demo(), "csv")))]
    assert {found["row"] for found in table["minus_random"]} == {"datm"}


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_ends_in_a_newline_even_for_nothing(style):
    assert render([], style).endswith("\n")
    assert text(demo(), style).endswith("\n")


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(UsageError, match="did you mean markdown"):
        render([], "markdow")


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.floats(0.05, 9e11), st.floats(0.05, 9e11))
def test_compact_numbers_are_short_keep_their_order_and_two_digits(a, b):
    def value(shown):
        number, _, unit = shown.partition(" ")
        return float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit]

    low, high = sorted((a, b))
    assert len(compact(a)) <= 6
    assert value(compact(low)) <= value(compact(high))
    assert value(compact(a)) == pytest.approx(a, abs=0.051 * max(1, 10 ** (len(str(int(a))) - 1)))


def test_a_spread_is_one_number_unless_its_ends_are_far_apart():
    assert spread([10, 14], apart=1.5) == "14"
    assert spread([10, 16], apart=1.5) == "10–16"
    assert spread([640, None, 6400]) == "640–6.4 k"
    assert spread([0.04, 0.12], apart=1.5) == "0.1"
    assert spread([None]) == "–"


def test_tables_need_neither_torch_nor_pandas():
    code = """
import sys
import ddbench.cli.leaderboard, ddbench.publish.leaderboard
print(sorted({"torch", "pandas", "scipy.stats"} & set(sys.modules)))"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_two_hundred_cells_take_a_fraction_of_a_cpu_second():
    records = [x for m in range(13) for ipc in (1, 5, 10, 20, 50) for x in cell(f"m{m}", [50.0, 51.0, 52.0], ipc=ipc)]
    began = time.process_time()
    text(records)
    assert time.process_time() - began < 1


def test_controls_do_not_make_the_family_of_the_verdicts_larger():
    """Six repetitions decide one comparison, and not two: a row that is random by construction must not count."""
    random = [50.0, 51.0, 52.0, 53.0, 54.0, 55.0]
    dm = [score + gain for score, gain in zip(random, (8.0, 9.0, 10.0, 11.0, 12.0, 10.0), strict=True)]
    records = cell("random", random) + cell("dm", dm)
    start = cell("dm", random, label="dm (0 steps)")
    assert "| dm     | +10.0 [+8.5, +11.5] better |" in text(records)
    shown = text(records + start)
    assert re.search(r"\| dm +\| \+10\.0 \[\+8\.5, \+11\.5\] better \|", shown)
    assert re.search(r"\| dm \(0 steps\) \| +\+0\.0 \[\+0\.0, \+0\.0\] \|", shown)
    assert "1 comparison with random (Holm)" in shown
    assert "no verdict on controls" in shown
    assert text(cell("random", random) + start).endswith("\nno verdict on controls\n")


def test_rows_that_share_an_artifact_do_not_make_the_family_larger_either():
    random, experts = [50.0, 51.0, 52.0, 53.0, 54.0, 55.0], {"experts": ["experts", "k" * 64]}
    dm = [score + gain for score, gain in zip(random, (8.0, 9.0, 10.0, 11.0, 12.0, 10.0), strict=True)]
    shown = text(cell("random", random) + cell("dm", dm) + cell("mtt", dm, artifacts=experts))
    assert re.search(r"\| dm +\| \+10\.0 \[\+8\.5, \+11\.5\] better \|", shown)
    assert re.search(r"\| mtt [^|]*\| +\+10\.0 \[\+8\.5, \+11\.5\] \|", shown)
    assert "1 comparison with random (Holm)" in shown
    assert "no verdict, whatever n, where repetitions share an artifact" in shown
    alone = text(cell("random", random[:3]) + cell("mtt", dm[:3], artifacts=experts))
    assert "need n" not in alone
