"""FRePo's outer step beside a matching step of DSA on the same data and network: `python -m benchmarks.frepo_step`."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"frepo {size} px",
        f"FRePo, one step, 1,024 real images (DSA: 256 a class), {size} pixels, ipc 10, ConvNet-{depth}, width 32",
        Case("frepo", ipc=10, size=size, depth=depth), "benchmarks.frepo_step", (Goal("ratio", 1.0),),
        sides=("dsa", "ours"),
    )
    for size, depth in ((14, 2), (28, 3))
]  # fmt: skip


def ours(case: Case, turns: Turns) -> None:
    """A network of the pool, an update of images and labels, an update of the network."""
    from benchmarks.kit.ours import FOREVER, serve

    serve(case, turns, {"iterations": FOREVER})


def dsa(case: Case, turns: Turns) -> None:
    """One matching of all classes."""
    from benchmarks.kit.ours import FOREVER, serve

    serve(replace(case, method="dsa"), turns, {"batch_real": case.batch, "iterations": FOREVER, "outer_steps": 1})


if __name__ == "__main__":
    main(ROWS)
