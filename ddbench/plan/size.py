"""How many nodes a grid needs at least, and which are too many. No torch."""

from __future__ import annotations

import itertools

from ddbench.core.errors import UsageError, shown_count
from ddbench.plan.grid import Grid

MOST_NODES = 200_000
"""Of a plan; more would take gigabytes before anything has run."""


def check_size(grid: Grid) -> None:
    """Refuse a plan that is too large before it is made; counted are sets and students of what the suite names.

    Raises:
        UsageError: If these are more than :data:`MOST_NODES`.
    """
    nodes = 0
    rows = [row for row in grid.rows if row.method.kind != "reference"]
    for data in grid.data:
        for arch, budget, row in itertools.product(grid.archs(data), grid.budgets, rows):
            if grid.excludes(row, data, budget, arch):
                continue
            nodes += len(grid.repetitions)
            for protocol in grid.protocols:
                drawn = len(grid.repetitions_of(row, protocol.info))
                for eval_arch in grid.students(protocol, arch)[0]:
                    if not grid.excludes(row, data, budget, arch, eval_arch=eval_arch, protocol=protocol.info.name):
                        nodes += drawn * (grid.eval_seeds if protocol.info.trains_student else 1)
    if nodes > MOST_NODES:
        sizes = {"row": len(rows), "budget": len(grid.budgets), "repetition": len(grid.repetitions)}
        sizes |= {"student": grid.eval_seeds, "data set": len(grid.data)}
        parts = ", ".join(f"{shown_count(size)} {noun}{'s' * (size != 1)}" for noun, size in sizes.items())
        raise UsageError(
            f"that would be {shown_count(nodes)} nodes and more, {MOST_NODES:,} are the most ({parts}): ask for fewer "
            "seeds or budgets, or make several suites of it"
        )
