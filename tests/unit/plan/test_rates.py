"""Forecasts from elsewhere: kinds, sums, probes that scale, what this home keeps; what is not known stays unknown."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from ddbench.core.machine import Machine, probe_s, this_machine
from ddbench.core.records import Cost, Record, Seconds
from ddbench.plan import rates as rates_module
from ddbench.plan.forecast import forecast
from ddbench.plan.kinds import kinds, size_of, where_of
from ddbench.plan.outlook import by_method, known_s, summary, together_s, unknown
from ddbench.plan.rates import KEPT, Kept, Rates, Scaled, shipped
from ddbench.plan.speeds import Speeds
from tests.unit.plan.test_planner import nodes, planned

HERE = "cpu 1 fused"
OTHER = Machine(host="other", cpu="slow", cores=4)


@pytest.fixture
def made():
    return planned(methods=["dm", "kmeans"], budget={"ipc": [1, 10]}, profile="short")


def rates(made, step=0.5, probe=0.03, where=HERE, machine=OTHER):
    """A rate for each kind of a plan: a second before the first step, and then so many for each."""
    found = Rates(machine, probe)
    for node in made.nodes.values():
        for kind in kinds(node.document, where):
            found.seen.setdefault(kind, {})[size_of(node.document)] = [(1.0, step)]
    return found


def foreseen(made, *layers, where=HERE):
    forecast(made, Speeds(beyond=layers, where=lambda document: where))
    return [node.forecast_s for node in made.nodes.values()]


def record_of(node, seconds=3.0, steps=10, *, env=None, cpu=None, profile="short", status="ok"):
    evaluation = node.kind == "evaluation"
    phase = "evaluate_s" if evaluation else "condense_s"
    document = node.document.set.model_copy(update={"profile": profile})
    document = node.document.model_copy(update={"set": document}) if evaluation else document
    cost = Cost(**{phase: seconds}, steps=steps, cpu=None if cpu is None else Seconds(**{phase: cpu}))
    return Record(
        key=node.key, kind="evaluation" if evaluation else "condense", status=status, document=document, cost=cost,
        env={"device": "cpu", "threads": 1, "engine": "fused"} if env is None else env, started="t", finished="t",
    )  # fmt: skip


def cell(made, title):
    return next(node for node in nodes(made, "cell") if node.title.startswith(title))


def kind_of(**content):
    """The kind of kip's set."""
    return kinds(cell(planned(methods=["kip"], profile="short", **content), "kip").document)


def test_counts_and_words_make_a_kind_and_learning_rates_and_the_number_of_steps_do_not():
    plain = kind_of()
    assert kind_of(set={"kip": {"iterations": 7, "lr": 0.5}}) == plain
    assert kind_of(set={"kip": {"batch_real": 7}}) != plain
    assert kind_of(set={"kip": {"kernel": "convpool3"}}) != plain
    assert kind_of(datasets=[{"name": "digits", "view": {"train_size": 300}}]) != plain
    assert kind_of(budget={"ipc": [10]}) == plain, "a size, no kind"
    assert kind_of(archs=["mlp"]) == plain, "no axis of kip"


def test_a_set_of_another_kernel_has_no_forecast_until_one_was_measured():
    made = planned(methods=["kip"], profile="short", set={"kip": {"kernel": "convpool3"}})
    plain = planned(methods=["kip"], profile="short")
    node = cell(made, "kip")
    foreseen(made, rates(plain))
    assert node.forecast_s is None
    foreseen(made, rates(made))
    assert node.forecast_s == pytest.approx(1.0 + 0.5 * node.steps)


def test_the_forecast_of_a_plan_is_the_sum_over_its_nodes(made):
    seconds = foreseen(made, rates(made))
    assert None not in seconds and min(seconds) >= 1.0
    assert known_s(made.pending()) == pytest.approx(sum(seconds))
    groups = by_method(made)
    assert {row["method"] for row in groups} == {"full", "random", "dm", "kmeans", "(features)"}
    assert sum(row["nodes"] for row in groups) == len(made.pending())
    last = [node for node in made.pending() if node.is_reference]
    text = summary(made, limit_s=1e9)
    assert text.startswith(f"{len(seconds)} of {len(seconds)} nodes to run, about ")
    assert ", of which `full` " in text and "nothing" not in text
    assert known_s(last) < known_s(made.pending())


def test_processes_share_the_seconds_but_none_is_faster_than_its_longest_node():
    assert together_s([4.0, 2.0, 2.0], 2) == 4.0
    assert together_s([2.0, 2.0, 2.0, 2.0], 2) == 4.0
    assert together_s([9.0, 1.0], 8) == 9.0
    assert together_s([], 2) == 0.0


@pytest.mark.parametrize("here", [0.015, 0.03, 0.06])
def test_rates_of_another_machine_are_scaled_by_both_probes(made, here):
    plain = foreseen(made, rates(made))
    scaled = foreseen(made, Scaled(rates(made), lambda: here))
    assert scaled == [pytest.approx(seconds * here / 0.03) for seconds in plain]


