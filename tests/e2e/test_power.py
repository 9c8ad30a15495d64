"""What a power failure leaves: files that were not waited for may be cut short, and no record that can be read names one."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from ddbench.core.store.folder import CONDENSE, Store, read_record
from ddbench.work import attempt
from ddbench.work.evaluate.predictions import read_predictions
from tests.e2e.runs import SMOKE, contents, ddbench

RUN = ("run", "--methods", "random,dm", "--ipc", "1", "--seeds", "2", "--reference-limit", "0s", *SMOKE)
SAFE = {"condensed.safetensors", "snapshots", "final.safetensors", "eval"}
"""Files of numbers, and folders of such."""


@pytest.fixture
def flushed(monkeypatch, tmp_path):
    """Inodes below ``tmp_path`` that the disk was waited for."""
    real, seen = os.fsync, []

    def fsync(descriptor):
        if str(tmp_path) in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            seen.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def unsafe(out, flushed):
    """The files that a power failure may cut short."""
    return [path for path in out.rglob("*") if path.is_file() and path.stat().st_ino not in flushed]


def name(path):
    return path.parent.name if path.parent.name in SAFE else path.name


def test_a_node_waits_once_for_each_file_of_numbers_and_for_nothing_else(tmp_path, flushed):
    assert ddbench(*RUN, "--out", tmp_path) == 0
    waited = {path: flushed.count(path.stat().st_ino) for path in tmp_path.rglob("*") if path.is_file()}
    once = {path for path, times in waited.items() if times == 1}
    assert set(waited.values()) == {0, 1}
    assert once == {path for path in waited if path.suffix == ".safetensors"}
    random = [path for path in once if "random" in path.parts]
    assert Counter(map(name, random)) == {"condensed.safetensors": 3, "eval": 3}, "a node of real images waits once"
    assert len(flushed) == len(once)


def test_a_record_that_survives_names_whole_files(tmp_path, flushed):
    assert ddbench(*RUN, "--out", tmp_path) == 0
    records = {path for path in tmp_path.rglob("*.json") if path.name == CONDENSE or path.parent.name == "eval"}
    for path in set(unsafe(tmp_path, flushed)) - records:
        path.write_bytes(b"")
    assert len(records) == 12
    for path in records:
        record = read_record(path)
        if record.kind == "condense":
            Store(tmp_path).load_set(path.parent, keep=True)
        else:
            assert len(read_predictions(path.with_suffix(".safetensors"), record.n_test)) == record.n_test


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_what_a_power_failure_cut_short_is_made_again_and_is_the_same(tmp_path, flushed, left):
    assert ddbench(*RUN, "--out", tmp_path) == 0
    whole = contents(tmp_path)
    for path in unsafe(tmp_path, flushed):
        content = path.read_bytes()
        path.write_bytes(content[: int(left * len(content))])
    assert ddbench(*RUN, "--out", tmp_path) == 0
    assert contents(tmp_path) == whole


def test_the_record_of_a_long_node_is_waited_for_before_its_checkpoint_goes(tmp_path, flushed, monkeypatch):
    monkeypatch.setattr(attempt, "CHECKPOINT_S", 0.0)
    assert ddbench(*RUN, "--out", tmp_path) == 0
    records = [
        path for path in tmp_path.rglob("*.json") if "spec" in json.loads(path.read_text()) and path.name != "spec.json"
    ]
    assert len(records) == 12
    assert not set(records) & set(unsafe(tmp_path, flushed))
