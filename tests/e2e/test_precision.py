"""``--engine bf16``: experts and `full` are trained in bfloat16, nothing else is, and everybody says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddbench.core.errors import UsageError
from ddbench.core.store.files import home
from ddbench.work.engine import code_path
from tests.e2e.runs import SMOKE, ddbench


def _here():
    try:
        return code_path("bf16", "cpu") == "bf16"
    except UsageError:
        return False


pytestmark = pytest.mark.skipif(not _here(), reason="no compiler, or a processor without AVX512_BF16")
NET = "convnet2-w32-in"
WHAT = ("run", "--methods", "mtt", "--archs", NET, "--ipc", "1", "--seeds", "1", *SMOKE)


def records(out: Path):
    """(kind, method) → (engine, precision of the student, artifacts in bfloat16) of its records."""
    found: dict = {}
    for path in [*out.rglob("condense.json"), *out.rglob("eval/*.json"), *home().rglob("full/**/eval/*.json")]:
        record = json.loads(path.read_bytes())
        spec = record["spec"]
        made = spec.get("set", spec)
        told = record["env"].get("engine"), spec.get("eval", {}).get("precision", "fp32"), tuple(made.get("bf16", ()))
        found.setdefault((record["kind"], made["cell"]["method"]), set()).add(told)
    return found


def test_experts_and_full_alone_are_trained_so_and_records_and_tables_say_it(tmp_path, fresh_home, capsys):
    assert ddbench(*WHAT, "--engine", "bf16", "--out", tmp_path) == 0
    (manifest,) = home().glob("artifacts/experts/*/artifact.json")
    pool = json.loads(manifest.read_bytes())
    assert (pool["env"]["engine"], pool["spec"]["precision"]) == ("bf16", "bf16")
    found = records(tmp_path)
    assert found["evaluation", "full"] == {("bf16", "bf16", ())}
    assert found["condense", "mtt"] == found["evaluation", "mtt"] == {("fused", "fp32", ("experts",))}
    assert found["evaluation", "random"] == {("fused", "fp32", ())}
    said = capsys.readouterr().out
    assert "trained in bfloat16: full; experts of mtt\n" in said
    assert "several engines" not in said
    assert ddbench("artifacts", "list") == 0
    assert "optimiser sgd, bf16 " in capsys.readouterr().out

    assert ddbench(*WHAT, "--out", tmp_path) == 0  # nothing that float32 needs is there yet but random
    said = capsys.readouterr().out
    assert "bfloat16" not in said
    assert ddbench("results", "show", "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "full [precision=bf16]" in said
    assert "mtt [precision=bf16]" in said
    assert "mtt [precision=fp32]" in said


def test_a_run_in_bfloat16_is_cached_and_verified_in_bfloat16(tmp_path, fresh_home, capsys):
    assert ddbench(*WHAT, "--engine", "bf16", "--out", tmp_path / "out") == 0
    first = capsys.readouterr().out
    assert ddbench(*WHAT, "--engine", "bf16", "--out", tmp_path / "out") == 0
    again = capsys.readouterr()
    assert again.out == first
    assert "done in" not in again.err
    (evaluation, *_) = home().glob("artifacts/full/*/eval/*.json")
    key = json.loads(evaluation.read_bytes())["key"]
    assert ddbench("results", "verify", key[:16], "--out", tmp_path / "out") == 0
    assert f"full · hard@2 {NET} bf16" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_network_that_was_not_measured_is_refused_before_anything_runs(tmp_path, fresh_home, capsys, command):
    what = (command, "--methods", "mtt", "--archs", "convnet2-w8", "--ipc", "1", *SMOKE)
    assert ddbench(*what, "--engine", "bf16", "--out", tmp_path) == 2
    assert "precision bf16: " in capsys.readouterr().err


def test_a_tuning_file_is_tried_in_float32(tmp_path, capsys):
    assert ddbench("tune", "tune-none", "--engine", "bf16", "--out", tmp_path) == 2
    assert "--engine bf16: what is tuned is tried in float32" in capsys.readouterr().err
