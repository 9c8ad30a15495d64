"""What plots draw follows from the records: points, bars, fronts, windows; equal records give equal pictures."""

from __future__ import annotations

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ddbench.cli import invoke
from ddbench.core.roles import Role
from ddbench.core.store.files import home
from ddbench.core.store.folder import Store
from ddbench.core.store.jsonl import write_records
from ddbench.publish.looks import Drawn, looks
from ddbench.publish.plots import accuracy
from ddbench.publish.plots.frame import cuts_of, note_of, step_of, x_limits, y_limits
from ddbench.publish.plots.series import (
    Line,
    Point,
    cost_points,
    crossing_series,
    ipc_series,
    pareto,
    title_of,
    window_series,
)
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, demo, imported, keyed, placed, skipped


def half_of(values):
    """Half of the 95 % t-interval, by scipy."""
    return stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def line_of(panel, label, lines="lines"):
    return next(line for line in getattr(panel, lines) if line.label == label)


def window(label, first, scores, changes, **where):
    """Records of a row that matched from ``first`` % on."""
    records = cell("datm", scores, label=label, params={"min_start": int(first)}, **where)
    made = [record for record in records if record.kind == "condense"]
    for record, change in zip(made, changes, strict=True):
        record.metrics.update({"window_first_top1": first, "image_change": change})
    return records


def windows():
    return [
        *window("late", 95.0, [40.0, 44.0, 42.0], [0.1, 0.2, 0.6]),
        *window("early", 10.0, [50.0, 52.0, 57.0], [0.5, 0.4, 0.3]),
        *window("late", 95.0, [80.0, 81.0], [0.1, 0.1], ipc=10),
        *window("early", 10.0, [70.0, 75.0], [0.2, 0.1], ipc=10),
        *cell("random", [30.0, 31.0, 35.0]),
        *cell("full", [97.0, 98.0, 98.5]),
    ]


# -------------------------------------------------------------------------------------------------- images per class


def test_a_point_is_the_mean_with_its_t_interval_at_its_images_per_class():
    (panel,) = ipc_series(tables_of(demo()))
    one, ten = line_of(panel, "datm").points
    assert (one.x, one.mean, one.n, one.interval) == (1, pytest.approx(59.0), 3, True)
    assert one.bar == pytest.approx(half_of([57.0, 58.0, 62.0]))
    assert ten.x == 10 and ten.bar == pytest.approx(half_of([86.0, 89.0, 87.5]))


def test_two_repetitions_have_their_sd_and_one_has_no_bar():
    (panel,) = ipc_series(tables_of(cell("dm", [50.0, 54.0]) + cell("dm", [60.0], ipc=10)))
    two, one = line_of(panel, "dm").points
    assert (two.bar, two.interval) == (pytest.approx(np.std([50, 54], ddof=1)), False)
    assert (one.bar, one.n) == (None, 1)


def test_a_reference_is_a_band_and_rows_without_results_have_no_line():
    (panel,) = ipc_series(tables_of([*demo(), *skipped("dc", "too slow")]))
    (band,) = panel.bands
    assert (band.label, band.mean) == ("full", pytest.approx(97.8))
    assert band.bar == pytest.approx(half_of([97.5, 97.8, 98.1]))
    assert [line.label for line in panel.lines] == ["random", "mtt", "datm"]
    assert [point.x for point in line_of(panel, "mtt").points] == [10]


def test_there_is_a_panel_for_each_protocol_and_student_and_none_for_fractions():
    records = [*cell("dm", [50.0]), *cell("dm", [40.0], protocol="native"), *cell("dm", [45.0], eval_arch="mlp")]
    panels = ipc_series(tables_of(records))
    assert len({panel.title for panel in panels}) == len(panels) == 3
    assert ipc_series(tables_of(cell("el2n", [50.0], fraction=0.1))) == []


