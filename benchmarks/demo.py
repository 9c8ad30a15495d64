"""The first command of README.md, cold, as a user starts it: `python -m benchmarks.demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.kit.alone import line_of, spent
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Line, Options, Row
from benchmarks.kit.run import main

COMMAND = ["run", "--methods", "random,kmeans,herding,dm", "--ipc", "1,10"]


def cold(row: Row, options: Options) -> Line:
    """Wall seconds in a home and a folder of its own, once; threads and jobs are what ddbench chooses."""
    with tempfile.TemporaryDirectory() as folder:
        home = {"DDBENCH_HOME": str(Path(folder, "home")), "OMP_NUM_THREADS": ""}
        return line_of([spent([*COMMAND, "--device", options.device], Path(folder), **home)], "wall_s")


ROWS = [
    Row(
        "demo", f"cold: ddbench {' '.join(COMMAND)} (wall seconds, all cores)", Case(), "",
        (Goal("seconds", 90.0, "≤"),), sides=("ours",), measure=cold,
    )
]  # fmt: skip


if __name__ == "__main__":
    main(ROWS)
