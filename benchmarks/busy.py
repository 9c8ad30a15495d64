"""One cell alone and beside other work: `python -m benchmarks.busy [--method dm] [--ipc 10] [--repeats 3] [--load 4]`.

What a cost is worth as a result: the same cell is condensed by turns on the machine as it is and beside processes that
do nothing but count. Printed are CPU and wall seconds, their medians, and how much longer each became. The load average
stands beside them: where others use the machine, "quiet" means no more than that this program adds nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from ddbench.core.records import Cost

LOOP = "while True: pass"


def main() -> None:
    """Print a row per way, and the ratios."""
    from ddbench.core.cpu import cores

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="dm")
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--load", type=int, default=2 * cores(), help="busy processes beside it")
    options = parser.parse_args()
    taken: dict[str, list[tuple[Cost, float]]] = {"quiet": [], "busy": []}
    run = Cell(options.method, options.ipc, options.iterations)
    run()  # decodes the data, and warms up
    for _ in range(options.repeats):
        taken["quiet"].append((run(), load()))
        with beside(options.load):
            taken["busy"].append((run(), load()))
    rows: list[dict[str, str | float]] = []
    for way, costs in taken.items():
        cpu = median(cost.cpu.prepare_s + cost.cpu.condense_s for cost, _ in costs if cost.cpu is not None)
        wall = median(cost.prepare_s + cost.condense_s for cost, _ in costs)
        peak = median(cost.peak_mb for cost, _ in costs)
        rows.append(
            {"machine": way, "CPU s": cpu, "wall s": wall, "peak MB": peak, "load": median(x for _, x in costs)}
        )
    quiet, busy = rows
    ratios = {name: float(busy[name]) / float(quiet[name]) for name in ("CPU s", "wall s", "peak MB")}
    rows.append({"machine": "busy / quiet", **ratios})
    cell = f"{options.method} ipc {options.ipc} on digits, {options.iterations} steps, 1 thread"
    print(f"{cell}; {options.load} busy processes beside it on {cores()} cores; medians of {options.repeats}")
    print(tabulate(rows, headers="keys", floatfmt=("", ".2f", ".2f", ".1f", ".1f"), tablefmt="github"))


def load() -> float:
    """How many processes wanted to run during the last minute."""
    return os.getloadavg()[0]


@contextmanager
def beside(count: int) -> Iterator[None]:
    """A block beside so many processes that keep a core busy."""
    processes = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


class Cell:
    """Runs one cell, anew with every call, and gives what it took."""

    def __init__(self, method: str, ipc: int, iterations: int) -> None:
        from ddbench.core.documents import CellDocument
        from ddbench.core.plugin.loader import installed
        from ddbench.core.profiles import profile
        from ddbench.plan import grid, planner, suite

        content = {"methods": [method], "datasets": ["digits"], "budget": {"ipc": [ipc]}, "profile": "short"}
        settings = {"set": {method: {"iterations": iterations}}}
        asked = suite.parse({**content, **settings}, "benchmark")
        plan = planner.make(grid.build(asked, installed(), profile("short")))
        found = (node.document for node in plan.nodes.values() if isinstance(node.document, CellDocument))
        self._document = next(document for document in found if document.cell.method == method)
        self._registries = installed()

    def __call__(self) -> Cost:
        """Condense it in a folder of its own."""
        from ddbench.core.store.folder import Store
        from ddbench.work.engine import Engine
        from ddbench.work.interrupts import Interrupts
        from ddbench.work.monitor import Silent
        from ddbench.work.node import run_node

        with tempfile.TemporaryDirectory() as folder:
            outcome = run_node(
                self._document, Store(Path(folder)), Engine(device="cpu", threads=1), registries=self._registries,
                interrupts=Interrupts(), monitor=Silent(),
            )  # fmt: skip
        if outcome.record is None or outcome.status != "ok":
            raise SystemExit(f"{outcome.status}: {outcome.reason}")
        return outcome.record.cost


if __name__ == "__main__":
    main()
