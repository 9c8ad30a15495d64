"""How fast steps are: the median of what was seen of their kind, here or elsewhere; what was not seen is unknown.

All seconds are those of a clock on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol, TypeAlias

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument
from ddbench.core.keys import canonical
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Cost, Record, Seconds
from ddbench.plan.graph import Node
from ddbench.plan.kinds import Kind, Where, kinds, size_of, where_of

OVERHEAD = 32
"""Images that take as long as an update's fixed costs (between 5 and 80 on the networks measured)."""

FEW = 20
"""Steps of a run that was cut short, of which the first ones, which are slow, are too large a share."""

Pace: TypeAlias = tuple[float, float]
"""Seconds before the first step, and of a step."""


class Layer(Protocol):
    """Paces from one place."""

    def paces(self, kind: Kind) -> Mapping[float, Pace]:
        """Size (:func:`ddbench.plan.kinds.size_of`) → pace; empty where nothing is known."""
        ...


@dataclass(slots=True)
class Speeds:
    """Paces seen so far, and what is known from elsewhere.

    Attributes:
        seen: Kind → size → paces.
        lengths: What decides a recipe → updates of a student that followed it.
        beyond: Where to look for what was not seen here, the nearest first.
        where: Where nodes run; None: what ran anywhere counts.
        last: Is asked about nodes of which nothing else is known.
    """

    seen: dict[Kind, dict[float, list[Pace]]] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    beyond: Sequence[Layer] = ()
    where: Callable[[Document], Where] | None = None
    last: Speeds | None = None
    _kinds: dict[str, list[Kind]] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Speeds:
        """Learn from records."""
        speeds = cls()
        for record in records:
            speeds.add(record)
        return speeds

    def add(self, record: Record) -> bool:
        """Learn from a record; not of profile smoke, a few steps among fixed costs.

        Returns:
            Whether forecasts are worth renewing: of the record's kind there are twice as many as when they last were.
        """
        document = record.document
        pace = pace_of(record)
        if pace is None:
            return False
        if isinstance(document, EvaluationDocument) and "updates" in record.metrics and record.updates is not None:
            self.lengths[_recipe_of(document)] = record.updates
        return self._see(document, where_of(record.env), pace)

    def add_artifact(self, document: ArtifactDocument, content: Mapping[str, Any]) -> bool:
        """Learn from the manifest of a built artifact; the answer is as that of :meth:`add`."""
        return self._see(document, where_of(content["env"]), (0.0, float(content["cost"]["seconds"])))

    def _see(self, document: Document, where: Where, pace: Pace) -> bool:
        for kind in own_kinds(document, where if self.where else None):
            seen = self.seen.setdefault(kind, {}).setdefault(size_of(document), [])
            seen.append(pace)
        return len(seen).bit_count() == 1

    def paces(self, kind: Kind) -> Mapping[float, Pace]:
        """As :class:`Layer` says: the medians of what was seen here."""
        return {size: middle(paces) for size, paces in self.seen.get(kind, {}).items()}

    def seconds(self, node: Node) -> float | None:
        """Expected seconds of a node; None when nothing comparable is known.

        What is known of the same size, from wherever, says more than what is known of other sizes here.
        """
        document, size = node.document, size_of(node.document)
        if node.key not in self._kinds:
            self._kinds[node.key] = kinds(document, self.where and self.where(document))
        for kind in self._kinds[node.key]:
            pace = self._pace(kind, size, isinstance(document, EvaluationDocument))
            if pace is not None:
                return pace[0] + pace[1] * self._steps(node)
        return None if self.last is None else self.last.seconds(node)

    def _pace(self, kind: Kind, size: float, student: bool) -> Pace | None:
        others: list[Mapping[float, Pace]] = []
        for layer in (self, *self.beyond):
            paces = layer.paces(kind)
            if size in paces:
                return paces[size]
            others += [paces] if paces else []
        if not others:
            return None
        several = next((paces for paces in others if len(paces) > 1), others[0])  # else nobody knows how it grows
        return _at(several, size, student)

    def _steps(self, node: Node) -> int:
        match node.document:
            case EvaluationDocument() as document:
                return self.lengths.get(_recipe_of(document), node.steps) * document.students
            case CellDocument():
                return node.steps
        return 1


def own_kinds(document: Document, where: Where | None) -> list[Kind]:
    """The kinds that a node which ran says something of: those of the place it ran in, and of no other."""
    return [kind for kind in kinds(document, where) if where is None or kind[-1] == where]


def pace_of(record: Record, *, quiet: bool = False) -> Pace | None:
    """What a record says of how long such nodes take; None: nothing.

    Args:
        record: Of profile smoke it says nothing: a few steps among fixed costs. One that a time limit cut short does.
        quiet: Leave out what others on a busy machine added, as far as CPU seconds tell.
    """
    document, cost = record.document, record.cost
    iterated = not (isinstance(document, EvaluationDocument) and document.eval.protocol_params.get("updates") == 1)
    steps = cost.steps if iterated else max(1, cost.steps)
    if record.status not in ("ok", "timeout") or not steps or for_tests_only(document.profile):
        return None
    spent: Cost | Seconds = cost
    threads = 1
    if quiet and cost.device is None and cost.cpu is not None:
        spent, threads = cost.cpu, max(1, int(record.env.get("threads", 1)))
    if isinstance(document, CellDocument):
        pace = spent.prepare_s / threads, spent.condense_s / threads / steps
    else:
        pace = 0.0, spent.evaluate_s / threads / steps
    cut_early = record.status == "timeout" and steps < FEW and pace[1] < 1.0
    return None if cut_early else pace


def middle(paces: Sequence[Pace]) -> Pace:
    """The medians of both seconds."""
    return median(before for before, _ in paces), median(step for _, step in paces)


def _at(known: Mapping[float, Pace], size: float, student: bool) -> Pace:
    """The pace at a size that is not among those known."""
    steps = {one: step for one, (_, step) in known.items()}
    before = median(before for before, _ in known.values())
    return before, seconds_per_update(steps, size) if student else _on_line(steps, size)


def _on_line(seen: Mapping[float, float], size: float) -> float:
    """Seconds of a step on the line through the smallest and the largest size seen, which never falls."""
    small, large = min(seen), max(seen)
    slope = max(0.0, seen[large] - seen[small]) / ((large - small) or 1)
    return max(min(seen[small], seen[large]), seen[large] + slope * (size - large))


def _recipe_of(document: EvaluationDocument) -> str:
    """What must agree for students to follow recipes of one length: protocol, and all of the set but its repetition."""
    made = document.recipe or document.set
    params = {name: value for name, value in document.eval.protocol_params.items() if name != "recipe_of"}
    return canonical([document.protocol, params, made.cell.model_dump(mode="json", exclude={"r", "master", "initial"})])


def seconds_per_update(seen: Mapping[float, float], batch: float) -> float:
    """Seconds of an update at ``batch`` images: seen there, on the line through two other sizes, or scaled from one.

    Args:
        seen: Batch size → seconds, at least one.
        batch: The wanted size.
    """
    small, large = min(seen), max(seen)
    if batch in seen:
        return seen[batch]
    if seen[small] < seen[large]:
        return _on_line(seen, batch)
    return seen[small] * (OVERHEAD + batch) / (OVERHEAD + small)