def test_titles_name_what_is_unusual():
    title = title_of(tables_of(cell("dm", [50.0], eval_arch="mlp", preprocess="zca-kornia"))[0])
    assert "zca-kornia" in title and "→ mlp" in title
    assert "meanstd" not in title_of(tables_of(cell("dm", [50.0]))[0])


# ------------------------------------------------------------------------------------------------------------- cost


def test_seconds_are_those_of_the_set_and_of_all_its_artifacts():
    seconds, size = cost_points(tables_of(demo()))
    assert (seconds.cost, size.cost) == ("seconds", "bytes")
    (point,) = line_of(seconds, "mtt").points
    assert point.x == pytest.approx(0.2 + 30.0 + 120.0)
    assert [p.x for p in line_of(size, "datm").points] == [64 * 10, 64 * 100]
    assert [p.budget for p in line_of(size, "datm").points] == ["ipc 1", "ipc 10"]


def test_the_front_holds_whatever_no_other_point_matches_or_beats():
    rng = random.Random(0)
    for _ in range(50):
        points = [(float(rng.randint(1, 6)), float(rng.randint(1, 6))) for _ in range(rng.randint(1, 12))]
        beaten = {
            p for p in points if any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)
        }  # fmt: skip
        assert pareto(points) == tuple(sorted(set(points) - beaten))


# ----------------------------------------------------------------------------------------------------------- windows


def test_windows_stand_from_early_to_late_apart_from_the_other_rows():
    (panel,) = window_series(windows())
    assert [line.label for line in panel.windows] == ["early", "late"]
    assert [line.label for line in panel.others] == ["random"]
    assert panel.between == ("late", "early")


def test_the_difference_is_paired_over_repetitions_and_needs_three():
    (panel,) = window_series(windows())
    assert panel.differences[10] is None
    found, d = panel.differences[1], np.subtract([40.0, 44.0, 42.0], [50.0, 52.0, 57.0])
    assert (found.difference, found.n) == (pytest.approx(d.mean()), 3)
    assert (found.high - found.low) / 2 == pytest.approx(half_of(d))


def test_the_movement_of_every_repetition_is_kept():
    (panel,) = window_series(windows())
    one, ten = line_of(panel, "early", "changes").points
    assert (one.values, ten.values) == ((0.5, 0.4, 0.3), (0.2, 0.1))
    assert one.mean == pytest.approx(0.4)


def test_a_single_window_and_its_start_make_no_comparison():
    zero = window("early (0 steps)", 10.0, [30.0, 30.0], [0.0, 0.0])
    assert window_series([*window("early", 10.0, [50.0, 51.0], [0.1, 0.1]), *zero]) == []
    assert window_series(demo()) == []


# -------------------------------------------------------------------------------------------------------- crossings


def falling(**fields):
    """A row that random meets at 10 % (halfway between 1 % and 100 % in the logarithm), and one that stays above."""
    found = [("random", 0.0, 0.0), ("el2n", 2.0, -2.0), ("aum", 3.0, 1.0)]
    noise = (0.0, 1.0, -1.0)
    return [
        x
        for name, *gains in found
        for share, gain in zip((0.01, 1.0), gains, strict=True)
        for x in cell(name, [50 + gain + (-1) ** (name == "aum") * e for e in noise], fraction=share, **fields)
    ]


def test_differences_to_random_stand_at_their_share_with_their_interval():
    (panel,) = crossing_series(tables_of(falling()))
    assert [line.label for line in panel.lines] == ["el2n", "aum"]
    points = line_of(panel, "aum").points
    assert [point.x for point in points] == [1.0, 100.0]
    d = np.array([3.0, 1.0, 5.0])
    assert points[0].mean == pytest.approx(d.mean())
    assert points[0].bar == pytest.approx(half_of(d))


