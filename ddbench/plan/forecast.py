"""How long a node will take [wall seconds]: the median per step in finished records of its kind, else unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from ddbench.core.documents import CellDocument, EvaluationDocument
from ddbench.core.keys import canonical
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.store.folder import Store
from ddbench.plan.graph import Node, Plan

OVERHEAD = 32
"""Images that take as long as an update's fixed costs (between 5 and 80 on the networks measured)."""

SURE = 2
"""A reference is measured by the first forecast there is if so many times that is still below its limit."""


@dataclass(slots=True)
class Speeds:
    """Seconds per step seen so far.

    Attributes:
        cells: (method, data set, arch) → seconds per outer step.
        students: (data set, arch, other protocol, batch) → seconds per update.
        lengths: What decides a recipe → updates of a student that followed it.
    """

    cells: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    students: dict[tuple[str, str, str], dict[int, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    lengths: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Speeds:
        """Learn from records."""
        speeds = cls()
        for record in records:
            speeds.add(record)
        return speeds

    def add(self, record: Record) -> bool:
        """Learn from a record that has a result; not of profile smoke, a few steps among fixed costs.

        Returns:
            Whether forecasts are worth renewing: of the record's kind there are twice as many as when they last were.
        """
        document, cost = record.document, record.cost
        if record.status != "ok" or not cost.steps or for_tests_only(document.profile):
            return False
        if isinstance(document, CellDocument):
            seen = self.cells[condensed(document)]
            seen.append((cost.prepare_s + cost.condense_s) / cost.steps)
        else:
            seen = self.students[trained(document)][_batch(document)]
            seen.append(cost.evaluate_s / cost.steps)
            if "updates" in record.metrics and record.updates is not None:
                self.lengths[_recipe_of(document)] = record.updates
        return len(seen).bit_count() == 1

    def seconds(self, node: Node) -> float | None:
        """Expected seconds of a node; None when nothing comparable has finished."""
        match node.document:
            case CellDocument() as document:
                seen = self.cells.get(condensed(document))
                return median(seen) * node.steps if seen else None
            case EvaluationDocument() as document if by_batch := self.students.get(trained(document)):
                medians = {seen: median(times) for seen, times in by_batch.items()}
                updates = self.lengths.get(_recipe_of(document), node.steps)
                return seconds_per_update(medians, _batch(document)) * updates * students(document)
        return None


def condensed(document: CellDocument) -> tuple[str, str, str]:
    """What must agree for steps to take as long."""
    return document.cell.method, document.cell.data.name, document.cell.arch


def trained(document: EvaluationDocument) -> tuple[str, str, str]:
    """What must agree for students to take as long: data, network, and a protocol that is not ddbench's own."""
    other = "" if document.facts.protocol is None else document.eval.protocol
    return document.cell.data.name, document.eval.arch, other


def _recipe_of(document: EvaluationDocument) -> str:
    """What must agree for students to follow recipes of one length: protocol, and all of the set but its repetition."""
    made = document.recipe or document.set
    params = {name: value for name, value in document.eval.protocol_params.items() if name != "recipe_of"}
    return canonical([document.protocol, params, made.cell.model_dump(mode="json", exclude={"r", "master", "initial"})])


def _batch(document: EvaluationDocument) -> int:
    batch = int(document.eval.protocol_params.get("batch", 1))
    return min(batch, document.facts.n or batch)


def seconds_per_update(seen: Mapping[int, float], batch: int) -> float:
    """Seconds of an update at ``batch`` images: seen there, on the line through two other sizes, or scaled from one.

    Args:
        seen: Batch size → seconds, at least one.
        batch: The wanted size.
    """
    if batch in seen:
        return seen[batch]
    small, large = min(seen), max(seen)
    if small < large and seen[large] > seen[small]:
        slope = (seen[large] - seen[small]) / (large - small)
        return max(seen[small], seen[large] + slope * (batch - large))
    return seen[small] * (OVERHEAD + batch) / (OVERHEAD + small)


def students(document: EvaluationDocument) -> int:
    """How many students an evaluation trains: one per learning rate tried, and a reported reference's final one."""
    tried = len(document.eval.protocol_params.get("lr", [0]))
    return 1 if document.choice is not None or tried == 1 else tried + (document.whole and document.reported)


def forecast(plan: Plan, speeds: Speeds) -> None:
    """Write the expected seconds into every pending node."""
    for node in plan.pending():
        seconds = speeds.seconds(node)
        node.forecast_s = None if seconds is None else round(seconds, 1)


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
    rows = [row for row in _reference_rows(plan) if not any(node.key in decided for node in row)]
    if not rows:
        return []
    forecast(plan, Speeds.of(record for _, record in store.records()))
    left_out = []
    for row in rows:
        seconds = sum(node.forecast_s or 0.0 for node in row)
        if seconds > limit_s or limit_s == 0:
            for node in row:
                node.state, node.reason = (
                    "unmeasured",
                    f"not measured (≈ {duration(seconds)})" if seconds else "not measured",
                )
            left_out += row
    return left_out


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``6 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
