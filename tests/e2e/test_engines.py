"""The engine: named in records, one for all repetitions of a cell, told where a table mixes them, never a crash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from ddbench.models.fused.library import missing
from tests.e2e.runs import SMOKE, ddbench

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no library: {missing()}")
FEW = ("--ipc", "1", "--eval-seeds", "1", "--protocols", "hard-fixed", "--reference-limit", "0s", *SMOKE)
WHAT = ("run", "--methods", "dm", *FEW)


def engines(out):
    """(method, repetition) → engines of its records."""
    found = {}
    for path in [*out.rglob("condense.json"), *out.rglob("eval/*.json")]:
        record = json.loads(path.read_bytes())
        cell = record["spec"].get("set", record["spec"])["cell"]
        used = found.setdefault((cell["method"], cell["r"]), set())
        used |= {record["env"]["engine"]} if "engine" in record["env"] else set()
    return found


def test_repetitions_that_are_added_compute_as_the_first_ones_did(tmp_path, fresh_home, capsys):
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "eager", "--out", tmp_path) == 0
    assert set().union(*engines(tmp_path).values()) == {"eager"}
    capsys.readouterr()
    assert ddbench(*WHAT, "--seeds", "2", "--methods", "kmeans", "--dry-run", "--out", tmp_path) == 0
    assert "by engine fused (3 cells go on by eager, which began them)" in capsys.readouterr().err
    assert ddbench(*WHAT, "--seeds", "2", "--methods", "kmeans", "--out", tmp_path) == 0
    found = engines(tmp_path)
    assert found["dm", 1] == found["random", 1] == {"eager"}
    assert found["kmeans", 0] == found["kmeans", 1] == {"fused"}
    said = capsys.readouterr().out
    assert "computed by several engines (shared artifacts count), which round differently: eager: " in said
    assert "; fused: kmeans" in said


def test_what_is_asked_for_counts_and_a_row_of_two_engines_says_so(tmp_path, capsys):
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "eager", "--out", tmp_path) == 0
    assert ddbench(*WHAT, "--seeds", "2", "--engine", "fused", "--out", tmp_path) == 0
    assert engines(tmp_path)["dm", 1] == {"fused"}
    said = capsys.readouterr().out
    assert "eager and fused: " in said
    assert "dm" in said.split("eager and fused: ")[1].split("\n")[0]


def sets(out, name="dm"):
    """Repetition → the engine of its set's record, of the longest run."""
    found = {}
    for path in out.rglob("condense.json"):
        record = json.loads(path.read_bytes())
        cell = record["spec"]["cell"]
        if cell["method"] == name:
            found.setdefault(cell["r"], []).append((cell["params"]["iterations"], record["env"]["engine"]))
    return {r: max(runs)[1] for r, runs in found.items()}


@pytest.mark.parametrize(("asked", "made"), [((), "eager"), (("--engine", "fused"), "fused")])
def test_a_longer_run_computes_as_the_shorter_ones_did_unless_another_engine_is_asked_for(tmp_path, asked, made):
    short, long = ("--set", "dm.iterations=2"), ("--set", "dm.iterations=4")
    assert ddbench(*WHAT, "--seeds", "1", *short, "--engine", "eager", "--out", tmp_path) == 0
    assert ddbench(*WHAT, "--seeds", "2", *long, *asked, "--out", tmp_path) == 0
    assert set(sets(tmp_path).values()) == {made}


def test_what_was_begun_by_another_engine_than_asked_for_begins_anew(tmp_path, capsys):
    from ddbench.core.store.folder import CHECKPOINT, SPEC

    assert ddbench(*WHAT, "--seeds", "1", "--engine", "eager", "--out", tmp_path) == 0
    folder = next(tmp_path.glob("digits/dm/*/*/condense.json")).parent
    begun = json.loads((folder / SPEC).read_bytes())
    assert begun["engine"]["engine"] == "eager"
    (folder / "final.safetensors").rename(folder / CHECKPOINT)  # as after a kill at the last step
    (folder / "condense.json").unlink()
    r = begun["document"]["cell"]["r"]
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "fused", "--out", tmp_path) == 0
    assert "it was begun by engine eager; starting over by fused" in capsys.readouterr().err
    assert sets(tmp_path)[r] == "fused"


def test_what_no_compiled_operation_touched_is_of_no_engine(tmp_path):
    assert ddbench(*WHAT, "--seeds", "1", "--engine", "fused", "--out", tmp_path) == 0
    selected = json.loads(next(tmp_path.glob("digits/random/*/*/condense.json")).read_bytes())
    assert "engine" not in selected["env"]
    trained = json.loads(next(tmp_path.glob("digits/random/*/*/eval/*.json")).read_bytes())
    assert (trained["env"]["engine"], len(trained["env"]["compiled"])) == ("fused", 33)


def test_experts_of_another_engine_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    mtt = ("run", "--methods", "mtt", "--seeds", "1", *FEW)
    assert ddbench(*mtt, "--engine", "eager", "--out", tmp_path / "one") == 0
    assert "several engines" not in capsys.readouterr().out
    assert ddbench(*mtt, "--engine", "fused", "--out", tmp_path / "other") == 0
    assert "eager and fused: mtt" in capsys.readouterr().out


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


CALLS = """
import json, sys
from ddbench.cli import invoke
for words in json.loads(sys.argv[1]):
    print(invoke(words), file=sys.stderr)
"""


def test_without_a_compiler_a_run_says_one_line_and_runs(tmp_path, new_home):
    """Asked of a new process, because a process tries once."""
    env = os.environ | {"CC": "no-such-compiler", "DDBENCH_HOME": str(new_home(tmp_path / "home"))}
    first = ["run", "--methods", "random", *FEW, "--seeds", "1", "--out", str(tmp_path / "out")]
    calls = [first, [*first, "--engine", "fused"], [*first[:-1], str(tmp_path / "other"), "--engine", "fused"]]
    done = subprocess.run([sys.executable, "-c", CALLS, json.dumps(calls)], env=env, capture_output=True, text=True)
    ran, nothing_left, refused = re.split(r"^(?:0|2)\n", done.stderr, flags=re.M)[:-1]
    assert re.findall(r"^\d\n", done.stderr, flags=re.M) == ["0\n", "0\n", "2\n"], done.stderr
    assert ran.count("there is no C compiler (no-such-compiler)") == 1
    assert set().union(*engines(tmp_path / "out").values()) == {"eager"}
    assert nothing_left.count("no C compiler") == 0
    assert refused == "ddbench: --engine fused: there is no C compiler (no-such-compiler)\n"
