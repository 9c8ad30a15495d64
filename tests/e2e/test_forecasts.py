"""How long a command will take, as `plan` and `run` say it; stdout is one table whatever is shown meanwhile."""

from __future__ import annotations

import json

import pytest

from ddbench.library import progress
from tests.e2e.runs import SMOKE, ddbench

WORDS = (
    "--methods",
    "random,dm",
    "--ipc",
    "1",
    "--seeds",
    "1",
    "--set",
    "dm.iterations=2",
    "--engine",
    "eager",
    *SMOKE,
)


@pytest.fixture
def waiting(monkeypatch):
    """Of profile smoke nothing is known: as if one waited for `full` nevertheless."""
    monkeypatch.setattr(progress, "WORTH_S", 0.0)


def test_the_table_of_the_other_rows_goes_to_stderr_and_stdout_is_the_final_one(tmp_path, waiting, fresh_home, capsys):
    assert ddbench("run", *WORDS, "--out", tmp_path / "runs") == 0
    found = capsys.readouterr()
    early = found.err[found.err.index("all rows but `full`") : found.err.index("end of the table without `full`")]
    assert [line for line in early.splitlines() if line.startswith("| full ") and "not yet trained" in line]
    others = [line.split() for line in early.splitlines() if line.startswith(("| random", "| dm"))]
    final = [line.split() for line in found.out.splitlines()]
    assert len(others) == 2 and all(line in final for line in others), "the same numbers, in columns of another width"
    assert "not yet trained" not in found.out
    assert [line[:2] for line in final].count(["|", "full"]) == 1
    assert found.err.index("end of the table without `full`") < found.err.index("full r0 · hard@2")
    assert ddbench("run", *WORDS, "--out", tmp_path / "runs") == 0
    again = capsys.readouterr()
    assert again.out == found.out
    assert "ddbench: 0 of " in again.err and "all rows but" not in again.err


def test_a_run_says_first_how_many_nodes_there_are_and_of_how_many_nothing_is_known(tmp_path, fresh_home, capsys):
    assert ddbench("run", *WORDS, "--reference-limit", "0", "--out", tmp_path) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "ddbench: 9 of 9 nodes to run; of 9 nodes nothing is known; `full` is not measured"


def test_a_plan_sums_up_by_method_and_json_keeps_its_rows(tmp_path, fresh_home, capsys):
    assert ddbench("plan", *WORDS, "--out", tmp_path) == 0
    text = capsys.readouterr().out
    summary = [line.split() for line in text[text.index("\nmethod") :].splitlines()[3:]]
    assert [row[0] for row in summary] == ["full", "random", "dm"]
    assert ddbench("plan", *WORDS, "--out", tmp_path, "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert sum(int(row[1]) for row in summary) == sum(row["state"] == "run" for row in rows)
    assert {row["forecast_s"] for row in rows} == {None}


def test_what_one_results_folder_took_another_one_is_forecast_by(tmp_path, fresh_home, capsys):
    """Of profile short, because smoke teaches nothing."""
    words = ("--methods", "random", "--ipc", "1", "--seeds", "1", "--reference-limit", "0", "--protocols", "hard-fixed")
    more = ("--archs", "mlp-w4", "--progress", "plain", "--threads", "1", "--isolate", "never", "--jobs", "1")
    assert ddbench("run", *words, *more, "--out", tmp_path / "first") == 0
    assert "of 1 node nothing is known" in capsys.readouterr().err
    assert ddbench("plan", *words, *more, "--out", tmp_path / "second", "--format", "json") == 0
    found = capsys.readouterr()
    known = {row["node"]: row["forecast_s"] for row in json.loads(found.out) if not row["node"].startswith("full")}
    assert len(known) == 2 and None not in known.values()
    assert "nothing is known" not in found.err