def test_without_a_probe_other_machines_say_nothing(made):
    assert set(foreseen(made, Scaled(rates(made), lambda: None))) == {None}
    assert set(foreseen(made, Scaled(rates(made, probe=None), lambda: 0.03))) == {None}


def test_the_probe_is_asked_only_where_another_machine_knows_something(made):
    def never():
        raise AssertionError("asked")

    assert set(foreseen(made, Scaled(Rates(OTHER, 0.03), never))) == {None}
    assert set(foreseen(made, Scaled(rates(made), never), where="cpu 2 fused")) == {None}


def test_other_places_are_other_kinds(made):
    """GPUs, numbers of threads and engines; what no engine makes a difference to is known by all engines."""
    assert set(foreseen(made, rates(made), where="cuda eager")) == {None}
    assert set(foreseen(made, Scaled(rates(made, where="cuda eager"), lambda: 0.03), where="cuda eager")) == {None}
    assert set(foreseen(made, rates(made, where="cpu 1"), where="cpu 1 eager")) != {None}
    only = Rates(OTHER, 0.03, seen={kind: s for kind, s in rates(made).seen.items() if kind[-1] == HERE})
    assert set(foreseen(made, only, where="cpu 1 eager")) == {None}
    assert where_of({"device": "cpu", "threads": 2, "engine": "fused"}) == "cpu 2 fused"
    assert where_of({"device": "cuda", "threads": 2, "engine": "eager"}) == "cuda eager"


def test_what_nothing_is_known_of_stays_unknown_and_is_told(made):
    known = rates(made)
    of_dm = kinds(cell(made, "dm").document, HERE)
    for kind in of_dm:
        del known.seen[kind]
    foreseen(made, known)
    lost = [node for node in made.pending() if node.forecast_s is None]
    assert {node.document.cell.method for node in lost} == {"dm"} and {node.kind for node in lost} == {"cell"}
    assert f"; of {len(lost)} nodes nothing is known" in summary(made, limit_s=1e9)
    row = next(row for row in by_method(made) if row["method"] == "dm")
    assert row["forecast"].endswith(f"+ {len(lost)} unknown")
    foreseen(made)
    assert unknown(made.pending()) == len(made.pending())
    text = summary(made, limit_s=1e9)
    assert "about" not in text and text.endswith(f"of {len(made.pending())} nodes nothing is known")
    assert {(row["forecast"], row["share"]) for row in by_method(made)} == {("?", "?")}


def test_references_beyond_the_limit_are_not_counted(made):
    foreseen(made, rates(made))
    last = [node for node in made.pending() if node.is_reference]
    short = summary(made, limit_s=1.0)
    others = len(made.pending()) - len(last)
    assert short.startswith(f"{others} of {others} nodes to run")
    assert "`full` is not measured (about " in short and "beyond --reference-limit" in short
    foreseen(made)
    assert summary(made, limit_s=0.0).endswith("; `full` is not measured")


def test_where_the_others_are_done_references_that_are_not_measured_are_named(made):
    nodes = [node for node in made.nodes.values() if not node.is_reference]
    for node in made.nodes.values():
        node.state = "unmeasured" if node.is_reference else "cached"
    assert summary(made, limit_s=0.0) == f"0 of {len(nodes)} nodes to run; `full` is not measured"


def test_where_all_is_done_nothing_is_to_run(made):
    for node in made.nodes.values():
        node.state = "cached"
    assert summary(made, limit_s=60.0) == f"0 of {len(made.nodes)} nodes to run"


def test_the_same_size_elsewhere_says_more_than_another_size_here(made):
    one, ten = cell(made, "dm ipc 1 "), cell(made, "dm ipc 10 ")
    speeds = Speeds(beyond=[rates(made)], where=lambda document: HERE)
    speeds.add(record_of(one, seconds=20.0))
    assert speeds.seconds(one) == pytest.approx(2.0 * one.steps)
    assert speeds.seconds(ten) == pytest.approx(1.0 + 0.5 * ten.steps)
    speeds.beyond = []
    assert speeds.seconds(ten) == pytest.approx(2.0 * ten.steps), "of one size nobody knows how seconds grow"


def test_sizes_between_two_known_ones_lie_on_a_line():
    made = planned(methods=["dm"], budget={"ipc": [1, 10, 19]}, profile="short")
    first, middle, last = (cell(made, f"dm ipc {n} ") for n in (1, 10, 19))
    assert kinds(first.document) == kinds(middle.document) == kinds(last.document)
    speeds = Speeds()
    speeds.add(record_of(first, 10.0))
    speeds.add(record_of(last, 30.0))
    assert speeds.seconds(middle) == pytest.approx(2.0 * middle.steps)


def test_what_is_done_before_the_first_step_is_not_multiplied(made):
    node, speeds = cell(made, "dm"), Speeds()
    record = record_of(node, seconds=1.0, steps=10)
    record.cost.prepare_s = 50.0
    speeds.add(record)
    assert speeds.seconds(node) == pytest.approx(50.0 + 0.1 * node.steps)


