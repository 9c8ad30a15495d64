"""The graph of nodes (artifact → cell → evaluation) that a grid needs. No torch, no look-ups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ddbench.api import MethodInfo
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.roles import RANDOM, RECIPE_OF, Role
from ddbench.data.dataset import Data
from ddbench.data.spaces import artifact_for
from ddbench.errors import UsageError
from ddbench.files import atomic_write
from ddbench.grid import Grid, GridCell
from ddbench.keys import artifact_key, condense_key, eval_key, short
from ddbench.plugins import import_target
from ddbench.records import Record, Status
from ddbench.rows import Row
from ddbench.specs import ArtifactSpec, Budget, CellSpec, EvalSpec, PlannedEvaluation

State = Literal["run", "resume", "cached", "failed", "unneeded", "unmeasured"]


@dataclass(slots=True)
class Node:
    """One unit of work.

    Attributes:
        kind: What it makes.
        key: Its 64-digit key.
        title: Name for people.
        document: All that ``run_node`` needs besides the folders; JSON.
        needs: Keys of nodes that must be done before.
        steps: Outer steps or updates, for forecasts.
        state: What is to be done about it.
        status: How it failed, when its state is ``failed`` and it leaves no record (artifacts).
        reason: Why there is no result, or what else needs saying.
        forecast_s: Expected seconds, None when nothing comparable has finished.
        record: The finished record, once there is one.
    """

    kind: Literal["artifact", "cell", "evaluation"]
    key: str
    title: str
    document: dict[str, Any]
    needs: tuple[str, ...]
    steps: int = 0
    state: State = "run"
    status: Status = "failed"
    reason: str | None = None
    forecast_s: float | None = None
    record: Record | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it trains a student on everything: such nodes run last, once their length can be told."""
        return bool(self.document.get("whole"))

    @property
    def pending(self) -> bool:
        """Whether it is still to be run."""
        return self.state in ("run", "resume")


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
        n: Images of the budget; all that a reference is trained on.
        cell: Key of the cell's node, None when skipped.
        evaluation: Key of the evaluation's node, None when skipped.
        skip: Why it is skipped.
        buys: Whose bytes the set's real images cost, and how many these are; None for all but that control.
        declared: How reports show a protocol that is not ddbench's own; None for ours.
    """

    table: TableKey
    row: str
    role: Role
    method: MethodInfo
    budget: Budget | None
    r: int
    e: int
    n: int
    cell: str | None
    evaluation: str | None
    skip: str | None = None
    buys: dict[str, Any] | None = None
    declared: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a table says about the result besides its spec: names, sizes, and what its row is."""
        info = self.table.data.info
        found = {
            "dataset": self.table.data.label,
            "kind": self.method.kind,
            "role": self.role.document,
            "axes": sorted(self.method.axes),
            "n": self.n,
            "n_train": info.n_train,
            "n_val": info.n_val,
            "image_bytes": info.image_bytes,
            "notes": list(info.notes),
        }
        more = {"buys": self.buys, "protocol": self.declared}
        return found | {name: value for name, value in more.items() if value is not None}


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

    def write(self, path: Path) -> None:
        """Keep the plan, skips included, as ``plan.jsonl``."""
        lines = [
            {"kind": n.kind, "key": n.key, "title": n.title, "state": n.state, "reason": n.reason}
            for n in self.nodes.values()
        ]
        lines += [
            {"kind": "skip", "key": None, "title": f"{e.row} {e.budget.label if e.budget else ''}", "state": "skipped",
             "reason": e.skip}
            for e in self.entries if e.skip is not None and e.r == 0 and e.e == 0
        ]  # fmt: skip
        atomic_write(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def make(grid: Grid) -> Plan:
    """Lay out the graph of a grid.

    Raises:
        UsageError: If none of the requested methods has a cell that can run; the message gives the reason.
    """
    planner = _Planner(grid)
    for data in grid.data:
        for arch in grid.archs(data):
            students = {protocol.id: grid.students(protocol, arch) for protocol in grid.protocols}
            every = [*grid.named_students, *(name for names, _ in students.values() for name in names)]
            for eval_arch in dict.fromkeys(every):
                for protocol in grid.protocols:
                    if eval_arch in students[protocol.id][0]:
                        planner.table(TableKey(data, protocol.id, arch, eval_arch), protocol)
            planner.notes |= {note: None for _, note in students.values() if note is not None}
    plan = planner.finish()
    requested = {row.label for row in grid.rows if row.requested and row.method.kind != "reference"}
    skips = [entry.skip for entry in plan.entries if entry.row in requested]
    if requested and not any(skip is None for skip in skips):
        reasons = dict.fromkeys(f"{e.row}: {e.skip}" for e in plan.entries if e.row in requested and e.skip)
        raise UsageError("no cell can run: " + ("; ".join(reasons) or "everything is excluded"))
    return plan


class _Planner:
    """Collects nodes, each once; evaluations of references go last because they take longest."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.plan = Plan(grid)
        self.last: dict[str, Node] = {}
        self.notes: dict[str, None] = {}
        self.cells: dict[tuple[Any, ...], list[tuple[GridCell, str | None]]] = {}
        self.refused: set[str] = set()

    def finish(self) -> Plan:
        self.plan.nodes |= self.last
        served = {entry.cell for entry in self.plan.entries}
        served |= {key for node in self.plan.nodes.values() for key in node.needs}
        for key in self.refused - served:  # sets that no protocol can evaluate
            del self.plan.nodes[key]
        self.plan.notes = list(self.notes)
        return self.plan

    def table(self, table: TableKey, protocol: Protocol) -> None:
        native = protocol.info.follows_recipe
        whole_done: set[str] = set()
        for budget in self.grid.budgets:
            for row in self.grid.rows:
                spans_all = row.method.kind == "reference"
                if row.label in whole_done or self._left_out(row, table, budget, protocol):
                    continue
                if spans_all:
                    whole_done.add(row.label)
                if native and row.method.kind != "distillation" and not row.method.own_labels:
                    continue
                for cell, key in self.row_cells(row, table.data, budget, table.arch):
                    self.evaluations(table, protocol, cell, key, None if spans_all else budget)
                    if native:
                        self.under_recipe(table, protocol, cell, key, budget)

    def _left_out(self, row: Row, table: TableKey, budget: Budget, protocol: Protocol) -> bool:
        where = {"eval_arch": table.eval_arch, "protocol": protocol.info.name}
        return self.grid.excluded(row, table.data, budget, table.arch, **where)

    def row_cells(self, row: Row, data: Data, budget: Budget, arch: str) -> list[tuple[GridCell, str | None]]:
        """The repetitions of a row with the keys of their nodes (None for skips), planned once."""
        place = (row.label, id(data), budget, arch)
        if place not in self.cells:
            found = list(self.grid.cells(row, data, budget, arch))
            self.cells[place] = [(cell, None if cell.skip else self.cell(cell)) for cell in found]
            self.notes |= {note: None for cell in found for note in cell.notes}
        return self.cells[place]

    # ------------------------------------------------------------------------------------------------------- nodes

    def artifact(self, spec: ArtifactSpec) -> str:
        kind = self.grid.registries.artifacts.get(spec.kind)
        try:
            params = import_target(kind.params).model_validate(spec.params)
        except ValidationError as error:
            raise UsageError(f"artifact {spec.kind}: {error.errors()[0]['msg']}") from None
        spec = self.grid.registries.with_origins(spec.model_copy(update={"params": params.model_dump(mode="json")}))
        needs = self.whitening(spec)
        key = artifact_key(spec, kind.version)
        if key not in self.plan.nodes:
            where = " ".join([spec.data.name, spec.arch or "", f"r{spec.seed['r']}" if "r" in spec.seed else ""])
            document = {"kind": "artifact", "key": key, "artifact": spec.model_dump(mode="json"), "artifacts": needs}
            title = f"{spec.kind} {' '.join(where.split())}"
            self.plan.nodes[key] = Node("artifact", key, title, document, tuple(k for _, k in needs.values()))
        return key

    def whitening(self, spec: ArtifactSpec | CellSpec) -> dict[str, list[str]]:
        """The whitening matrices that images of this preprocessing need: ``{"whitening": [kind, key]}`` or nothing."""
        matrices = artifact_for(spec.data)
        return {} if matrices is None else {"whitening": [matrices.kind, self.artifact(matrices)]}

    def cell(self, cell: GridCell) -> str:
        spec, method = cell.spec, cell.row.method
        used = self.whitening(spec)
        for name, artifact in cell.artifacts.items():
            used[name] = [artifact.kind, self.artifact(artifact)]
        keys = tuple(key for _, key in used.values())
        key = condense_key(spec, method.axes, keys)
        if key not in self.plan.nodes:
            document = {
                "kind": "cell",
                "key": key,
                "cell": spec.model_dump(mode="json"),
                "artifacts": used,
                "folder": spec.budget.slug if "budget" in method.axes else "any",
                "shared": method.kind == "reference",
                "label": cell.row.label,
                "role": cell.row.role.document,
                "profile": self.grid.profile.name,
                "broken": cell.broken,
            }
            title = f"{self._row_title(cell)} {f'r{spec.r}' if 'seed' in method.axes else ''}"
            self.plan.nodes[key] = Node("cell", key, " ".join(title.split()), document, keys, cell.params.steps)
        return key

    @staticmethod
    def _row_title(cell: GridCell) -> str:
        """Row and, where it matters, budget."""
        budget = f" {cell.spec.budget.label}" if "budget" in cell.row.method.axes else ""
        return cell.row.label + budget

    def evaluations(
        self, table: TableKey, protocol: Protocol, cell: GridCell, set_key: str | None, budget: Budget | None,
        *, recipe_of: str | None = None, twin: Row | None = None,
    ) -> None:  # fmt: skip
        """The students of one repetition, as nodes and as entries; under another set's recipe those of a ``twin``."""
        info, row = table.data.info, twin or cell.row
        whole = row.method.kind == "reference"
        n = info.n_train + info.n_val if whole else sum(cell.budget.resolve(info.counts))
        buys = None
        if row.role.kind == "at_bytes" and budget is not None:
            column = budget.model_dump(mode="json")
            buys = {"of": list(row.role.of), "images": sum(cell.per_class), "budget": column}
        for e in range(1 if whole or not protocol.info.trains_student else self.grid.eval_seeds):
            entry = Entry(
                table, row.label, row.role, row.method, budget, cell.spec.r, e, n, set_key, None, cell.skip, buys,
                protocol.declared,
            )  # fmt: skip
            if set_key is not None:
                entry = self.evaluation(entry, protocol, cell, set_key, recipe_of)
            self.plan.entries.append(entry)

    def evaluation(
        self, entry: Entry, protocol: Protocol, cell: GridCell, set_key: str, recipe_of: str | None
    ) -> Entry:
        """The entry with the key of its node, or with the protocol's reason why there is none."""
        table, e = entry.table, entry.e
        student = self.grid.student(table.eval_arch)
        resolved = protocol.resolve(n=entry.n, data=table.data.info, student=student, profile=self.grid.profile)
        if recipe_of is not None:
            resolved = resolved.model_copy(update={"recipe_of": recipe_of})
        spec = self._eval_spec(table, protocol, cell, set_key, resolved.model_dump(mode="json"), e)
        skip, declared = protocol.ask(resolved, PlannedEvaluation(spec, cell.spec), table.data.info)
        if skip is not None:
            self.refused.add(set_key)
            return replace(entry, cell=None, skip=skip)
        used = {name: [artifact.kind, self.artifact(artifact)] for name, artifact in declared.items()}
        spec = spec.model_copy(update={"artifacts": tuple(sorted(key for _, key in used.values()))})
        key = eval_key(spec)
        found = replace(entry, evaluation=key)
        nodes = self.last if cell.row.method.kind == "reference" else self.plan.nodes
        if key in nodes:
            return found
        document = {
            "kind": "evaluation",
            "key": key,
            "eval": spec.model_dump(mode="json"),
            "set": self.plan.nodes[set_key].document,
            "label": entry.row,
            "facts": entry.facts,
            "whole": cell.row.method.kind == "reference",
            "recipe": None if recipe_of is None else self.plan.nodes[recipe_of].document,
            "choice": None,
        }
        if used:
            document["artifacts"] = used
        needs = [set_key, *([recipe_of] if recipe_of else []), *spec.artifacts]
        chooser = self._chooser(table, cell, spec) if len(resolved.lr) > 1 else None
        if chooser is not None and chooser["key"] != key:
            if chooser["key"] not in nodes:
                protocol.refuse("unsupported or artifacts answer differently for another seed of the same row")
            document["choice"] = chooser
            needs.append(chooser["key"])
        title = f"{self._row_title(cell)} r{cell.spec.r} · {protocol.id} {table.eval_arch} e{e}"
        nodes[key] = Node("evaluation", key, title, document, tuple(needs), resolved.updates)
        return found

    def _eval_spec(
        self, table: TableKey, protocol: Protocol, cell: GridCell, set_key: str, params: dict[str, Any], e: int
    ) -> EvalSpec:
        # A reference has one set for all repetitions; its students are still paired with the methods' students by r.
        return EvalSpec(
            set=set_key, protocol=protocol.info.name, protocol_version=protocol.info.version, protocol_params=params,
            arch=table.eval_arch, master=cell.spec.master, r=cell.spec.r, e=e,
            origins=self.grid.registries.origins(protocol=protocol.info.name, arch=table.eval_arch),
        )  # fmt: skip

    def _chooser(self, table: TableKey, cell: GridCell, spec: EvalSpec) -> dict[str, Any]:
        """The evaluation of the row's first repetition and student, whose learning rate all others reuse."""
        planned = self.row_cells(cell.row, table.data, cell.budget, table.arch)
        r, key = next((other.spec.r, key) for other, key in planned if key is not None)
        chooser = spec.model_copy(update={"set": key, "r": r, "e": 0})
        return {"key": eval_key(chooser), "set": self.plan.nodes[key].document}

    def under_recipe(
        self, table: TableKey, protocol: Protocol, cell: GridCell, key: str | None, budget: Budget
    ) -> None:
        """``random`` of the same repetition, and the row's own controls, trained as this cell's set wants it."""
        if key is None:
            return
        for row in self.grid.rows:
            beside = row.control_of is not None and cell.row.requested and row.method.name in cell.row.method.controls
            plain = row.method.name == RANDOM and row.role.kind == "reference"
            name = f"{row.label}{RECIPE_OF}{cell.row.label})"
            twin = replace(row, label=name, role=Role("twin", (cell.row.label,)))
            if not (plain or beside) or self._left_out(twin, table, budget, protocol):
                continue
            made = self.row_cells(row, table.data, budget, table.arch)
            found = next((pair for pair in made if pair[0].spec.r == cell.spec.r), None)
            if found is None or (beside and not found[0].artifacts.items() <= cell.artifacts.items()):
                continue  # excluded, or the control of another pool
            self.evaluations(table, protocol, *found, budget, recipe_of=key, twin=twin)


def listing(plan: Plan) -> Iterator[dict[str, Any]]:
    """One row per node and skip, as `ddbench plan` prints them."""
    for node in plan.nodes.values():
        if node.state != "unneeded":
            yield {"node": node.title, "key": short(node.key), "state": node.state, "forecast_s": node.forecast_s,
                   "reason": node.reason or ""}  # fmt: skip
    for entry in plan.entries:
        if entry.skip is not None and entry.r == 0 and entry.e == 0:
            where = f"{entry.row} {entry.budget.label if entry.budget else ''}"
            yield {"node": where, "key": "", "state": "skip", "forecast_s": None, "reason": entry.skip}
