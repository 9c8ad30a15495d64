"""DSA's matching step against the plain class loop and the authors' own: `python -m benchmarks.dsa`."""

from __future__ import annotations

from benchmarks import dc
from benchmarks.kit.case import Case
from benchmarks.kit.peers import DC
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"dsa ipc {ipc}", f"DSA, one matching of all classes, ipc {ipc}, 256 real images a class, width 32",
        Case("dsa", ipc=ipc), "benchmarks.dsa", (Goal("ratio", 2.5),), DC,
    )
    for ipc in (1, 10, 50)
]  # fmt: skip

ours, authors = dc.ours, dc.authors


def reference(case: Case, turns: Turns) -> None:
    dc.plain(case, turns, augment=True)


if __name__ == "__main__":
    main(ROWS)
