"""`ddbench tune`: a ledger of what was tried, resumable, and never on what is reported."""

from __future__ import annotations

import os
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import yaml

from ddbench.core.profiles import Profile
from ddbench.core.store.folder import Store
from ddbench.core.store.jsonl import read_records
from tests.e2e.runs import ddbench, start

FILE = {
    "datasets": [{"name": "digits", "view": {"train_size": 200}}], "archs": ["convnet2-w8"], "profile": "smoke",
    "budget": {"ipc": [1, 2]},
    "base": [
        {"methods": ["dm"], "params": {"iterations": 2, "batch_real": 8}},
        {"methods": ["mtt"], "params": {"iterations": 2, "syn_steps": 2, "experts": 1, "expert_epochs": 3, "max_start": 1,
                                        "expert_batch": 32}},
    ],
    "configurations": [
        {"methods": ["dm"], "try": [{"lr_img": 1.0}, {"lr_img": 3.0}]},
        {"methods": ["mtt"], "try": [{"lr_img": 30.0}, {"lr_img": 1e60}]},
    ],
}  # fmt: skip
HOW = ("--progress", "plain", "--threads", "1")


class Done:
    """A tuning run: its plan, a part of it, all of it, its page. What each told is kept: exit code, stdout, stderr."""

    def __init__(self, folder):
        (folder / "tune-digits.yaml").write_text(yaml.safe_dump(FILE))
        self.folder = folder
        self.plan = told("--dry-run")
        self.planned_nothing = not Path("runs").exists()
        self.part = told("--methods", "dm", "--ipc", "1")
        self.budgets_of_part = {r.document.cell.budget.ipc for r in records()}
        self.whole = told()
        self.page = told("--to", "boards/records/tune.jsonl", "--ledger", "boards/tune.md")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDBENCH_HOME", str(folder / "home"))
        patch.chdir(folder)
        # Students of a profile that pages show would take minutes: here they show smoke's.
        patch.setattr(Profile, "tabulated", property(lambda self: True))
        yield Done(folder)


def told(*arguments):
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = ddbench("tune", "tune-digits.yaml", "--out", "runs", *HOW, *arguments)
    return code, out.getvalue(), err.getvalue()


def tune(capsys, *arguments):
    code = ddbench("tune", "tune-digits.yaml", "--out", "runs", *HOW, *arguments)
    return code, *capsys.readouterr()


def records():
    return [record for _, record in Store(Path("runs")).records()]


def test_a_plan_runs_nothing(done):
    code, out, _ = done.plan
    assert code == 0
    assert "mtt (lr_img=30.0) ipc 2 r-1" in out
    assert done.planned_nothing


def test_a_part_leaves_an_incomplete_ledger(done):
    code, out, _ = done.part
    assert code == 0
    assert "**Incomplete**: 7 of 10 configurations" in out
    assert done.budgets_of_part == {1}


def test_the_rest_completes_it_and_a_failure_is_a_row(done):
    code, out, err = done.whole
    assert code == 1
    assert "Incomplete" not in out
    assert "Traceback" not in err
    assert any("mtt" in line and "1e+60" in line and ("nan" in line or "failed" in line) for line in out.split("\n"))
    assert "**lr_img=30.0**" in out


def test_no_record_is_of_a_test_image_or_of_a_reported_repetition(done):
    found = records()
    assert found
    for record in found:
        cell = record.document.cell
        assert cell.data.split == "tune"
        assert cell.r < 0
        if record.kind == "evaluation":
            assert record.evaluation.eval.r < 0
            assert record.n_test in (None, 1197 - 200)  # the training images that the view leaves out; test has 300
    pools = list((done.folder / "home/artifacts/experts").glob("*/artifact.json"))
    assert len(pools) == 2  # one for each repetition


def test_a_second_run_computes_nothing(done, capsys):
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.json")}
    _, out, err = tune(capsys)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.json")} == before
    assert "done in" not in err
    assert tune(capsys)[1] == out


