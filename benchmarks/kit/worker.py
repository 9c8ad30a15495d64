"""A side in a process of its own: it makes one step whenever it is asked.

`python -m benchmarks.kit.worker MODULE SIDE CASE` calls ``MODULE.SIDE(case, turns)``. Lines on stdout that begin with
``@@`` are answers, as JSON; whatever else is printed goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.kit.case import Case

ANSWER = "@@"


class Turns:
    """A worker's end of the pipe: :meth:`ready` once, then :meth:`wait` before and :meth:`told` after every step.

    Seconds are CPU seconds of a process of one thread, because others may use the machine; wall seconds of several
    threads, or of a GPU when it is done. Peak memory is the high-water mark above what was there when the side was
    ready, of the process or of the GPU's tensors.
    """

    def __init__(self, case: Case) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._cuda = case.device == "cuda"
        self._now = time.process_time if case.threads == 1 and not self._cuda else time.perf_counter
        self._level = 0.0
        self._began: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def ready(self) -> None:
        """All is prepared; the level of memory is the present one."""
        self._level = self._memory("memory_allocated", "VmRSS")
        self._say({"ready": True})

    def wait(self) -> None:
        """Until a step is asked for; the process ends where nobody asks any more."""
        if not sys.stdin.readline():
            os._exit(0)
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        else:
            reset_peak()
        self._began = self._read()

    def told(self) -> None:
        """Say what the step took."""
        seconds, kernel, all_cpu = (now - then for now, then in zip(self._read(), self._began, strict=True))
        peak = self._memory("max_memory_allocated", "VmHWM") - self._level
        self._say({"seconds": seconds, "kernel_s": kernel, "cpu_s": all_cpu, "peak_mb": peak})

    def serve(self, step: Callable[[], Any]) -> None:
        """Be ready, and make a step for every turn."""
        self.ready()
        while True:
            self.wait()
            step()
            self.told()

    def _read(self) -> tuple[float, float, float]:
        if self._cuda:
            import torch

            torch.cuda.synchronize()
        used = resource.getrusage(resource.RUSAGE_SELF)
        return self._now(), used.ru_stime, used.ru_stime + used.ru_utime

    def _memory(self, of_cuda: str, field: str) -> float:
        if self._cuda:
            import torch

            return float(getattr(torch.cuda, of_cuda)()) / 2**20
        return status_mb(field)

    def _say(self, answer: dict[str, Any]) -> None:
        print(ANSWER + json.dumps(answer), file=self._out, flush=True)


def status_mb(field: str) -> float:
    """A field of ``/proc/self/status`` [MB]; 0 where there is none."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":")), 0.0)


def reset_peak() -> None:
    """Forget the high-water mark so far, where the kernel allows it."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def main(module: str, side: str, case: Case) -> None:
    getattr(importlib.import_module(module), side)(case, Turns(case))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Case.load(sys.argv[3]))
