"""A page of 1,200 records: `python -m benchmarks.page`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.kit.alone import line_of, spent
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Line, Options, Row
from benchmarks.kit.run import main

RECORDS = 1200
METHODS = ("random", "herding", "kmeans", "dm", "dc", "dsa", "idc", "mtt", "tesla", "datm")


def fill(folder: Path) -> None:
    """Records of 10 methods at 6 budgets in 10 repetitions: a set and an evaluation each."""
    import random

    from ddbench.core.documents import CellDocument
    from ddbench.core.store.folder import CONDENSE, Store, evaluation_path, write_record
    from tests.factories import pair

    store, draws = Store(folder), random.Random(0)
    for method in METHODS:
        for ipc in (1, 2, 5, 10, 20, 50):
            for r in range(RECORDS // 2 // len(METHODS) // 6):
                condensation, evaluation = pair(method, 50 + 10 * draws.random(), r=r, ipc=ipc)
                assert isinstance(condensation.document, CellDocument)
                place = store.folder(condensation.document)
                write_record(place / CONDENSE, condensation)
                write_record(evaluation_path(place, evaluation.key), evaluation)


def timed(row: Row, options: Options) -> Line:
    """CPU seconds of the command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "runs")
        found = [spent(["results", "page"], folder, OMP_NUM_THREADS="1") for _ in range(options.repeats + 1)]
    return line_of(found[1:], "cpu_s")


ROWS = [
    Row(
        "page", f"ddbench results page of {RECORDS:,} records", Case(), "",
        (Goal("seconds", 1.5, "≤"), Goal("peak_mb", 200.0, "≤")), sides=("ours",), measure=timed,
    )
]  # fmt: skip


if __name__ == "__main__":
    main(ROWS)
