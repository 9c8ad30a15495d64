"""How long a node will take [wall seconds]: the median per step in finished records of its kind, else unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
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
        """Learn from finished records; not from those of profile smoke, a few steps among fixed costs."""
        speeds = cls()
        for record in records:
            if record.status == "ok" and record.cost.steps and not for_tests_only(record.document.profile):
                speeds.add(record)
        return speeds

    def add(self, record: Record) -> None:
        """Learn from one finished record."""
        document, cost = record.document, record.cost
        if isinstance(document, CellDocument):
            self.cells[_condensed(document)].append((cost.prepare_s + cost.condense_s) / cost.steps)
        else:
            self.students[_trained(document)][_batch(document)].append(cost.evaluate_s / cost.steps)
            if "updates" in record.metrics and record.updates is not None:
                self.lengths[_recipe_of(document)] = record.updates

    def seconds(self, node: Node) -> float | None:
        """Expected seconds of a node; None when nothing comparable has finished."""
        match node.document:
            case CellDocument() as document:
                seen = self.cells.get(_condensed(document))
                return median(seen) * node.steps if seen else None
            case EvaluationDocument() as document if by_batch := self.students.get(_trained(document)):
                medians = {seen: median(times) for seen, times in by_batch.items()}
                updates = self.lengths.get(_recipe_of(document), node.steps)
                return seconds_per_update(medians, _batch(document)) * updates * students(document)
        return None


def _condensed(document: CellDocument) -> tuple[str, str, str]:
    """What must agree for steps to take as long."""
    return document.cell.method, document.cell.data.name, document.cell.arch


def _trained(document: EvaluationDocument) -> tuple[str, str, str]:
    """What must agree for students to take as long: data, network, and a protocol that is not ddbench's own."""
    other = "" if document.facts.protocol is None else document.eval.protocol
    return document.cell.data.name, document.eval.arch, other


def _recipe_of(document: EvaluationDocument) -> str:
    """What must agree for students to follow recipes of one length: protocol, and all of the set but its repetition."""
    made = document.recipe or document.set
    params = {name: value for name, value in document.eval.protocol_params.items() if name != "recipe_of"}
    return canonical([document.protocol, params, made.cell.model_dump(mode="json", exclude={"r", "master"})])


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


def limit_references(plan: Plan, store: Store, limit_s: float) -> list[Node]:
    """Leave out references that would take longer than allowed; their rows say how long.

    A row of a table is measured as a whole or not at all, so forecasts add up over repetitions and students.

    Args:
        plan: The plan, with everything else done.
        store: Where to learn speeds from.
        limit_s: Longest time of a row [s]; 0: none is measured.

    Returns:
        The nodes left out.
    """
    rows: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in plan.pending():
        if isinstance(node.document, EvaluationDocument) and node.is_reference:
            spec = node.document.eval
            rows[spec.set, spec.protocol, spec.arch].append(node)
    if not rows:
        return []
    forecast(plan, Speeds.of(record for _, record in store.records()))
    left_out = []
    for row in rows.values():
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
