"""The learning rate is chosen by a repetition that stands in no table: seen from the command line."""

from __future__ import annotations

import json
import shutil

import pytest

from ddbench.core.store.folder import Store
from ddbench.core.store.jsonl import read_records
from tests.e2e.runs import SMOKE, contents, ddbench, evaluations

WHAT = ("--methods", "random,dm", "--ipc", "1", "--seeds", "2", "--profile", "smoke", "--reference-limit", "0")
RUN = ("run", *WHAT, *SMOKE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of two processes."""
    out = tmp_path_factory.mktemp("choice") / "runs"
    assert ddbench(*RUN, "--jobs", "2", "--out", out) == 0
    return out


def chooser(out, label="dm"):
    """The evaluation that chose for a row."""
    found = [
        (path, record)
        for path, record in Store(out).records()
        if record.kind == "evaluation" and not record.document.reported and record.document.label == label
    ]
    ((path, record),) = [pair for pair in found if out in pair[0].parents]
    return path, record


def test_all_that_a_table_shows_reuses_what_one_unseen_student_chose(made, capsys):
    for label in ("random", "dm"):
        _, chose = chooser(made, label)
        assert chose.selection["tried"] == 2
        mine = [one for one in evaluations(made).values() if one["spec"]["label"] == label]
        assert len(mine) == 2
        assert {one["selection"]["lr"] for one in mine} == {chose.selection["lr"]}
        assert {one["selection"]["tried"] for one in mine} == {1}
    assert ddbench("results", "show", "--out", made, "--format", "json") == 0
    shown = capsys.readouterr().out
    rows = {row["method"]: row for table in json.loads(shown) for row in table["rows"]}
    assert {"random", "dm"} <= rows.keys()
    assert '"n": 2' in shown and '"n": 3' not in shown


def test_exports_and_pages_hold_what_tables_show(made, tmp_path, capsys):
    assert ddbench("results", "export", "--all", "--out", made, "--to", tmp_path / "all.jsonl") == 0
    assert ddbench("results", "export", *WHAT, "--out", made, "--to", tmp_path / "run.jsonl") == 0
    for name in ("all", "run"):
        records = read_records(tmp_path / f"{name}.jsonl")
        assert records and all(record.document.reported for record in records)


def test_the_unseen_student_is_verified_removed_and_made_again(made, tmp_path, capsys):
    out = shutil.copytree(made, tmp_path / "runs")
    path, record = chooser(out)
    assert ddbench("results", "verify", record.key[:16], "--out", out, "--same") == 0
    assert "dm ipc 1 r-1 · hard@2 convnet2-w32-in" in capsys.readouterr().out
    before = contents(out)
    assert ddbench("results", "rm", path.parents[1].name, "--out", out) == 0
    assert not path.exists()
    capsys.readouterr()
    assert ddbench(*RUN, "--out", out) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "· done" in line]
    assert len(told) == 2 and all("r-1" in line and "chooses the learning rate" in line for line in told)
    assert contents(out) == before


def test_where_nothing_could_be_chosen_the_row_says_whose_choice_is_missing(made, tmp_path, capsys):
    out = shutil.copytree(made, tmp_path / "runs")
    path, _ = chooser(out)
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps({**content, "status": "nan", "reason": "too large", "metrics": {}, "selection": None}))
    for other, record in evaluations(out).items():
        if record["spec"]["label"] == "dm":
            other.unlink()
    assert ddbench(*RUN, "--out", out) == 1
    told = capsys.readouterr()
    assert "nan at repetition -1, which chooses the learning rate: too large" in told.out
    assert "too large" in told.err
