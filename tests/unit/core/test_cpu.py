"""Cores are counted on every system, and only the command line says how their threads wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ddbench.core.cpu import cores

ASKED = ("process_cpu_count", "sched_getaffinity", "cpu_count")
"""From the best answer to the poorest."""


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"process_cpu_count": 3, "sched_getaffinity": {0, 1}, "cpu_count": 8}, 3),
        ({"sched_getaffinity": {4, 6}, "cpu_count": 8}, 2),
        ({"cpu_count": 8}, 8),
        ({"process_cpu_count": None, "cpu_count": 8}, 1),
        ({"cpu_count": None}, 1),
    ],
)
def test_the_best_answer_of_the_system_counts_and_silence_is_one_core(monkeypatch, answers, expected):
    for name in ASKED:
        if name in answers:
            monkeypatch.setattr(os, name, lambda *_, found=answers[name]: found, raising=False)
        else:
            monkeypatch.delattr(os, name, raising=False)
    assert cores() == expected


def python(code: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_the_library_changes_nothing_in_the_environment():
    code = (
        "import os; before = dict(os.environ); import ddbench, ddbench.work.engine, ddbench.work.node, ddbench.cli.run;"
        "assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())"
    )
    python(code)


ENTRY = """
import os, sys
import ddbench.cli
assert "torch" not in sys.modules

def invoke(arguments):
    print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules)
    return 0

ddbench.cli.invoke = invoke
ddbench.cli.main([])
"""


def test_the_command_line_says_how_threads_wait_before_torch_comes_and_heeds_the_user():
    assert python(ENTRY) == "2000 False"
    assert python(ENTRY, GOMP_SPINCOUNT="7") == "7 False"
