"""How the cost of our steps grows, as curves with fitted exponents: `python -m benchmarks.scaling`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.commands import plan
from benchmarks.kit import data
from benchmarks.kit.alone import spent
from benchmarks.kit.case import Case
from benchmarks.kit.fit import fit
from benchmarks.kit.places import work
from benchmarks.kit.row import Line, Options, Row
from benchmarks.kit.run import main
from benchmarks.kit.turns import SideError, Worker, interleave

Points = list[tuple[float, float, float]]
"""Size, seconds, peak memory [MB]."""


def curve(axis: str, points: Points) -> Line:
    """The line of a curve."""
    time = fit([(size, seconds) for size, seconds, _ in points])
    numbers = {"time_exponent": time.exponent, "worst_fit": time.worst}
    if all(peak > 0 for *_, peak in points):
        numbers["memory_exponent"] = fit([(size, peak) for size, _, peak in points]).exponent
    return {"axis": axis, "points": [[size, round(s, 5), round(mb, 1)] for size, s, mb in points], "numbers": numbers}


def steps(axis: str, field: str, values: tuple[int, ...], side: str) -> Callable[[Row, Options], Line]:
    """A worker for each value of a field of the case, in turns."""

    def measure(row: Row, options: Options) -> Line:
        base = replace(row.case, device=options.device, engine=options.engine, threads=options.threads)
        cases = {str(value): replace(base, **{field: value}) for value in values}  # type: ignore[arg-type]
        for case in cases.values():
            data.archive(case)
        workers: dict[str, Worker] = {}
        try:
            for name, case in cases.items():
                workers[name] = Worker(row.module, side, case)
            taken, failed = interleave(workers, options.repeats, row.box_s, cuda=options.device == "cuda")
        finally:
            for worker in workers.values():
                worker.close()
        if failed:
            raise SideError("; ".join(failed.values()))
        points = [(float(name), one.seconds, one.peak_mb) for name, one in taken.items()]
        return curve(axis, points) | {"data": max(map(data.kind, cases.values()))}  # noise, if any is

    return measure


def cells(row: Row, options: Options) -> Line:
    """CPU seconds of `ddbench plan`."""
    points = []
    for seeds in (1, 10, 100):
        found = spent(plan(seeds), Path(work()), DDBENCH_HOME=str(work() / "home"), OMP_NUM_THREADS="1")
        points.append((100.0 * seeds, found.cpu_s, found.peak_mb))
    return curve("cells", points)


def row(
    name: str, what: str, case: Case, module: str, axis: str, field: str, values: tuple[int, ...], side: str = "ours"
) -> Row:  # fmt: skip
    """A curve of steps."""
    return Row(
        f"scaling {name}", what, case, module, sides=(side,), box_s=20.0, measure=steps(axis, field, values, side)
    )


IPC, WIDTH, SIZE, N = "images per class", "width", "image size [pixels]", "N, student updates"

ROWS = [
    row("dm ipc", "DM, an outer step", Case("dm"), "benchmarks.dm", IPC, "ipc", (1, 5, 20, 50)),
    row("dsa ipc", "DSA, a matching", Case("dsa", batch=64), "benchmarks.dsa", IPC, "ipc", (1, 5, 20, 50)),
    row("size", "a training step", Case(updates=1), "benchmarks.training", SIZE, "size", (16, 28, 48, 64)),
    row("width", "a training step", Case(updates=1), "benchmarks.training", WIDTH, "width", (16, 32, 64, 128)),
    row("mtt N", "MTT, an outer step", Case("mtt", ipc=10), "benchmarks.mtt", N, "steps", (5, 10, 20, 40)),
    row(
        "unrolled N", "the plain loop of MTT, all graphs kept", Case("mtt", ipc=10), "benchmarks.mtt", N, "steps",
        (5, 10, 20), "reference",
    ),
    Row("scaling cells", "ddbench plan", Case(), "", sides=("ours",), measure=cells),
]  # fmt: skip


if __name__ == "__main__":
    main(ROWS)
