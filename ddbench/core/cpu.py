"""The CPU cores of this process: how many it may use, and how threads on them wait for each other."""

from __future__ import annotations

import os


def cores() -> int:
    """CPU cores that this process may use: those of its affinity where the system keeps one, else all; at least 1."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13: heeds PYTHON_CPU_COUNT as well
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS, not on Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def wait_briefly() -> None:
    """Make OpenMP threads sleep soon while they wait, in this process and its children; call it before torch comes.

    Threads that wait for each other burn the core that the other one needs as soon as a second process runs: steps of
    small nets then took 10 to 100 times as long (two runs on two cores). Waits this short cost nothing on a quiet
    machine. A value that the user has set stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
