"""Two versions on one folder: what a newer ddbench left is told, and nobody removes it or writes over it."""

from __future__ import annotations

import json
import shutil

import pytest

from ddbench.core.errors import NewerRecordError
from ddbench.core.store import artifacts
from tests.e2e.runs import SMOKE, ddbench, folders

RUN = ("run", "--methods", "random,kmeans", "--ipc", 1, "--seeds", 2, "--reference-limit", "0s", *SMOKE)

PLAN = ("plan", "--methods", "random,kmeans", "--ipc", 1, "--seeds", 2, "--profile", "smoke")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "runs"
    assert ddbench(*RUN, "--out", folder) == 0
    return folder


@pytest.fixture
def out(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "runs")


def changed(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "plan.jsonl"}


@pytest.mark.parametrize("more", [{"schema": 3}, {"co2_g": 1.0}, {"key_format": 2}])
def test_commands_leave_newer_records_as_they_are_and_tell_them_in_one_line(out, more, tmp_path, capsys):
    (folder, _) = folders(out, "kmeans")
    for path in (folder / "condense.json", *(folder / "eval").glob("*.json")):
        changed(path, **more)
    before, key = contents(out), folder.name
    capsys.readouterr()
    for code, command in (
        (0, ("results", "show")), (0, ("results", "page", "--to", tmp_path / "p.html")),
        (0, ("results", "export", "--all", "--to", tmp_path / "all.jsonl")), (2, RUN), (2, PLAN),
        (2, (*RUN, "--retry-failed")), (2, ("results", "verify", key)), (2, ("results", "rm", key)),
        (2, ("show", key)), (2, ("export", key, "--to", "npz")),
    ):  # fmt: skip
        assert ddbench(*command, "--out", out) == code, command
        told = [line for line in capsys.readouterr().err.splitlines() if "newer than this ddbench" in line]
        assert told and len(told) <= 2 and "update ddbench" in told[0]
        assert contents(out) == before, command


def test_a_folder_of_newer_records_alone_says_so(out, capsys):
    for path in out.rglob("*.json"):
        if "schema" in json.loads(path.read_text()):
            changed(path, schema=2)
    capsys.readouterr()
    assert ddbench("results", "show", "--out", out) == 2
    assert "holds no evaluations that this ddbench can read" in capsys.readouterr().err


def test_a_set_is_not_removed_with_newer_evaluations(out, capsys):
    (folder, _) = folders(out, "kmeans")
    changed(next((folder / "eval").glob("*.json")), co2_g=1.0)
    before = contents(out)
    assert ddbench("results", "rm", folder.name, "--out", out) == 2
    assert "would be lost with it" in capsys.readouterr().err
    assert contents(out) == before


def test_a_file_of_newer_records_is_not_written_over(out, tmp_path, capsys):
    target = tmp_path / "all.jsonl"
    assert ddbench("results", "export", "--all", "--out", out, "--to", target) == 0
    lines = target.read_text().splitlines()
    target.write_text("\n".join([json.dumps(json.loads(lines[0]) | {"schema": 2}), *lines[1:]]) + "\n")
    before = target.read_bytes()
    assert ddbench("results", "export", "--all", "--out", out, "--to", target) == 2
    assert "all.jsonl:1: newer than this ddbench" in capsys.readouterr().err
    assert target.read_bytes() == before


def test_artifacts_of_a_newer_ddbench_are_not_built_again(fresh_home):
    folder = artifacts.folder_of("features", "ab" * 32)
    folder.mkdir(parents=True)
    (folder / artifacts.MANIFEST).write_text(json.dumps({"schema": 2, "parts": []}))
    with pytest.raises(NewerRecordError, match="schema 2"):
        artifacts.manifest("features", "ab" * 32)
    with pytest.warns(UserWarning, match="newer than this ddbench"):
        assert list(artifacts.stored()) == []
    assert [path.name for path in folder.iterdir()] == [artifacts.MANIFEST]