def test_the_ledger_is_a_page_that_is_checked_and_loses_nothing(done, capsys):
    code, out, _ = done.page
    assert code == 0
    assert "boards/tune.md: rewritten" in out
    assert ddbench("leaderboard", "check", "boards/tune.md") == 0
    capsys.readouterr()
    assert tune(capsys, "--ledger", "boards/tune.md")[1] == "boards/tune.md: up to date\n"
    page = Path("boards/tune.md").read_text()
    assert "records=records/tune.jsonl file=../tune-digits.yaml" in page
    assert "on 997 training images that this view leaves out" in page
    written = read_records(Path("boards/records/tune.jsonl"))
    part = ("tune", "tune-digits.yaml", "--out", "elsewhere", *HOW, "--methods", "dm", "--ipc", "1")
    assert ddbench(*part) == 0  # a part, run on another machine, is added to what was tried
    assert ddbench(*part, "--to", "boards/records/tune.jsonl") == 0
    again = {record.key: record for record in read_records(Path("boards/records/tune.jsonl"))}
    assert again.keys() == {record.key for record in written}
    shorter = {**FILE, "configurations": [{**section, "try": section["try"][:1]} for section in FILE["configurations"]]}
    Path("shorter.yaml").write_text(yaml.safe_dump(shorter))
    for options in ((), ("--dry-run",), ("--preset", "dm"), ("--to", "new.jsonl"), ("--methods", "dm")):
        assert ddbench("tune", "shorter.yaml", "--out", "runs", *HOW, *options) == 2
        assert "does not name: a ledger counts all that was tried" in capsys.readouterr().err
    assert not Path("new.jsonl").exists()
    elsewhere = ("tune", "shorter.yaml", "--out", "part", *HOW)
    assert ddbench(*elsewhere, "--methods", "dm", "--ipc", "1") == 0
    assert ddbench(*elsewhere, "--to", "boards/records/tune.jsonl") == 2
    assert "a ledger counts all that was tried" in capsys.readouterr().err


def test_presets_are_printed(done, capsys):
    code, out, _ = tune(capsys, "--preset", "dm", "--ledger", "boards/tune.md")
    assert code == 0
    entries = yaml.safe_load(out[out.index("- for") :])
    assert [entry["for"]["ipc"] for entry in entries] == [1, 2]
    assert all(entry["source"].startswith("boards/tune.md: repetitions −1 and −2 had ") for entry in entries)
    assert all(entry["params"]["batch_real"] == 8 for entry in entries)


@pytest.mark.parametrize("what", [("--preset", "dm"), ("--to", "new.jsonl", "--ledger", "new.md")])
def test_what_a_profile_for_tests_tried_becomes_neither_a_page_nor_a_preset(done, capsys, monkeypatch, what):
    monkeypatch.setattr(Profile, "tabulated", property(lambda self: False))
    code, out, err = tune(capsys, *what)
    assert (code, out) == (2, "")
    assert "tune-digits.yaml: profile smoke is for tests; what was tried has no place in a leaderboard" in err
    assert not Path("new.md").exists()
    assert not Path("new.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "dsa"), "no configurations of 'dsa'"),
        (("--ipc", "50"), "does not tune ipc 50"),
        (("--preset", "dsa"), "does not tune 'dsa'"),
        (("--ledger", "other.md"), "with --to RECORDS.jsonl it is made"),
    ],
)
def test_what_is_not_there_is_refused(done, capsys, arguments, message):
    code, _, err = tune(capsys, *arguments)
    assert code == 2
    assert message in err


def test_a_file_that_is_not_there_is_no_suite(capsys):
    assert ddbench("tune", "tune-fm41") == 2
    assert (
        "no tuning file 'tune-fm41': neither a file nor a known name; did you mean tune-fm14?"
        in capsys.readouterr().err
    )


def test_a_killed_run_continues(tmp_path, own_home, capsys):
    base = [{"methods": ["dm"], "params": {"iterations": 60, "batch_real": 8}}]
    slow = {**FILE, "budget": {"ipc": [1]}, "base": base, "configurations": [{"methods": ["dm"], "try": [{}]}]}
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(slow))
    command = ("tune", tmp_path / "slow.yaml", "--out", tmp_path / "runs", *HOW)
    process = start(*command)
    limit = time.monotonic() + 120
    while not list((tmp_path / "runs").rglob("checkpoint.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert ddbench(*command) == 0
    assert "Incomplete" not in capsys.readouterr().out
    attempts = [record.cost.attempts for _, record in Store(tmp_path / "runs").records() if record.kind == "condense"]
    assert sorted(attempts) == [1, 1, 1, 2]
