"""Peak memory of BPTT's step over the length of a student's training: `python -m benchmarks.bptt_memory`.

*again*: steps are made again on the way back, and nothing is kept but parameters; *tapes*: as ddbench runs, with what
fits into :data:`ddbench.blocks.unroll.TAPES` kept; *all graphs*: by autograd. Each step is made in a process forked for
it, so that no peak stands on what an earlier step left.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from functools import cache, partial
from typing import Any

from benchmarks.kit import data
from benchmarks.kit.case import Case
from benchmarks.kit.places import ROOT, environment
from benchmarks.kit.row import Goal, Line, Options, Row
from benchmarks.kit.run import chosen, lines, options, parser
from benchmarks.kit.worker import reset_peak, status_mb

STEPS = (1, 10, 30, 80)
MODES: dict[str, dict[str, Any]] = {"again": {"keep_bytes": 0}, "tapes": {}, "all graphs": {"gradients": "unrolled"}}
"""What :func:`ddbench.blocks.unroll.through` is told besides."""
MOST_KEPT = 30
"""All graphs of more steps would take gigabytes."""
GOALS = {30: (Goal("memory_growth", 1.2, "≤"),)}
"""30 updates in the memory of one, and parameters."""


def peak(row: Row, how: Options) -> Line:
    """The peak of a step that keeps nothing, beside that of all graphs, and over that of a step of N = 1."""
    found, steps = steps_taken(row.case.dump()), str(row.case.steps)
    sides = {name: found[mode][steps] for name, mode in (("ours", "again"), ("kept", "all graphs"))
             if steps in found[mode]}  # fmt: skip
    base = {"spread": 0.0, "repeats": 1, "kernel_share": None}
    ours, one, tapes = sides["ours"]["peak_mb"], found["again"]["1"]["peak_mb"], found["tapes"][steps]["peak_mb"]
    numbers = {"peak_mb": ours, "memory_growth": ours / one, "tapes_mb": tapes}
    line: Line = {"sides": {name: base | side for name, side in sides.items()}, "numbers": numbers}
    return line | {"data": data.kind(row.case)} | ({"against": "kept"} if "kept" in sides else {})


ROWS = [
    Row(
        f"bptt-memory N={steps}",
        f"BPTT, one outer step, N = {steps} (all graphs: kept), memory over that at N = 1, ipc 10, width 32",
        Case("bptt", ipc=10, steps=steps), "", GOALS.get(steps, ()), sides=("ours", "kept"), measure=peak,
    )
    for steps in STEPS
]  # fmt: skip


def steps_taken(case: str) -> dict[str, dict[str, dict[str, float]]]:
    """Mode → N → seconds and peak of a step, in a process of its own for all of them; asked once."""
    fields = json.loads(case)
    return _steps_taken(json.dumps({**fields, "steps": 1}))


@cache
def _steps_taken(case: str) -> dict[str, dict[str, dict[str, float]]]:
    data.archive(Case.load(case))
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.bptt_memory", "--case", case], cwd=ROOT, text=True, check=True,
        stdout=subprocess.PIPE, env=environment(OMP_NUM_THREADS="1"),
    )  # fmt: skip
    found: dict[str, dict[str, dict[str, float]]] = json.loads(run.stdout.splitlines()[-1])
    return found


class Asked:
    """Stands for the worker's pipe: makes one step in each mode, and says what all took."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def serve(self, step: Any) -> None:
        """Make the step."""
        level = status_mb("VmRSS")
        reset_peak()
        began = time.process_time()
        step()
        self.found = {"seconds": time.process_time() - began, "peak_mb": status_mb("VmHWM") - level}


def child(case: Case, steps: int, how: dict[str, Any], pipe: Any) -> None:
    """A step of the plugin, in a fork."""
    from benchmarks.kit import ours
    from ddbench.blocks import bptt, unroll

    bptt.through = partial(unroll.through, **how)  # type: ignore[assignment]
    asked = Asked()
    ours.serve(case, asked, {"inner_steps": steps, "init": "real", "iterations": ours.FOREVER})  # type: ignore[arg-type]
    pipe.send(asked.found)


def every(case: Case) -> dict[str, dict[str, dict[str, float]]]:
    """All modes and lengths."""
    from benchmarks.kit.ours import apply_engine
    from ddbench.work.context import open_context  # noqa: F401  imported once for all forks

    apply_engine(case)
    found: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in MODES}
    fork = multiprocessing.get_context("fork")
    for mode, how in MODES.items():
        for steps in STEPS:
            if mode == "all graphs" and steps > MOST_KEPT:
                continue
            here, there = fork.Pipe(duplex=False)
            process = fork.Process(target=child, args=(case, steps, how, there))
            process.start()
            there.close()
            found[mode][str(steps)] = here.recv()
            process.join()
    return found


def main() -> None:
    """Measure the rows, and print a table of their peaks."""
    given = parser(__doc__)
    given.add_argument("--case", help="measure this one here and print the numbers as JSON")
    asked = given.parse_args()
    if asked.case:
        print(json.dumps(every(Case.load(asked.case))))
        return
    rows = chosen(ROWS, asked.only)
    print(f"\n{'N':>4} {'again [MB]':>11} {'tapes [MB]':>11} {'all graphs [MB]':>16} {'again / N = 1':>14}")
    for row, line in zip(rows, list(lines(rows, options(asked))), strict=True):
        kept = line["sides"].get("kept", {}).get("peak_mb", float("nan"))
        numbers = [line["numbers"][name] for name in ("peak_mb", "tapes_mb")]
        print(f"{row.case.steps:>4} {numbers[0]:>11.0f} {numbers[1]:>11.0f} {kept:>16.0f} "
              f"{line['numbers']['memory_growth']:>14.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
