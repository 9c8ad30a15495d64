"""An epoch of an expert, on augmented images: `python -m benchmarks.experts`."""

from __future__ import annotations

from benchmarks import training
from benchmarks.kit import peers
from benchmarks.kit.case import Case
from benchmarks.kit.row import Goal, Row
from benchmarks.kit.run import main
from benchmarks.kit.worker import Turns

ROWS = [
    Row(
        f"experts w{width}", f"an expert's epoch of 1,024 augmented images, batch 256, ConvNet-3 of width {width}",
        Case(width=width), "benchmarks.experts", (Goal("ratio", 2.0),), peers.MTT,
    )
    for width in (32,)
]  # fmt: skip

RECIPE = {"lr": 0.01, "momentum": 0.0, "weight_decay": 0.0}


def ours(case: Case, turns: Turns) -> None:
    training.ours(case, turns, augment=True, recipe=RECIPE)


def reference(case: Case, turns: Turns) -> None:
    training.reference(case, turns, augment=True, recipe=RECIPE)


def authors(case: Case, turns: Turns) -> None:
    training.authors(case, turns, repository=peers.MTT, augment=True, recipe=RECIPE)


if __name__ == "__main__":
    main(ROWS)
