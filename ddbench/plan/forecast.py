"""How long a plan will take [wall seconds], and which references take too long to be measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from ddbench.core.documents import EvaluationDocument
from ddbench.core.store.folder import Store
from ddbench.plan.graph import Node, Plan
from ddbench.plan.speeds import Speeds

SURE = 2
"""A reference is measured by the first forecast there is if so many times that is still below its limit."""


def forecast(plan: Plan, speeds: Speeds) -> None:
    """Write the expected seconds into every pending node."""
    for node in plan.pending():
        node.forecast_s = speeds.seconds(node)


def _reference_rows(plan: Plan) -> list[list[Node]]:
    """Pending students of references; a row of a table is measured as a whole or not at all."""
    rows: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in plan.pending():
        if isinstance(node.document, EvaluationDocument) and node.is_reference:
            spec = node.document.eval
            rows[spec.set, spec.protocol, spec.arch].append(node)
    return list(rows.values())


def sure_references(plan: Plan, limit_s: float) -> list[Node]:
    """Students of references that need not wait until forecasts are at their best: they are far below the limit.

    Args:
        plan: The plan, with forecasts.
        limit_s: Longest time of a row [s].
    """
    return [
        node
        for row in _reference_rows(plan)
        if all(node.forecast_s is not None for node in row)
        and SURE * sum(node.forecast_s or 0.0 for node in row) < limit_s
        for node in row
    ]


def limit_references(plan: Plan, store: Store, limit_s: float, decided: Collection[str] = ()) -> list[Node]:
    """Leave out references that would take longer than allowed; their rows say how long.

    Forecasts add up over the repetitions and students of a row.

    Args:
        plan: The plan, with everything else done.
        store: Where to learn speeds from.
        limit_s: Longest time of a row [s]; 0: none is measured.
        decided: Keys of nodes that are measured in any case.

    Returns:
        The nodes left out.
    """
    if all(node.key in decided for row in _reference_rows(plan) for node in row):
        return []
    forecast(plan, Speeds.of(record for _, record in store.records()))
    left_out = []
    for row in too_long(plan, limit_s, decided):
        seconds = sum(node.forecast_s or 0.0 for node in row)
        for node in row:
            node.state = "unmeasured"
            node.reason = f"not measured (≈ {duration(seconds)})" if seconds else "not measured"
        left_out += row
    return left_out


def too_long(plan: Plan, limit_s: float, decided: Collection[str] = ()) -> list[list[Node]]:
    """Rows of references that take longer than allowed, by the forecasts of their nodes.

    Args:
        plan: The plan, with forecasts.
        limit_s: Longest time of a row [s]; 0: all do.
        decided: Keys of nodes that are measured in any case.
    """
    rows = [row for row in _reference_rows(plan) if not any(node.key in decided for node in row)]
    return [row for row in rows if limit_s == 0 or sum(node.forecast_s or 0.0 for node in row) > limit_s]


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``6 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
