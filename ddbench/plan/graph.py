"""The graph of nodes (artifact → cell → evaluation) that a grid needs. No torch, no look-ups."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ddbench.core.api import MethodInfo
from ddbench.core.documents import ArtifactDocument, Bought, CellDocument, Document, EvaluationDocument, Facts, Short
from ddbench.core.keys import short
from ddbench.core.records import Record, Status
from ddbench.core.roles import Role
from ddbench.core.specs import Budget
from ddbench.core.store.files import atomic_write
from ddbench.data.dataset import Data
from ddbench.plan.grid import Grid

State = Literal["run", "resume", "cached", "failed", "unneeded", "unmeasured"]


PLAN = "plan.jsonl"
"""File of a results folder with the nodes of the plan that was run there last."""
SET_FAILED = "its set failed"
"""What is said of an evaluation; the reason is said of the set, once."""


@dataclass(slots=True)
class Node:
    """One unit of work.

    Attributes:
        title: Name for people.
        document: All that ``run_node`` needs besides the folders.
        needs: Keys of nodes that must be done before.
        steps: Outer steps, or updates of a student, for forecasts.
        state: What is to be done about it.
        status: How it failed, when its state is ``failed`` and it leaves no record (artifacts).
        reason: Why there is no result, or what else needs saying.
        forecast_s: Expected seconds, None when nothing comparable is known.
        record: The finished record, once there is one.
    """

    title: str
    document: Document
    needs: tuple[str, ...]
    steps: int = 0
    state: State = "run"
    status: Status = "failed"
    reason: str | None = None
    forecast_s: float | None = None
    record: Record | None = None

    @property
    def kind(self) -> Literal["artifact", "cell", "evaluation"]:
        """What it makes."""
        return self.document.kind

    @property
    def artifact_kind(self) -> str | None:
        """Kind of the artifact that it builds; None: it leaves a record."""
        return self.document.artifact.kind if isinstance(self.document, ArtifactDocument) else None

    @property
    def all_steps(self) -> int:
        """Outer steps, or updates of all students that it trains."""
        return self.steps * (self.document.students if isinstance(self.document, EvaluationDocument) else 1)

    @property
    def key(self) -> str:
        """Its 64-digit key."""
        return self.document.key

    @property
    def is_reference(self) -> bool:
        """Whether it trains a student on everything: such nodes wait until their length can be told."""
        return isinstance(self.document, EvaluationDocument) and self.document.whole

    @property
    def pending(self) -> bool:
        """Whether it is still to be run."""
        return self.state in ("run", "resume")

    @property
    def is_cut_short(self) -> bool:
        """Whether a time limit stopped it, so that the same command goes on with it."""
        return "timeout" in (self.status, self.record and self.record.status)


def needs_failed(failed: Node) -> str:
    """What is said of a node that needs one that failed, whose reason is said there."""
    return f"needs {failed.title}, which failed"


@dataclass(frozen=True, slots=True)
class TableKey:
    """Which table a result stands in: rows of one table are comparable."""

    data: Data
    protocol: str
    arch: str
    eval_arch: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One repetition and student of one table cell: where its result will be, or why there is none.

    Attributes:
        table: The table.
        row: Label of the row.
        role: What the row is.
        method: The method.
        budget: Column; None for ``full``, which spans all.
        r: Repetition.
        e: Student.
        n: Images of the budget, None where that does not fit the data; all that a reference is trained on.
        cell: Key of the cell's node, None when skipped.
        evaluation: Key of the evaluation's node, None when skipped.
        skip: Why it is skipped.
        buys: Whose bytes the set's real images cost, and how many these are; None for all but that control.
        declared: How reports show a protocol that is not ddbench's own; None for ours.
        own_student: Whether the student starts from an initial state that a set holds.
        place: Of the row in the suite; of a twin, that of the row by whose recipe it is trained.
    """

    table: TableKey
    row: str
    role: Role
    method: MethodInfo
    budget: Budget | None
    r: int
    e: int
    n: int | None
    cell: str | None
    evaluation: str | None
    skip: str | None = None
    buys: Bought | None = None
    declared: dict[str, Any] | None = None
    own_student: bool = False
    place: int | None = None

    @property
    def facts(self) -> Facts:
        """What a table says about the result besides its spec."""
        info = self.table.data.info
        return Facts(
            dataset=self.table.data.label, kind=self.method.kind, role=self.role,
            axes=tuple(sorted(self.method.axes)), n=self.n, n_train=info.n_train, n_val=info.n_val,
            image_bytes=info.image_bytes, notes=info.notes, buys=self.buys, protocol=self.declared,
            short=None if self.budget is None else Short.at(self.budget, info.counts),
            own_student=self.own_student, place=self.place,
        )  # fmt: skip


@dataclass(slots=True)
class Plan:
    """Nodes in an order in which each comes after what it needs, and the entries of the tables."""

    grid: Grid
    nodes: dict[str, Node] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def pending(self) -> list[Node]:
        """Nodes still to be run."""
        return [node for node in self.nodes.values() if node.pending]

    @property
    def starts(self) -> frozenset[str]:
        """Keys of the sets that are there for others to start from alone: no student is trained on them."""
        documents = [node.document for node in self.nodes.values()]
        cells = (found.cell for found in documents if isinstance(found, CellDocument))
        evaluated = {found.eval.set for found in documents if isinstance(found, EvaluationDocument)}
        return frozenset(cell.initial for cell in cells if cell.initial) - evaluated

    def skips(self) -> Iterator[tuple[str, str]]:
        """What is skipped and why, once for all repetitions and students."""
        for entry in self.entries:
            if entry.skip is not None and entry.r == self.grid.repetitions[0] and entry.e == 0:
                yield f"{entry.row} {entry.budget.label if entry.budget else ''}", entry.skip

    def write(self, path: Path, without: Collection[str] = ()) -> None:
        """Keep the plan, with forecasts and skips, for people and for `ddbench status`.

        Args:
            path: The file.
            without: Keys of pending nodes that are expected to stay unmeasured.
        """
        lines: list[dict[str, Any]] = [
            {
                **{"kind": n.kind, "key": n.key, "title": n.title, "reason": n.reason},
                "state": "unmeasured" if n.key in without else n.state,
                **{"forecast_s": n.forecast_s, "steps": n.all_steps, "artifact": n.artifact_kind},
            }
            for n in self.nodes.values()
        ]
        lines += [
            {"kind": "skip", "key": None, "title": where, "state": "skipped", "reason": why}
            for where, why in self.skips()
        ]
        atomic_write(path, "".join(json.dumps(line) + "\n" for line in lines).encode(), durable=False)


def listing(plan: Plan) -> Iterator[dict[str, Any]]:
    """One row per node and skip, as `ddbench plan` prints them."""
    for node in plan.nodes.values():
        if node.state != "unneeded":
            seconds = None if node.forecast_s is None else round(node.forecast_s, 1)
            yield {"node": node.title, "key": short(node.key), "state": node.state, "forecast_s": seconds,
                   "reason": node.reason or ""}  # fmt: skip
    for where, why in plan.skips():
        yield {"node": where, "key": "", "state": "skip", "forecast_s": None, "reason": why}