def test_this_home_keeps_what_was_measured_for_other_results_folders(made, fresh_home, monkeypatch):
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.04)
    monkeypatch.setattr(rates_module, "shipped", Rates)
    node = cell(made, "dm")
    node.record = record_of(node, seconds=9.0, cpu=3.0)
    Kept().learn([node, cell(made, "kmeans")])
    later = Kept()
    foreseen(made, *later.layers())
    assert node.forecast_s == pytest.approx(0.3 * node.steps), "others on a busy machine are left out"
    assert later.own.probe_s == 0.04 and later.own.machine == this_machine()
    for _ in range(2 * KEPT):
        Kept().learn([node])
    assert {len(seen) for sizes in Kept().own.seen.values() for seen in sizes.values()} == {KEPT}


def test_another_machine_with_the_same_home_has_a_file_of_its_own_and_is_scaled(made, fresh_home, monkeypatch):
    monkeypatch.setattr(rates_module, "shipped", Rates)
    monkeypatch.setattr(rates_module, "this_machine", lambda: OTHER)
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.04)
    node = cell(made, "dm")
    node.record = record_of(node, seconds=10.0, steps=10)
    Kept().learn([node])
    monkeypatch.undo()
    monkeypatch.setenv("DDBENCH_HOME", str(fresh_home))
    monkeypatch.setattr(rates_module, "shipped", Rates)
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.02)
    here = Kept()
    foreseen(made, *here.layers())
    assert node.forecast_s == pytest.approx(0.5 * node.steps)
    assert len(list((fresh_home / "rates").iterdir())) == 2, "its probe is kept"


def test_smoke_and_failures_teach_nothing_and_what_a_limit_cut_short_does(made, fresh_home, monkeypatch):
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.04)
    node = cell(made, "dm")
    cut_early, slow = {"status": "timeout", "steps": 10}, {"status": "timeout", "steps": 2, "seconds": 60.0}
    for more, learned in (({"profile": "smoke"}, 0), ({"status": "failed"}, 0), (cut_early, 0), (slow, 1)):
        node.record = record_of(node, **more)
        Kept().learn([node])
        assert len(Kept().own.seen) == learned, more


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]\n[]",
        '{"machine": 3}\nnull',
        '{"kind": 1}',
        "\x00\xff",
        '{"machine": {}}\n{"kind": ["a"], "paces": {"x": [[1, 2]]}}',
    ],
)
def test_a_file_that_says_nothing_is_as_good_as_none(text, made, fresh_home, monkeypatch):
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.04)
    kept = Kept()
    kept.folder.mkdir(parents=True)
    kept.path.write_text(text)
    (kept.folder / "other.jsonl").write_text(text)
    assert not Kept().own.seen
    node = cell(made, "dm")
    node.record = record_of(node)
    Kept().learn([node])
    assert len(Kept().own.seen) == 1


def test_where_nothing_can_be_written_nobody_is_troubled(made, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(rates_module, "probe_s", lambda: 0.04)
    node = cell(made, "dm")
    node.record = record_of(node)
    kept = Kept()
    kept.learn([node])
    assert kept.layers() and kept.probe_s() == 0.04


def test_rates_read_back_as_they_were_written(made):
    first = rates(made)
    first.about, first.origins = {"commit": "abc"}, {next(iter(first.seen)): {1.0: "measured"}}
    again = Rates.of(first.text)
    assert (again.seen, again.machine, again.probe_s, again.about, again.origins) == (
        first.seen, OTHER, 0.03, first.about, first.origins
    )  # fmt: skip


def test_the_probe_changes_nothing_of_this_process():
    environment, state = dict(os.environ), np.random.get_state()
    seconds = probe_s()
    assert seconds is not None and seconds > 0
    assert os.environ == environment
    assert all(np.array_equal(a, b) for a, b in zip(state, np.random.get_state(), strict=True))


def test_where_no_process_starts_there_is_no_probe(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert probe_s() is None
    monkeypatch.setattr(sys, "executable", "")
    assert probe_s() is None


def test_shipped_rates_name_their_machine_and_where_each_comes_from():
    found = shipped()
    assert found.machine.cpu and found.probe_s and found.about["date"] and found.about["commit"]
    assert {kind: set(sizes) for kind, sizes in found.origins.items()} == {k: set(s) for k, s in found.seen.items()}
    origins = {origin for sizes in found.origins.values() for origin in sizes.values()}
    assert all(origin == "measured" or " × " in origin for origin in origins)
    assert all(kind[-1].startswith("cpu 1") for kind in found.seen)


@pytest.mark.parametrize(
    ("methods", "more"),
    [
        (["random", "kmeans", "herding", "dm"], {"budget": {"ipc": [1, 10]}}),
        (["kip"], {"set": {"kip": {"kernel": "convpool3"}}}),
    ],
)
def test_first_runs_are_forecast_by_what_is_shipped(methods, more):
    """Presets that change make rates out of date: `python -m benchmarks.rates` renews them."""
    made = planned(methods=methods, profile="short", **more)
    seconds = foreseen(made, Scaled(shipped(), lambda: 0.03))
    assert [node.title for node, s in zip(made.nodes.values(), seconds, strict=True) if s is None] == []
