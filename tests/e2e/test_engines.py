"""The engine: named in records, one for all repetitions of a cell, told where a table mixes them, never a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ddbench.models.fused.library import missing
from tests.e2e.runs import SMOKE, ddbench

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no library: {missing()}")
WHAT = ("run", "--methods", "dm", "--ipc", "1", "--eval-seeds", "1", *SMOKE)


def engines(out):
    """(method, repetition) → engines of its records."""
    found = {}
    for path in [*out.rglob("condense.json"), *out.rglob("eval/*.json")]:
        record = json.loads(path.read_bytes())
        cell = record["spec"].get("set", record["spec"])["cell"]
        found.setdefault((cell["method"], cell["r"]), set()).add(record["env"]["engine"])
    return found


def test_repetitions_that_are_added_compute_as_the_first_ones_did(tmp_path, capsys):
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "eager", "--out", tmp_path) == 0
    assert set().union(*engines(tmp_path).values()) == {"eager"}
    capsys.readouterr()
    assert ddbench(*WHAT, "--seeds", "2", "--methods", "kmeans", "--dry-run", "--out", tmp_path) == 0
    assert "by engine fused (3 cells go on by eager)" in capsys.readouterr().err
    assert ddbench(*WHAT, "--seeds", "2", "--methods", "kmeans", "--out", tmp_path) == 0
    found = engines(tmp_path)
    assert found["dm", 1] == found["random", 1] == {"eager"}
    assert found["kmeans", 0] == found["kmeans", 1] == {"fused"}
    said = capsys.readouterr().out
    assert "computed by several engines, which round differently: eager: " in said
    assert "; fused: kmeans" in said


def test_what_is_asked_for_counts_and_a_row_of_two_engines_says_so(tmp_path, capsys):
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "eager", "--out", tmp_path) == 0
    assert ddbench(*WHAT, "--seeds", "2", "--engine", "fused", "--out", tmp_path) == 0
    assert engines(tmp_path)["dm", 1] == {"fused"}
    said = capsys.readouterr().out
    assert "eager and fused: " in said
    assert "dm" in said.split("eager and fused: ")[1].split("\n")[0]


def test_one_engine_is_not_worth_a_word_and_both_agree(tmp_path, capsys, monkeypatch):
    told = {}
    for engine in ("eager", "fused"):
        monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / f"home of {engine}"))  # `full` is of one engine, too
        assert ddbench(*WHAT, "--seeds", "1", "--engine", engine, "--out", tmp_path / engine) == 0
        told[engine] = capsys.readouterr().out
        assert "engine" not in told[engine]
    import torch
    from safetensors.torch import load_file

    sets = [load_file(next((tmp_path / engine).glob("digits/dm/*/*/condensed.safetensors"))) for engine in told]
    torch.testing.assert_close(sets[0]["images"], sets[1]["images"], rtol=1e-3, atol=1e-4)


def test_without_a_compiler_a_run_says_one_line_and_runs(tmp_path):
    env = os.environ | {"CC": "no-such-compiler", "DDBENCH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "ddbench", *WHAT, "--seeds", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("there is no C compiler (no-such-compiler)") == 1
    assert set().union(*engines(tmp_path / "out").values()) == {"eager"}
    asked = subprocess.run([*command, "--engine", "fused"], env=env, capture_output=True, text=True)
    assert asked.returncode == 0, "nothing is left to do"
    again = [*command[:-1], str(tmp_path / "other"), "--engine", "fused"]
    asked = subprocess.run(again, env=env, capture_output=True, text=True)
    assert asked.returncode == 2
    assert asked.stderr == "ddbench: --engine fused: there is no C compiler (no-such-compiler)\n"
