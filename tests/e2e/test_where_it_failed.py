"""A plugin's author sees where their code failed: in the progress, the table, the record, the log and with -v."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.contract.test_member_kits import SOUND
from tests.e2e.runs import SMOKE, ddbench

pytest_plugins = ["ddbench.testing.fixtures"]

BASE = ("--ipc", "1", "--seeds", "2", "--reference-limit", "0s", *SMOKE)

METHOD = """
import os
from ddbench import MethodInfo, Params, Selection, Selector, hookimpl

class Fragile(Selector[Params]):
    def select(self, ctx):
        import torch
        with torch.no_grad():
            self.deep()
        return Selection(torch.cat([ctx.train.of_class(c)[:n] for c, n in enumerate(ctx.per_class)]))

    def deep(self):
        if os.path.exists(os.environ["FRAGILE"]):
            raise ValueError("boom")

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("fragile", "selection", "NAME:Fragile", "ddbench:Params", "for tests", axes=frozenset({"budget"})))
"""
LINE = METHOD[: METHOD.index('raise ValueError("boom")')].count("\n") + 1


def records(out: Path, pattern: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(out.rglob(pattern))]


@pytest.mark.parametrize(
    "where",
    [("--isolate", "never"), ("--isolate", "plugins"), ("--executor", "processes")],
    ids=["here", "beside", "processes"],
)
def test_wherever_a_node_runs(where, tmp_path, own_home, capfd, monkeypatch):
    monkeypatch.setenv("FRAGILE", str(tmp_path / "mark"))
    (tmp_path / "mark").touch()
    (tmp_path / "fragile_e2e.py").write_text(METHOD.replace("NAME", "fragile_e2e"))
    out = tmp_path / "runs"
    words = ("run", "--plugin", tmp_path / "fragile_e2e.py", "--methods", "fragile", *BASE, "--out", out)
    assert ddbench(*words, *where) == 1
    told = capfd.readouterr()
    reason = f"ValueError: boom (fragile_e2e.py:{LINE})"
    assert re.search(rf"fragile ipc 1 · failed in [\d.]+ s: {re.escape(reason)} · ", told.err), "and what is left"
    assert told.err.count("· failed: its set failed") == 3
    assert f"¹ failed: {reason}\n" in told.out
    (record,) = records(out, "fragile/**/condense.json")
    assert record["reason"] == reason
    (log,) = out.rglob("fragile/**/log.txt")
    closing = [line for line in told.err.splitlines() if line.startswith("ddbench: ")]
    assert f"ddbench: fragile ipc 1: {reason}; 3 evaluations wait for it" in closing
    assert f"ddbench:   traceback in {log} (-v shows it)" in closing
    assert told.err.count("boom") == 2 and "Traceback" not in told.err and "failed: failed" not in told.err

    assert ddbench(*words, *where, "-v") == 1
    told = capfd.readouterr()
    assert told.err.count("Traceback (most recent call last)") == 1
    assert 'raise ValueError("boom")' in told.err and f"ddbench:   traceback in {log}\n" in told.err

    (tmp_path / "mark").unlink()
    assert ddbench(*words, "--retry-failed") == 0
    assert not [*out.rglob("*.log"), *out.rglob("log.txt")], "it goes when the node succeeds"


def test_a_packaged_plugin_is_named_from_its_package_on(tmp_path, own_home, fake_distribution, monkeypatch):
    monkeypatch.setenv("FRAGILE", str(tmp_path))
    hook = METHOD[METHOD.index("@hookimpl") :].replace("NAME", "ddbench_fragile.parts.method")
    sources = {
        "__init__.py": f"from ddbench import MethodInfo, hookimpl\n\n{hook}",
        "parts/__init__.py": "",
        "parts/method.py": METHOD[: METHOD.index("@hookimpl")],
    }
    fake_distribution("ddbench-fragile", sources)
    words = (
        "--methods",
        "fragile",
        *BASE,
        "--protocols",
        "hard-fixed",
        "--isolate",
        "plugins",
        "--out",
        tmp_path / "runs",
    )
    assert ddbench("run", *words) == 1
    (record,) = records(tmp_path / "runs", "fragile/**/condense.json")
    assert record["reason"] == f"ValueError: boom (ddbench_fragile/parts/method.py:{LINE})"


ASKS = """
from ddbench import ArtifactSpec, MethodInfo, Selection, Selector

class AskingParams(Params):
    def artifacts(self, cell):
        return {"it": ArtifactSpec(kind="member", data=cell.data, params={})}

class Asking(Selector):
    def select(self, ctx):
        raise AssertionError("its artifact is not there")

@hookimpl
def ddbench_register_methods(registry):
    registry.add(MethodInfo("asking", "selection", "MODULE:Asking", "MODULE:AskingParams", "for tests"))
