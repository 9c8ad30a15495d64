"""Whether a node's memory fits beside what runs; numbers in, an answer out. No torch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
GROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
CGROUP = Path("/sys/fs/cgroup")
"""Where a container or a batch job finds its own limit and use of memory; the files of both versions."""
SPARE = 0.9
"""Share of free memory that forecasts may fill: they leave out what processes hold before their first node."""


def available_mb() -> float | None:
    """Memory that this machine, or this container, could still give to processes [MB]; None: nothing says."""
    found = []
    with contextlib.suppress(OSError):
        lines = MEMINFO.read_text().splitlines()
        found += [int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:")]
    for limit, use in GROUPS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", there is no limit
            found.append((int((CGROUP / limit).read_text()) - int((CGROUP / use).read_text())) / 2**20)
    return min(found, default=None)


def fits(need: float, beside: Sequence[float], *, idle: float | None, now: float | None) -> bool:
    """Whether a node fits; with nothing beside it, always.

    What runs may have taken its memory already, or not yet. So there is at most what was free when nothing ran, and
    at most what is free now with all that the running nodes could have taken by now.

    Args:
        need: Peak of the node [MB].
        beside: Peaks of those that run [MB].
        idle: What was free when nothing ran [MB]; None: not known.
        now: What is free now [MB]; None: not known.
    """
    taken = sum(beside)
    bounds = [*([] if idle is None else [idle]), *([] if now is None else [now + taken])]
    return not beside or not bounds or need + taken <= SPARE * min(bounds)