def test_a_cross_marks_where_random_is_no_worse_and_nothing_what_stays_above():
    (axis,) = accuracy.crossing_plot(crossing_series(tables_of(falling()))).axes
    crosses = [line for line in axis.lines if line.get_marker() == "x"]
    line = next(line for line in axis.lines if line.get_label() == "el2n")
    assert len(crosses) == 1 and list(crosses[0].get_ydata()) == [0]
    (x,), ends = crosses[0].get_xdata(), line.get_xdata()
    assert x == pytest.approx((ends[0] * ends[1]) ** 0.5), "on its line"
    assert x == pytest.approx(10.0, rel=0.02)
    assert axis.get_xscale() == "log" and "share" in axis.get_xlabel()


def test_one_budget_has_no_panel():
    assert crossing_series(tables_of(cell("random", [40.0]) + cell("dm", [50.0]))) == []


# ---------------------------------------------------------------------------------------------------------- drawing


@pytest.fixture
def site(tmp_path, fresh_home, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = [*cell("mtt", [55.0, 56.0, 57.0]), *cell("random", [75.0, 76.0, 77.0], ipc=10)]
    write_records(tmp_path / "records.jsonl", keyed([*windows(), *more]))
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize("kind", ["ipc", "cost", "crossing", "window"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_equal_records_give_equal_bytes(site, kind, ending):
    pictures = []
    for name in ("a", "b"):
        assert invoke(["plot", kind, "--records", "records.jsonl", "--to", f"{name}.{ending}"]) == 0
        pictures.append((site / f"{name}.{ending}").read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])


def test_legends_mark_imported_rows():
    tables = tables_of(imported())
    for figure in (accuracy.ipc_plot(ipc_series(tables)), accuracy.cost_plot(cost_points(tables))):
        drawn = {str(line.get_label()) for axis in figure.axes for line in axis.lines}
        assert "theirs" not in drawn
    assert "theirs (imported)" in {
        str(x.get_label()) for a in accuracy.ipc_plot(ipc_series(tables)).axes for x in a.lines
    }


def test_what_is_drawn_is_what_the_series_say():
    panels = ipc_series(tables_of(demo()))
    (axis, *_) = accuracy.ipc_plot(panels).axes
    drawn = {line.get_label(): line.get_ydata() for line in axis.lines}
    assert list(drawn["datm"]) == [point.mean for point in line_of(panels[0], "datm").points]
    assert axis.get_xscale() == "log" and axis.get_ylabel() == "test accuracy [%]"
    low, high = axis.get_ylim()
    assert high <= 100 + 0.06 * (100 - low), "nothing is above 100 % but room for marks"


def panel_of(means, bar=1.0, budgets=("ipc 1",), kind="method"):
    """A line for each mean, or for each list of them."""
    look = looks([Drawn("dm", "dm", "distillation", Role())])["dm"]
    return [
        Line(f"row {i}", look, tuple(Point(10.0**k, m, bar, True, 3, b, ()) for k, (m, b) in enumerate(
            zip(np.atleast_1d(values), budgets, strict=True))), kind)
        for i, values in enumerate(means)
    ]  # fmt: skip


def test_one_far_point_does_not_stretch_the_axis_and_is_told():
    lines = panel_of([90.0, 91.0, 92.0, 93.0, 94.0, 20.0])
    low, high = y_limits(lines, most=100.0)
    assert 80 < low < 89 and 95 < high <= 100
    (cut,) = cuts_of(lines, low, high)
    assert (cut.line, cut.up, cut.text) == (5, False, "row 5 at ipc 1: 20.0")
    assert note_of([cut], 46) == "cut off: ↓ row 5 at ipc 1: 20.0"
    assert note_of([cut] * 5, 200).endswith("; 2 more")
    assert cuts_of(lines, 0, 100) == [] and note_of([], 46) == ""


@pytest.mark.parametrize(
    "lines",
    [
        panel_of([[20.0, 90.0, 95.0, 96.0, 97.0]], budgets=[f"ipc {i}" for i in range(5)]),
        panel_of([90.0, 91.0, 20.0]),
        panel_of([90.0, 91.0, 92.0, 93.0, 94.0]) + panel_of([20.0], kind="reference"),
        panel_of([90.0, 91.0, 92.0, 20.0, 21.0, 22.0]),
    ],
    ids=["a curve", "too few", "a reference", "two groups"],
)
def test_what_is_no_outlier_stays(lines):
    assert cuts_of(lines, *y_limits(lines, most=100.0)) == []


def test_a_long_bar_does_not_stretch_the_axis_either():
    lines = [*panel_of([50.0, 51.0, 52.0, 53.0]), *panel_of([51.5], bar=40.0)]
    low, high = y_limits(lines)
    assert 40 < low < high < 65
    assert {(cut.line, cut.up, cut.text) for cut in cuts_of(lines, low, high)} == {
        (4, False, "bar of row 0 at ipc 1: 11.5"), (4, True, "bar of row 0 at ipc 1: 91.5"),
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, 12, 40])
def test_rows_step_aside_within_a_seventh_of_a_decade_and_budgets_stay_apart(rows):
    lines = panel_of([[1.0, 2.0]] * rows, budgets=["ipc 1", "ipc 10"])
    step = step_of(lines, 0.02)
    assert step * (rows - 1) <= 0.14 + 1e-9 and step <= 0.02
    left, right = x_limits(lines, step)
    assert np.log10(left) < -step * rows / 2 - 0.09 and np.log10(right) > 1 + step * rows / 2 + 0.09
    near = [replace(line, points=(line.points[0], replace(line.points[1], x=1.2))) for line in lines]
    assert step_of(near, 0.02) * (rows - 1) < np.log10(1.2) / 2


def test_legends_follow_the_tables_and_end_with_controls():
    figure = accuracy.ipc_plot(ipc_series(tables_of([*demo(), *cell("random_soft", [40.0], ipc=1)])))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "full", "random", "mtt", "datm", "random_soft"
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("options", "rows", "said"),
    [
        ([], {"random", "dm"}, "2 rows of controls left out: --controls draws them\n"),
        (["--controls"], {"random", "dm", "dm (0 steps)", "random_soft"}, ""),
        (["--methods", "dm"], {"dm"}, "1 row of controls left out: --controls draws them\n"),
        (["--methods", "dm,dm (0 steps)"], {"dm", "dm (0 steps)"}, ""),
        (["--methods", "random_soft"], {"random_soft"}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["ipc", "cost"])
def test_controls_are_drawn_where_they_are_asked_for(tmp_path, monkeypatch, capsys, kind, options, rows, said):
    monkeypatch.chdir(tmp_path)
    start = cell("dm", [30.0, 31.0], label="dm (0 steps)", params={"iterations": 0})
    records = [*cell("dm", [50.0, 51.0]), *start, *cell("random_soft", [40.0]), *cell("random", [45.0])]
    write_records(tmp_path / "a.jsonl", keyed(records))
    figures = []
    monkeypatch.setattr(accuracy, "encode", lambda figure, target: figures.append(figure) or b"")
    assert invoke(["plot", kind, "--records", "a.jsonl", "--to", "p.png", *options]) == 0
    (figure,) = figures
    assert {text.get_text() for text in figure.legends[0].get_texts()} - {"Pareto front"} == rows
    assert capsys.readouterr().err == said


def test_window_prints_the_differences(site, capsys):
    assert invoke(["plot", "window", "--records", "records.jsonl", "--to", "w.png"]) == 0
    out = capsys.readouterr().out
    d = np.subtract([40.0, 44.0, 42.0], [50.0, 52.0, 57.0])
    assert f"ipc 1: late − early: {d.mean():+.2f} [{d.mean() - half_of(d):+.2f}" in out


def test_crossings_are_printed_and_filters_keep_random(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path / "records.jsonl", keyed(falling()))
    assert invoke(["plot", "crossing", "--records", "records.jsonl", "--methods", "el2n", "--to", "c.svg"]) == 0
    title = title_of(tables_of(falling())[0])
    assert capsys.readouterr().out.splitlines() == [
        "c.svg: 1 panel", f"{title}: el2n: 10 % [10 %, 10 %], n = 3"
    ]  # fmt: skip


def test_filters_keep_the_references(site, monkeypatch):
    from ddbench.publish.plots import series

    seen = []
    monkeypatch.setattr(series, "ipc_series", lambda tables, looks: seen.extend(tables) or [])
    assert invoke(["plot", "ipc", "--records", "records.jsonl", "--methods", "mtt,early", "--to", "p.png"]) == 2
    assert {row.label for table in seen for row in table.rows} == {"full", "mtt", "early"}


def test_a_folder_is_drawn_with_the_references_of_its_own_tables(site, fresh_home, monkeypatch):
    """References are shared by all folders: that of another data set belongs to another folder's tables."""
    from ddbench.publish.plots import series

    store, other = Store(site / "runs"), {"name": "mnist", "revision": "1" * 16}
    found = [*cell("dm", [50.0]), *cell("full", [97.0]), *cell("full", [99.0], data=other)]
    for record in found:
        placed(home() / "artifacts" if record.document.set.shared else store.out, [record])
    seen = []
    monkeypatch.setattr("ddbench.cli.plot._plots", lambda target: None)
    monkeypatch.setattr(series, "ipc_series", lambda tables, looks: seen.extend(tables) or [])
    monkeypatch.setattr("ddbench.cli.plot._looks", lambda everything, shown: {})
    monkeypatch.setattr("ddbench.results.tables.tables.tables_of", list)
    assert invoke(["plot", "ipc", "--controls", "--out", "runs", "--to", "p.png"]) == 2
    names = {(r.document.cell.data.name, r.document.label) for r in seen}
    assert names == {("digits", "dm"), ("digits", "full")}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["ipc", "--records", "records.jsonl", "--datasets", "cifar10", "--to", "p.png"],
            "digits: look at the filters",
        ),
        (["ipc", "--records", "records.jsonl", "--protocols", "native@1", "--to", "p.png"], "nothing to plot"),
        (["crossing", "--records", "records.jsonl", "--methods", "full", "--to", "p.png"], "a method and random"),
        (["cost", "--records", "gone.jsonl", "--to", "p.png"], "gone.jsonl"),
        (["ipc", "--out", "empty", "--to", "p.png"], "empty holds no evaluations"),
        (["window", "--records", "records.jsonl", "--methods", "mtt", "--to", "p.png"], "min_start, max_start"),
        (["images", "--out", "empty", "--to", "p.png"], "no sets with snapshots"),
        (["ipc", "--records", "records.jsonl", "--to", "p.gif"], ".png, .svg or .pdf"),
    ],
)
def test_nothing_to_plot_is_a_usage_error_that_writes_nothing(site, capsys, options, says):
    assert invoke(["plot", *options]) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said
    assert not list(site.glob("p.*"))


def test_without_matplotlib_the_message_says_what_to_install(site, capsys, monkeypatch):
    import ddbench.publish.plots

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    for part in ("accuracy", "images"):
        monkeypatch.delitem(sys.modules, f"ddbench.publish.plots.{part}", raising=False)
        monkeypatch.delattr(ddbench.publish.plots, part, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert invoke(["plot", "ipc", "--records", "records.jsonl", "--to", "p.png"]) == 2
    assert "pip install 'ddbench[report]'" in capsys.readouterr().err


def test_a_panel_without_differences_says_why():
    from ddbench.publish.plots.accuracy import window_plot

    two = [*window("early", 10.0, [50.0, 51.0], [0.1, 0.1]), *window("late", 90.0, [40.0, 41.0], [0.1, 0.1])]
    figure = window_plot(window_series(two))
    assert [text.get_text() for text in figure.axes[1].texts] == ["fewer than three\nrepetitions in common"]
