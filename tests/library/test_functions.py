"""ddbench from Python: the results of the command line, and nothing of the calling process is changed."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ddbench
from ddbench.core import process_state
from ddbench.core.durations import seconds_of
from ddbench.core.errors import DataError, DDBenchError, UsageError
from ddbench.library.frames import COLUMNS
from ddbench.publish.leaderboard import ordered
from ddbench.publish.text.render import render
from ddbench.results.tables.tables import tables_of
from ddbench.work.warm import warm_up
from tests.e2e.runs import ddbench as command

QUICK = {"profile": "smoke", "reference_limit": 0, "threads": 1, "seeds": 1, "protocols": ["hard-fixed"]}
HERE = {**QUICK, "isolate": "never"}
FLOATS = (torch.linspace(0, 0.9, 640).reshape(10, 1, 8, 8), torch.arange(10))
"""Pixels, or not: nobody says."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("library") / "runs"


@pytest.fixture(scope="module")
def results(folder):
    before, random = process_state.settings(), torch.get_rng_state()
    found = ddbench.run(["random", "dm"], ipc=1, out=folder, **QUICK)
    assert process_state.changed(before, imported=True) == []
    assert torch.equal(random, torch.get_rng_state())
    return found


def test_a_run_gives_what_the_command_prints(results, folder, capsys):
    words = ("--methods", "random,dm", "--ipc", "1", "--seeds", "1", "--protocols", "hard-fixed", "--out", str(folder))
    more = ("--profile", "smoke", "--reference-limit", "0s", "--threads", "1", "--format", "markdown")
    assert command("run", *words, *more) == 0
    assert capsys.readouterr().out == results.table()
    assert results.failures == ()


def test_nothing_is_printed_unless_asked_for(results, folder, capfd):
    again = ddbench.run(["random", "dm"], ipc=1, out=folder, **QUICK)
    assert capfd.readouterr() == ("", "")
    assert again.table() == results.table()


def test_a_frame_has_a_row_for_each_evaluation_and_the_columns_that_are_documented(results):
    frame = results.frame()
    assert list(frame.columns) == list(COLUMNS)
    assert sorted(frame.row) == ["dm", "full", "random"]
    dm = frame[frame.row == "dm"].iloc[0]
    assert (dm.dataset, dm.ipc, dm.repetition, dm.student, dm.status) == ("digits", 1, 0, 0, "ok")
    assert len(dm.per_class) == 10 and dm.top1 == pytest.approx(np.mean(dm.per_class), abs=2)
    assert frame[frame.row == "full"].iloc[0].status in ("ok", "skipped")  # another test may have measured it
    assert "full" in frame.groupby(["method", "budget"]).size(), "a reference has a budget, so that no group loses it"


def test_a_frame_has_the_costs_of_tables(results):
    table = pd.read_csv(io.StringIO(results.table("cost", "csv"))).set_index("row")
    frame = results.frame().set_index("row")
    assert len(frame) == len(table) == 3, "one repetition of each row, so that a cell's median is its own"
    for ours, theirs in {"condense_cpu_s": "condense_cpu_s", "peak_mb": "peak_mb", "set_bytes": "bytes"}.items():
        for row in frame.index:
            assert table[theirs][row] == pytest.approx(frame[ours][row], nan_ok=True), (ours, row)
    assert np.isnan(frame.condense_cpu_s["full"]) and frame.condense_cpu_s["dm"] > 0


def test_parameters_are_set_by_method(folder):
    found = ddbench.run("dm", ipc=1, out=folder, set={"dm": {"iterations": 2}}, **HERE)
    assert "dm (iterations=2)" in set(found.frame().row)


def test_a_folder_and_a_file_of_records_read_alike(results, folder, tmp_path):
    lines = [record.to_json(indent=None) for record in ddbench.read(folder).records]
    (tmp_path / "records.jsonl").write_text("\n".join(lines) + "\n")
    tables = [ddbench.read(place).frame()[["row", "top1"]] for place in (folder, tmp_path / "records.jsonl")]
    for table in tables:
        assert dict(table.dropna().values).items() >= dict(results.frame()[["row", "top1"]].dropna().values).items()
    assert len(ddbench.read(folder, tmp_path / "records.jsonl").records) == len(ddbench.read(folder).records)


