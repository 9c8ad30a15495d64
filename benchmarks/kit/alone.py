"""Commands of ddbench, timed from outside: seconds of the process with its children, and its peak. No torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.kit.places import environment
from benchmarks.kit.row import Line


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took: wall and CPU seconds, the share of the kernel, the peak of its largest process [MB]."""

    wall_s: float
    cpu_s: float
    kernel_share: float
    peak_mb: float


def spent(arguments: Sequence[str], cwd: Path, **changed: str) -> Spent:
    """Run `ddbench ARGUMENTS`.

    Raises:
        RuntimeError: If it fails; says what it wrote last.
    """
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "ddbench", *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=said,
            env=environment(**changed),
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"ddbench {' '.join(arguments)}: {' '.join(last) or process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    return Spent(wall, cpu, used.ru_stime / cpu if cpu else 0.0, used.ru_maxrss / 1024)


def line_of(found: Sequence[Spent], seconds: str) -> Line:
    """A line with one side; ``seconds`` says which ones count: ``wall_s`` or ``cpu_s``."""
    values = [getattr(one, seconds) for one in found]
    middle, peak = median(values), max(one.peak_mb for one in found)
    side: Mapping[str, Any] = {
        "seconds": round(middle, 4), "spread": round((max(values) - min(values)) / middle, 4), "repeats": len(found),
        "kernel_share": round(median(one.kernel_share for one in found), 4), "peak_mb": round(peak, 1),
    }  # fmt: skip
    return {"sides": {"ours": side}, "numbers": {"seconds": middle, "peak_mb": peak}, "clock": seconds}
