"""The other end of the pipe: sides take turns, A B A B, and medians are kept. No torch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.kit.case import Case
from benchmarks.kit.places import ROOT, environment
from benchmarks.kit.worker import ANSWER

PATIENCE_S = 300.0
"""For one answer."""
LEAST_S, MOST = 5.0, 5
"""Quick sides take more turns: for so many wall seconds in all, but at most so many times as many."""


class SideError(Exception):
    """A side ended, or did not answer."""


class Worker:
    """A side in a process of its own.

    Args:
        module: Where it is defined.
        side: Name of its function.
        case: What it works on.
    """

    def __init__(self, module: str, side: str, case: Case) -> None:
        self.side = side
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if case.device == "cpu" else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kit.worker", module, side, case.dump()], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env=environment(OMP_NUM_THREADS=str(case.threads), **hidden),
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            SideError: If the side ended, or does not answer for :data:`PATIENCE_S`; says what it wrote last.
        """
        assert self._process.stdout is not None
        impatient = threading.Timer(PATIENCE_S, self._process.kill)
        impatient.start()
        try:
            for line in self._process.stdout:
                if line.startswith(ANSWER):
                    found: dict[str, Any] = json.loads(line[len(ANSWER) :])
                    return found
        finally:
            impatient.cancel()
        self._errors.seek(0)
        last = [line.strip() for line in self._errors.read().splitlines() if line.strip()][-1:]
        raise SideError(f"{self.side}: {' '.join(last) or f'no answer in {PATIENCE_S:.0f} s'}")

    def step(self) -> dict[str, Any]:
        """Ask for one step."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says why
        return self.answer()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()


@dataclass(frozen=True, slots=True)
class Taken:
    """What a side's steps took.

    Attributes:
        seconds: Median.
        spread: (max − min) / median.
        kernel_share: Of its CPU seconds, those in the kernel; None on a GPU.
        peak_mb: The largest peak.
        first_s: The first step, which is not counted.
        repeats: Steps that are.
    """

    seconds: float
    spread: float
    kernel_share: float | None
    peak_mb: float
    first_s: float
    repeats: int

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {name: round(v, 5) if isinstance(v, float) else v for name, v in asdict(self).items()}


def interleave(
    workers: Mapping[str, Worker], repeats: int, box_s: float, *, cuda: bool = False
) -> tuple[dict[str, Taken], dict[str, str]]:
    """Let sides take turns; one that fails is left out from then on.

    Args:
        workers: By name.
        repeats: Turns of each, after one that warms up; more of quick ones, unless it is 1.
        box_s: Wall seconds after which no further turn begins; one is always made.
        cuda: Whether the work is done on a GPU.

    Returns:
        What sides took, and why others failed.
    """
    failed: dict[str, str] = {}

    def ask(name: str, question: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            return [] if name in failed else [question()]
        except SideError as error:
            failed[name] = str(error)
            return []

    for name, worker in workers.items():
        ask(name, worker.answer)
    began = time.monotonic()
    first = {name: ask(name, worker.step) for name, worker in workers.items()}
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for turn in range(repeats if repeats == 1 else MOST * repeats):
        so_far = time.monotonic() - began
        if len(failed) == len(workers) or (turn and so_far > (box_s if turn < repeats else min(box_s, LEAST_S))):
            break
        for name, worker in workers.items():
            taken[name] += ask(name, worker.step)
    whole = {name: steps for name, steps in taken.items() if name not in failed}
    return {name: _medians(steps, first[name][0]["seconds"], cuda=cuda) for name, steps in whole.items()}, failed


def _medians(steps: list[dict[str, Any]], first_s: float, *, cuda: bool) -> Taken:
    seconds = [step["seconds"] for step in steps]
    middle = median(seconds)
    cpu = sum(step["cpu_s"] for step in steps)
    return Taken(
        middle, (max(seconds) - min(seconds)) / middle if middle else 0.0,
        None if cuda or not cpu else sum(step["kernel_s"] for step in steps) / cpu,
        max(step["peak_mb"] for step in steps), first_s, len(steps),
    )  # fmt: skip
