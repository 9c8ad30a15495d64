"""On a system without what only Linux or Unix has, the same commands run; tried by hiding it from whole processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HIDE = '''
"""Python imports this file first, in helper processes as well."""
import importlib.abc, io, os, sys

for name in ("process_cpu_count", "sched_getaffinity", "sched_setaffinity", "getloadavg", "getpgid", "killpg", "setsid"):
    if hasattr(os, name):
        delattr(os, name)

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())

real_open = io.open

def no_proc(file, *args, **options):
    if isinstance(file, (str, bytes, os.PathLike)) and os.fsdecode(file).startswith("/proc/"):
        raise FileNotFoundError(2, "No such file or directory", file)
    return real_open(file, *args, **options)

import builtins
io.open = builtins.open = no_proc

real_fsync = os.fsync

def fsync(file):  # Windows flushes files that are open for writing, and no folders
    os.truncate(file, os.fstat(file).st_size)
    real_fsync(file)

os.fsync = fsync
'''

PROBE = """
import os, pathlib
assert not hasattr(os, "sched_getaffinity") and not hasattr(os, "getloadavg")
try:
    pathlib.Path("/proc/self/status").read_text()
except OSError:
    pass
else:
    raise AssertionError("/proc is still there")
for name in ("fcntl", "resource"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise AssertionError(name)
"""


CALLS = f"""{PROBE}
import contextlib, io, json, sys
from ddbench.cli import invoke
told = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        code = invoke(words)
    told.append([code, shown.getvalue()])
print(json.dumps(told))
"""
GRID = (
    "run",
    "--methods",
    "random",
    "--ipc",
    "1",
    "--profile",
    "smoke",
    "--protocols",
    "hard-fixed",
    "--reference-limit",
    "0s",
)


@pytest.fixture
def elsewhere(tmp_path, new_home):
    """The exit codes and tables of commands in one process from which, and from whose own ones, the attributes are hidden."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide/sitecustomize.py").write_text(HIDE)
    path = os.pathsep.join([str(tmp_path / "hide"), str(ROOT), str(ROOT / "plugins")])
    environment = os.environ | {"PYTHONPATH": path, "DDBENCH_HOME": str(new_home(tmp_path / "home"))}

    def run(*commands):
        done = subprocess.run(
            [sys.executable, "-c", CALLS, json.dumps(commands)], cwd=tmp_path, env=environment, capture_output=True,
            text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [code for code, _ in told] == [0] * len(commands), done.stderr
        return [shown for _, shown in told]

    return run


def costs(folder):
    return [json.loads(path.read_text())["cost"] for path in folder.rglob("condense.json")]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_needs_nothing_that_only_linux_has_and_shows_no_memory_that_was_not_measured(elsewhere, tmp_path, jobs):
    grid = [*GRID, "--seeds", "2", "--jobs", jobs]
    first, again, table = elsewhere(grid, grid, [*grid, "--format", "csv"])
    assert "| random" in first and again == first
    found = {(cost["peak_mb"], cost["peak_from"], cost["contended"]) for cost in costs(tmp_path / "runs")}
    assert found == {(0.0, "", False)}
    header, *lines = [line.split(",") for line in table.splitlines() if line]
    peaks = [line[header.index("peak_mb")] for line in lines]
    assert peaks and set(peaks) == {""}
