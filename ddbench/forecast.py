"""How long a node will take: the median of seconds per step in finished records of its kind, else unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ddbench.plan import Node, Plan
from ddbench.records import Record


@dataclass(slots=True)
class Speeds:
    """Seconds per step seen so far.

    Attributes:
        cells: (method, data set, arch) → seconds per outer step.
        students: (data set, arch, batch) → seconds per update.
    """

    cells: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    students: dict[tuple[str, str], dict[int, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    @classmethod
    def of(cls, records: Iterable[Record]) -> Speeds:
        """Learn from finished records."""
        speeds = cls()
        for record in records:
            if record.status == "ok" and record.cost.steps:
                speeds.add(record)
        return speeds

    def add(self, record: Record) -> None:
        """Learn from one finished record."""
        if record.kind == "condense":
            cell = record.spec["cell"]
            seconds = record.cost.prepare_s + record.cost.condense_s
            self.cells[cell["method"], cell["data"]["name"], cell["arch"]].append(seconds / record.cost.steps)
        else:
            spec = record.spec["eval"]
            where = (record.spec["set"]["cell"]["data"]["name"], spec["arch"])
            per_update = record.cost.evaluate_s / record.cost.steps
            self.students[where][int(spec["protocol_params"].get("batch", 1))].append(per_update)

    def seconds(self, node: Node) -> float | None:
        """Expected seconds of a node; None when nothing comparable has finished."""
        if node.kind == "cell":
            cell = node.document["cell"]
            seen = self.cells.get((cell["method"], cell["data"]["name"], cell["arch"]))
            return median(seen) * node.steps if seen else None
        if node.kind == "evaluation":
            return self._student_seconds(node)
        return None

    def _student_seconds(self, node: Node) -> float | None:
        spec = node.document["eval"]
        by_batch = self.students.get((node.document["set"]["cell"]["data"]["name"], spec["arch"]))
        if not by_batch:
            return None
        batch = int(spec["protocol_params"].get("batch", 1))
        nearest = min(by_batch, key=lambda seen: abs(seen - batch))
        return median(by_batch[nearest]) * max(1.0, batch / nearest) * node.steps * students(node.document)


def students(document: dict[str, Any]) -> int:
    """How many students an evaluation trains: one per learning rate tried, and one more for a reference's final one."""
    tried = len(document["eval"]["protocol_params"].get("lr", [0]))
    if document["choice"] is not None or tried == 1:
        return 1
    return tried + int(document["whole"])


def forecast(plan: Plan, speeds: Speeds) -> None:
    """Write the expected seconds into every pending node."""
    for node in plan.pending():
        node.forecast_s = speeds.seconds(node)


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``6 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