@pytest.mark.parametrize("name", ["digits", "families-digits"])
def test_a_file_of_records_has_the_rows_of_its_page_in_their_order(name):
    path = Path(__file__).parents[2] / "leaderboards" / "records" / f"{name}.jsonl"
    found = ddbench.read(path)
    assert found.table() == render(tables_of(ordered(found.records[::-1])), "markdown")


def test_a_set_by_its_key_by_its_folder_and_by_its_file_is_one(results, folder):
    key = results.frame().query("row == 'dm'").set_key.item()
    place = next(folder.rglob(f"{key[:16]}*/condensed.safetensors"))
    found = [ddbench.load_set(key, out=folder), ddbench.load_set(place), ddbench.load_set(place.parent)]
    assert all(torch.equal(one.images, found[0].images) for one in found)
    with pytest.raises(UsageError, match="no result in"):
        ddbench.load_set("0123456789", out=folder)


@pytest.mark.parametrize("more", [{}, {"isolate": "never", "device": "cpu"}])
def test_an_evaluation_inside_a_training_loop_leaves_that_loop_as_it_was(results, folder, more):
    condensed = ddbench.load_set(results.frame().query("row == 'dm'").set_key.item(), out=folder)

    def loop(*, pause):
        torch.manual_seed(3)
        weights, drawn = torch.zeros(4, requires_grad=True), []
        for step in range(4):
            if pause and step == 2:
                scored = ddbench.evaluate(
                    {"mine": condensed, "raw": (condensed.images * 0 + 0.5, condensed.labels)},
                    dataset="digits", range="01", out=folder, **{**QUICK, **more},
                )  # fmt: skip
                assert sorted(scored.frame().row) == ["full", "mine", "random", "raw"]
            noise = torch.randn(4)
            (weights * noise).square().sum().backward()
            drawn.append(noise + weights.grad)
        return torch.stack(drawn)

    before = process_state.settings()
    assert torch.equal(loop(pause=False), loop(pause=True))
    assert process_state.changed(before, imported=True) == []