"""


def boom(source: str, before: str) -> tuple[str, int]:
    """A plugin that raises before a line, and the line."""
    lines = source.splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith(before))
    lines.insert(at, " " * (len(lines[at]) - len(lines[at].lstrip())) + "raise ValueError('boom')")
    return "\n".join(lines) + "\n", at + 1


def plugin(folder: Path, source: str) -> Path:
    path = folder / "hooks_e2e.py"
    path.write_text(source.replace("MODULE", "hooks_e2e"))
    return path


@pytest.mark.parametrize(
    ("noun", "before", "words", "log"),
    [
        ("protocol", "model.eval()", ("--methods", "random", "--protocols", "member"), "runs/**/eval/*.log"),
        ("architecture", "return Linear()", ("--methods", "random", "--eval-archs", "member"), "runs/**/eval/*.log"),
        ("artifact kind", "import numpy as np, torch", ("--methods", "asking"), "home/artifacts/member/*.log"),
    ],
)
def test_whatever_hook_it_is_of(noun, before, words, log, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    source = SOUND[noun] + (ASKS if noun == "artifact kind" else "")
    source, line = boom(source, before)
    arguments = ("run", "--plugin", plugin(tmp_path, source), *words, *BASE, "--out", tmp_path / "runs")
    assert ddbench(*arguments) == 1
    told = capsys.readouterr()
    reason = f"ValueError: boom (hooks_e2e.py:{line})"
    assert reason in told.out
    causes = [text for text in told.err.splitlines() if text.startswith("ddbench: ") and "boom" in text]
    assert len(causes) == 1 and reason in causes[0], told.err
    logs = sorted(tmp_path.glob(log))
    where = f"traceback {'of the first ' if len(logs) > 1 else ''}in {logs[0].parent}"
    assert logs and "Traceback" in logs[0].read_text() and where in told.err
    failed = [record for record in records(tmp_path / "runs", "*.json") if record.get("status") == "failed"]
    assert failed and all(str(tmp_path) not in record["reason"] for record in failed)
    if noun == "artifact kind":
        assert re.search(r"; \d+ cells and \d+ evaluations wait for it$", causes[0]), "said where it happened, once"


def test_a_reader_that_fails_is_named_before_anything_runs(tmp_path, fresh_home, capsys):
    source, line = boom(SOUND["data set"], "import numpy as np")
    words = ("--datasets", "member", "--methods", "random", *BASE, "--out", tmp_path / "runs")
    assert ddbench("run", "--plugin", plugin(tmp_path, source), *words) == 2
    assert f"cannot be read: ValueError: boom (hooks_e2e.py:{line})" in capsys.readouterr().err


def test_a_file_that_cannot_be_loaded_says_where(tmp_path, capsys):
    path = plugin(tmp_path, "from ddbench import hookimpl\n\ndef broken():\n    raise ValueError('boom')\n\nbroken()\n")
    assert ddbench("list", "methods", "--plugin", path) == 2
    assert "ValueError: boom (hooks_e2e.py:4)" in capsys.readouterr().err


def test_check_shows_the_traceback_once(tmp_path, fresh_home, capsys, monkeypatch):
    monkeypatch.setenv("FRAGILE", str(tmp_path))
    path = tmp_path / "fragile_e2e.py"
    path.write_text(METHOD.replace("NAME", "fragile_e2e"))
    assert ddbench("plugin", "check", path) == 1
    told = capsys.readouterr()
    assert f"✗ sets_are_accepted: ValueError: boom (fragile_e2e.py:{LINE})\n" in told.out
    assert "for the same reason as sets_are_accepted" in told.out
    assert told.err.count("Traceback (most recent call last)") == 1 and "in deep" in told.err


def test_check_shows_that_of_an_artifact_that_a_method_needs(tmp_path, fresh_home, capsys):
    source, line = boom(SOUND["artifact kind"] + ASKS, "import numpy as np, torch")
    assert ddbench("plugin", "check", plugin(tmp_path, source)) == 1
    told = capsys.readouterr()
    assert f"artifact member: ValueError: boom (hooks_e2e.py:{line})" in told.out
    assert "in build" in told.err and "ValueError: boom" in told.err


def test_an_evaluations_log_goes_with_its_record(tmp_path, fresh_home, capsys):
    source, _ = boom(SOUND["protocol"], "model.eval()")
    words = ("--methods", "random", "--protocols", "member", *BASE, "--out", tmp_path / "runs")
    assert ddbench("run", "--plugin", plugin(tmp_path, source), *words) == 1
    (log, *_) = sorted((tmp_path / "runs").rglob("eval/*.log"))
    assert ddbench("results", "rm", log.stem, "--out", tmp_path / "runs") == 0
    assert not log.exists() and not log.with_suffix(".json").exists()
