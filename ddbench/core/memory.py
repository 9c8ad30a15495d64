"""The memory of this machine, or of the container that this process runs in. No torch."""

from __future__ import annotations

import contextlib
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
GROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
CGROUP = Path("/sys/fs/cgroup")
"""Where a container or a batch job finds its own limit and use of memory; the files of both versions."""


def available_mb() -> float | None:
    """Memory that this machine, or this container, could still give to processes [MB]; None: nothing says."""
    found = _meminfo("MemAvailable:")
    for limit, use in GROUPS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", there is no limit
            found.append((int((CGROUP / limit).read_text()) - int((CGROUP / use).read_text())) / 2**20)
    return min(found, default=None)


def total_mb() -> float | None:
    """All the memory that this machine, or this container, has [MB]; None: nothing says."""
    found = _meminfo("MemTotal:")
    for limit, _ in GROUPS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int((CGROUP / limit).read_text()) / 2**20)
    return min(found, default=None)


def _meminfo(what: str) -> list[float]:
    with contextlib.suppress(OSError):
        return [int(line.split()[1]) / 1024 for line in MEMINFO.read_text().splitlines() if line.startswith(what)]
    return []


def in_words(mb: float) -> str:
    """``less than 1 MB``, ``320 MB``, ``12.3 GB``, ``181 GB``."""
    if mb < 1:
        return "less than 1 MB"
    value, unit = (mb, "MB") if mb < 1000 else (mb / 1024, "GB")
    return f"{value:.0f} {unit}" if value >= 99.5 else f"{value:.1f} {unit}"