@contextlib.contextmanager
def _default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: _default_dtype(torch.float64),
    "float16": lambda: _default_dtype(torch.float16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "meta": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("isolate", ["plugins", "never"])
@pytest.mark.parametrize("state", STATES)
def test_the_state_of_the_calling_process_changes_no_result(results, tmp_path, state, isolate):
    raw = (torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(10))

    def scored(out):
        words = {"profile": "smoke", "seeds": 1, "protocols": ["hard-fixed"], "reference_limit": 0, "threads": 1}
        own = ddbench.evaluate(raw, dataset="digits", range="01", out=out, isolate=isolate, **words)
        made = ddbench.run(["dm", "kmeans"], ipc=1, out=out, isolate=isolate, preprocess="zca", **words)
        frame = pd.concat([own.frame(), made.frame()]).query("row != 'full'")
        assert set(frame.status) == {"ok"} and set(frame.row) == {"set", "random", "dm", "kmeans"}
        kept = ["row", "set_key", "key", "top1"]
        loaded = ddbench.load_set(frame.query("row == 'dm'").set_key.item(), out=out)
        return frame[kept].sort_values(kept).values.tolist(), loaded

    expected, first = scored(tmp_path / "plain")
    with STATES[state]():
        warm_up.cache_clear()
        found, second = scored(tmp_path / state)
        assert second.images.device.type == "cpu" and second.images.dtype == torch.float32
    assert found == expected
    assert torch.equal(first.images, second.images)


def test_calls_work_outside_the_main_thread(results, folder):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(ddbench.run(["random"], ipc=1, out=folder, executor="local", **HERE))
    )
    thread.start()
    thread.join()
    assert found[0].frame().query("row == 'random'").top1.item() == results.frame().query("row == 'random'").top1.item()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ddbench.run(ipc=1), "nothing to run"),
        (lambda: ddbench.run(["random"], ipc=1, fraction=0.1), "either"),
        (lambda: ddbench.run(["dmm"], ipc=1), "did you mean"),
        (lambda: ddbench.run(["random"]), r"pass ipc=\[1, 10\], or a suite with suite=… \(see help\(ddbench.run\)\)"),
        (
            lambda: ddbench.run(["random"], ipc="ten"),
            "^ddbench.run: budget.ipc.0: Input should be a valid integer, got 'ten'",
        ),
        (lambda: ddbench.run(["random"], ipc="1,ten"), "^ddbench.run: .*, got 'ten'"),
        (lambda: ddbench.run(["random"], fraction="half"), "^ddbench.run: .*, got 'half'"),
        (lambda: ddbench.run(["random"], ipc=1, seeds=[5]), "^ddbench.run: seeds.condense: "),
        (lambda: ddbench.run("random,dmm", ipc="1,10"), "unknown method 'dmm'"),
        (lambda: ddbench.run(["random"], ipc=0), "at least 1"),
        (lambda: ddbench.run(["random"], ipc=1, timeout="soon"), "not a duration"),
        (lambda: ddbench.run(["random"], ipc=1, progress="loud"), "progress="),
        (lambda: ddbench.run(["random"], ipc=1, executor="local", jobs=2), "one node at a time"),
        (lambda: ddbench.run(["random"], ipc=1, executor="slurm"), "executor"),
        (lambda: ddbench.run(["random"], ipc=1, isolate="sometimes"), "isolate"),
        (lambda: ddbench.run(["random"], ipc=1, engine="fast"), "engine"),
        (lambda: ddbench.run(["random"], ipc=1, jobs=0), "jobs"),
        (lambda: ddbench.run(["random"], ipc=1, threads=-1), "threads"),
        (lambda: ddbench.run(["random"], ipc=1, timeout=0), "timeout"),
        (lambda: ddbench.run(["random"], ipc=1, seeds=0), "seeds"),
        (lambda: ddbench.run(["random"], ipc=1, eval_seeds=0), "seeds"),
        (lambda: ddbench.read("/nowhere"), "no such results folder"),
        (lambda: ddbench.load_set("zzzz", out="/nowhere"), "^/nowhere: no such results folder$"),
        (lambda: ddbench.evaluate({}, dataset="digits"), "nothing to evaluate"),
        (lambda: ddbench.evaluate(3, dataset="digits"), "a set is a ddbench.CondensedSet"),
        (
            lambda: ddbench.evaluate(FLOATS, dataset="digits"),
            r"^set 'set': float images .* with range='01', range='255', or",
        ),
        (lambda: ddbench.evaluate({"mine": FLOATS}, dataset="digits", range="255"), r"^set 'mine': "),
        (lambda: ddbench.evaluate(FLOATS, dataset="digits", range="0-1"), "range is one of '01', '255', 'normalised'"),
        (lambda: ddbench.evaluate(FLOATS, dataset="digits", range=1), "^range='1': range is one of"),
        (lambda: ddbench.evaluate(FLOATS, dataset="digits", labels="onehot"), "labels is one of 'hard', 'probs'"),
        (lambda: ddbench.evaluate(FLOATS, dataset="digits", split="x"), "split is one of 'default', 'paper'"),
        (
            lambda: ddbench.run("dm", ipc=1, set={"dm.iterations": 5}),
            r"given by method, set=\{'dm': \{'iterations': 500\}\}",
        ),
        (lambda: ddbench.run("dm", ipc=1, set="dm.iterations=5"), "given by method"),
        (lambda: ddbench.run("dm", ipc=1, set=[("dm", "iterations", 5)]), "given by method"),
        (lambda: ddbench.evaluate("/nowhere.pt", dataset="digits"), "no such file"),
        (lambda: ddbench.Results([]).plot("pie"), "unknown plot"),
        (lambda: ddbench.Results([]).plot("ipc"), "nothing to plot"),
        (lambda: ddbench.Results([]).table("pie"), "pie"),
        (lambda: ddbench.Results([]).table(format="word"), "unknown format"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        call()
    assert not list(tmp_path.rglob("condense.json"))


COUNTS = {
    "ipc": "budget.ipc: ", "fraction": "budget.fraction: ", "seeds": "seeds.condense: ", "eval_seeds": "seeds.evaluate: ",
    "random_seeds": "seeds.random: ", "jobs": "jobs: ", "threads": "threads: ", "timeout": "timeout=",
    "reference_limit": "reference_limit=",
}  # fmt: skip
"""What messages call arguments that are numbers."""
NUMBERS = [
    (function, name)
    for function in (ddbench.run, ddbench.evaluate)
    for name, one in inspect.signature(function).parameters.items()
    if re.search(r"\b(int|float)\b", str(one.annotation))
]


@pytest.mark.parametrize(("function", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
def test_a_boolean_is_no_number_in_any_argument(function, name, tmp_path):
    what = {"sets": FLOATS, "dataset": "digits", "range": "01"}
    if function is ddbench.run:
        what = {"methods": ["random"]} | ({} if name == "fraction" else {"ipc": 1})
    for value in (True, [True], False) if name in ("ipc", "fraction") else (True, False):
        with pytest.raises(UsageError, match=f"{COUNTS[name]}(True|False) is (no number|not a duration)"):
            function(**what | {name: value}, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_texts_of_numbers_are_numbers_as_on_the_command_line(results, folder):
    texts = {"seeds": "1", "eval_seeds": "1", "jobs": "1", "threads": "1", "timeout": "300", "reference_limit": "0"}
    again = ddbench.run(["random"], ipc=["1"], out=folder, **{**QUICK, **texts})
    assert {record.key for record in again.records} <= {record.key for record in results.records}


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90), ("90", 90), ("1.5h", 5400), ("45m", 2700), ("2 ", 2), ("1d", 86400)]
)
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


def test_a_plot_has_axes_and_can_be_written(results, tmp_path):
    plot = results.plot("ipc")
    assert [axis.get_ylabel() for axis in plot.axes] == ["test accuracy [%]"]
    plot.save(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes() == plot._repr_png_()
    with pytest.raises(UsageError, match="ends in"):
        plot.save("plot.bmp")


def test_one_is_not_several(results):
    one = next(record for record in results.records if record.kind == "evaluation")
    assert repr(ddbench.Results([one])) == "<ddbench.Results: 1 evaluation in 1 table>"
    assert repr(ddbench.Results([])) == "<ddbench.Results: 0 evaluations in 0 tables>"


def test_text_of_others_is_text_in_html(results):
    from ddbench.library.results import _as_html

    found = _as_html("<b>", [["a"], ["**<i>** ²"], ["x**y"]], ["&"])
    assert (
        "<p>&lt;b&gt;</p>" in found and "<b>&lt;i&gt;</b> ²" in found and "<td>x**y</td>" in found and "&amp;" in found
    )
    assert results._repr_html_().count("<table>") == 1
    assert "<table>" in results.table(format="html")


def test_every_public_name_is_what_it_was_after_one_call_of_each(results, folder):
    assert set(ddbench.__all__) < set(dir(ddbench))
    names = {name: getattr(ddbench, name) for name in ddbench.__all__}
    modules = {module.name for module in pkgutil.iter_modules(ddbench.__path__)}
    assert not modules & set(ddbench.__all__), "a module of that name would take its place"
    for module in modules - {"__main__", "cli"}:
        importlib.import_module(f"ddbench.{module}")
    assert all(getattr(ddbench, name) is value for name, value in names.items())


def test_importing_changes_nothing_and_imports_nothing_heavy():
    code = """
import os, sys, signal, threading, warnings
import numpy  # has filters of its own
before = (dict(os.environ), list(sys.path), signal.getsignal(signal.SIGINT), threading.active_count(), list(warnings.filters))
import ddbench
ddbench.run, ddbench.Results
after = (dict(os.environ), list(sys.path), signal.getsignal(signal.SIGINT), threading.active_count(), list(warnings.filters))
assert before == after, (before, after)
print([name for name in ("torch", "pandas", "matplotlib", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_notebook_of_the_documents_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    place = Path(__file__).parents[2] / "docs" / "notebooks" / "first.ipynb"
    notebook = nbformat.read(place, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    (first, *_) = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "quick = {" in first.source
    first.source = first.source.replace(
        "quick = {", 'quick = {"protocols": ["hard-fixed"], "isolate": "never", "threads": 1, '
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = json.dumps([cell.get("outputs") for cell in notebook.cells])
    assert "<table>" in shown and "image/png" in shown


def test_a_set_is_shown_under_every_label_that_it_was_evaluated_under(tmp_path):
    how = {"dataset": "digits", "range": "01", "out": tmp_path / "runs", **QUICK}
    ddbench.evaluate({"A": FLOATS}, **how)
    found = ddbench.evaluate({"B": FLOATS}, **how | {"seeds": 2})
    shown = ddbench.read(tmp_path / "runs").frame()
    of_row = {row: sorted(shown[shown.row == row].top1) for row in ("A", "B")}
    assert of_row["B"] == sorted(found.frame().query("row == 'B'").top1)
    assert len(of_row["B"]) == 2
    assert len(of_row["A"]) == 1
    assert of_row["A"][0] in of_row["B"]


def test_numbers_of_real_images_are_no_images(results, folder, tmp_path):
    (key, *_) = results.frame().query("row == 'random'").set_key
    chosen = ddbench.load_set(key, out=folder)
    with pytest.raises(DataError, match=r"^set 'again': holds numbers of real images"):
        ddbench.evaluate({"again": chosen}, dataset="digits", out=tmp_path / "runs", **QUICK)


def test_a_label_of_one_folder_is_no_row_of_another(tmp_path):
    """References lie in the home, where all folders read them."""
    words = {**HERE, "reference_limit": 60, "ipc": 1}
    ddbench.run(["random"], out=tmp_path / "theirs", **words)
    before = ddbench.read(tmp_path / "theirs").table()
    ours = ddbench.run(["random", {"name": "full", "label": "everything"}], out=tmp_path / "ours", **words)
    assert "everything" in ours.table()
    assert ddbench.read(tmp_path / "theirs").table() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"device": "cuda:0,cuda:1"}, r"^device='cuda:0,cuda:1': no GPU"),
        ({"store": "x"}, "^store='x': store is one of 'shared', 'driver'"),
        ({"resources": ["cpus=2"]}, r"^resources=.* a mapping, \{'cpus': 4"),
        ({"executor": "slurm", "resources": {"cpus": True}}, r"^resources=\{'cpus': True\}: a number or a text"),
        ({"executor": "slurm", "resources": {"slurm_exclusive": False}}, "'slurm_exclusive': False"),
        ({"ipc": True}, "True is no number"),
    ],
)
def test_what_is_wrong_about_where_and_how_is_said_of_the_argument(tmp_path, words, said, monkeypatch):
    monkeypatch.setattr("ddbench.work.executors.devices.FILES", tmp_path)  # no GPU here
    with pytest.raises(UsageError, match=said):
        ddbench.run("random", **{"ipc": 1, **words}, out=tmp_path / "runs", **QUICK)
    assert not (tmp_path / "runs").exists()


def test_options_inside_messages_are_arguments():
    with pytest.raises(DataError, match=r"^set 'black': .*, or is their range another one \(range\)\?$"):
        ddbench.evaluate({"black": (torch.zeros(10, 1, 8, 8), torch.arange(10))}, dataset="digits", range="01", **QUICK)


@pytest.mark.parametrize("ipc", [np.int64(1), [np.int32(1)], np.asarray(1), torch.tensor(1)])
def test_numbers_of_numpy_are_numbers(results, folder, ipc):
    found = ddbench.run(["random", "dm"], ipc=ipc, out=folder, **QUICK).frame().query("row != 'full'")
    assert {*found.set_key} == {*results.frame().query("row != 'full'").set_key}


def test_a_file_of_a_newer_ddbench_is_named_as_by_the_command(tmp_path, new_home, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(new_home(tmp_path / "home")))
    (meta,) = (tmp_path / "home/data/digits").rglob("meta.json")
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"of_tomorrow": 1}))
    with pytest.raises(DDBenchError, match="newer"):
        ddbench.run("random", ipc=1, out=tmp_path / "runs", **QUICK)
