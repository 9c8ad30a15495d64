"""What killed processes left goes when a run begins; what lives, and what others may be writing, stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from ddbench.core.store.claims import Watch, acquire
from ddbench.core.store.files import home, machine
from ddbench.core.store.leftovers import DAY_S, HOUR_S, sweep


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left(folder, name, age_s=0.0, content="half"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.mark.parametrize("shared", [False, True])
def test_temporary_files_of_dead_processes_go(tmp_path, fresh_home, dead, shared):
    folder = (home() / "artifacts" if shared else tmp_path / "r") / "digits" / "dm"
    gone = [
        left(folder, f".condense.json.{dead}.{machine()}deadbeef.tmp"),
        left(folder, f".condense.json.{dead}.deadbeef.tmp", HOUR_S + 60),
        left(folder / "eval", f".a.b.json.{dead}.{'0' * 8}deadbeef.tmp", DAY_S + 60),
        left(folder, f".x.{os.getpid()}.{machine()}deadbeef.tmp", DAY_S + 60),
    ]
    stays = [
        left(folder, f".condense.json.{os.getpid()}.{machine()}deadbeef.tmp"),
        left(folder, f".condense.json.{dead}.deadbeef.tmp2"),
        left(folder, f".condense.json.{dead}.00000000.tmp"),
        left(folder, f".condense.json.{dead}.{'0' * 8}deadbeef.tmp"),
        left(folder, "condense.json", 10 * DAY_S),
        left(folder, "notes.tmp", 10 * DAY_S),
    ]
    assert sweep(tmp_path / "r") == len(gone)
    assert not [path for path in gone if path.exists()]
    assert all(path.exists() for path in stays)


def test_claims_of_dead_processes_go_and_live_ones_stay(tmp_path, fresh_home, dead):
    folder = tmp_path / "r" / ".claims"
    mine = acquire(folder, "a" * 16, Watch())
    content = json.loads(mine.path.read_text())
    gone = left(folder, "b" * 16 + ".3", content=json.dumps(content | {"pid": dead}))
    before = left(folder, "b" * 16 + ".2", content=json.dumps(content))
    old = left(folder, "c" * 16 + ".0", DAY_S + 60, json.dumps(content | {"host": "elsewhere"}))
    young = left(folder, "d" * 16 + ".0", 60, json.dumps(content | {"host": "elsewhere"}))
    half = left(folder, "." + "d" * 16 + ".0." + "e" * 32, HOUR_S + 60)
    assert sweep(tmp_path / "r") == 4
    assert not any(path.exists() for path in (gone, before, old, half))
    assert mine.path.exists() and young.exists()
