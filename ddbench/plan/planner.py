"""Lays out the graph of nodes that a grid needs. No torch, no look-ups."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ddbench.core.documents import (
    ArtifactDocument,
    Artifacts,
    Bought,
    CellDocument,
    Choice,
    EvaluationDocument,
    Short,
    precision_of,
)
from ddbench.core.errors import UsageError
from ddbench.core.keys import artifact_key, condense_key, eval_key
from ddbench.core.plugin.kinds import Kind
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.roles import RECIPE_OF, Role
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DataSpec, EvalSpec, PlannedEvaluation, Precision
from ddbench.core.words import plural
from ddbench.data.dataset import Data
from ddbench.data.space.ids import artifact_for
from ddbench.models.fused.offered import IN_BF16
from ddbench.plan.controls import images_for
from ddbench.plan.graph import Entry, Node, Plan, TableKey
from ddbench.plan.grid import Grid, GridCell
from ddbench.plan.omissions import equal_to, no_probabilities, why_left_out
from ddbench.plan.rows import Row
from ddbench.plan.size import check_size


def make(grid: Grid) -> Plan:
    """Lay out the graph of a grid.

    Raises:
        UsageError: If none of the requested methods has a cell that can run; the message gives the reason.
    """
    check_size(grid)
    planner = Planner(grid)
    for data in grid.data:
        for arch in grid.archs(data):
            planner.tables(data, arch)
    plan = planner.finish()
    requested = {row.label for row in grid.rows if row.requested and row.method.kind != "reference"}
    skips = {f"{entry.row}: {entry.skip}": entry.skip for entry in plan.entries if entry.row in requested}
    if requested and all(skips.values()):
        raise UsageError("no cell can run: " + ("; ".join([*skips, *planner.left]) or "everything is excluded"))
    return plan


def _bf16(precision: Precision) -> list[str]:
    """What titles say of it."""
    return [] if precision == "fp32" else [precision]


def _tell_apart(nodes: Sequence[Node]) -> None:
    """Add to the titles of artifacts that have one title the parameters in which they differ."""
    alike: dict[str, list[tuple[Node, dict[str, Any]]]] = {}
    for node in nodes:
        if isinstance(node.document, ArtifactDocument):
            alike.setdefault(node.title, []).append((node, node.document.artifact.params))
    for members in alike.values():
        values = {name: {repr(params.get(name)) for _, params in members} for _, params in members for name in params}
        differing = [name for name, seen in values.items() if len(seen) > 1]
        for node, params in members if differing else []:
            node.title += f" ({', '.join(f'{name} {params.get(name)}' for name in differing)})"


CHOOSES = ", chooses the learning rate"
"""Ends the titles of nodes that stand in no table."""


class Planner:
    """Collects nodes, each once; evaluations of references go last because others tell how long they take."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.plan = Plan(grid)
        self.last: dict[str, Node] = {}
        self.notes: dict[str, None] = {}
        self.cells: dict[tuple[Any, ...], dict[int, tuple[GridCell, str | None]]] = {}
        self.refused: set[str] = set()
        self.left: dict[str, Row] = {}
        self.kinds: dict[str, Kind] = {}
        self.places = {row.label: place for place, row in enumerate(grid.rows, 1)}

    def finish(self) -> Plan:
        """The plan, with references last and its notes."""
        self.plan.nodes |= self.last
        gone = [self.made(key) for key in self.refused - self._served()]  # sets that no protocol can evaluate
        for made in gone:
            del self.plan.nodes[made.key]
        for key in {made.initial.key for made in gone if made.initial is not None} - self._served():
            del self.plan.nodes[key]
        _tell_apart(list(self.plan.nodes.values()))
        for data, budget in itertools.product(self.grid.data, self.grid.budgets):
            if (short := Short.at(budget, data.info.counts)) is not None:
                self.notes[f"{self._shown(data.spec, data.label)}, {budget.label}: {short.text}"] = None
        every, wanted = len(self.grid.repetitions), self.grid.random_seeds
        if 0 < wanted < every:
            why = f"{wanted} for it alone (--random-seeds {wanted}) are fewer, and ignored"
            self.notes[f"random has {plural(every, 'repetition')} like every row: {why}"] = None
        self.plan.notes = [*self.notes, *(why for why, row in self.left.items() if row.role.kind != "reference")]
        return self.plan

    def _served(self) -> set[str | None]:
        """Keys of the nodes that an entry of a table, or another node, is there for."""
        served = {entry.cell for entry in self.plan.entries}
        return served | {key for node in self.plan.nodes.values() for key in node.needs}

    def tables(self, data: Data, arch: str) -> None:
        """Those of every student network that some protocol evaluates, and of every such protocol."""
        students = {protocol.id: self.grid.students(protocol, arch) for protocol in self.grid.protocols}
        every = [*self.grid.named_students, *(name for names, _ in students.values() for name in names)]
        for eval_arch in dict.fromkeys(every):
            for protocol in self.grid.protocols:
                if eval_arch in students[protocol.id][0]:
                    self.table(TableKey(data, protocol.id, arch, eval_arch), protocol)
        self.notes |= {note: None for _, note in students.values() if note is not None}

    def table(self, table: TableKey, protocol: Protocol) -> None:
        """The entries of one table, with their nodes."""
        native = protocol.info.follows_recipe
        whole_done: set[str] = set()
        for budget in self.grid.budgets:
            for row in self.grid.rows:
                spans_all = row.method.kind == "reference"
                if row.label in whole_done or self._left_out(row, table, budget, protocol):
                    continue
                if spans_all:
                    whole_done.add(row.label)
                why = why_left_out(row, protocol, self.grid.rows, self.grid.registries)
                if why is not None:
                    if row.requested:
                        self.left[why] = row
                    continue
                repetitions = self.grid.repetitions_of(row, protocol.info)
                for cell, key in self.row_cells(row, table.data, budget, table.arch, repetitions):
                    own = native and cell.said.own_student
                    self.evaluations(table, protocol, cell, key, None if spans_all else budget, own=own)
                    if native:
                        self.under_recipe(table, protocol, cell, key, budget)

    def _left_out(self, row: Row, table: TableKey, budget: Budget, protocol: Protocol) -> bool:
        where = {"eval_arch": table.eval_arch, "protocol": protocol.info.name}
        return self.grid.excludes(row, table.data, budget, table.arch, **where)

    def row_cells(
        self, row: Row, data: Data, budget: Budget, arch: str, repetitions: Sequence[int] | None = None
    ) -> list[tuple[GridCell, str | None]]:
        """Repetitions of a row (the grid's) with the keys of their nodes (None for skips), planned once."""
        wanted = self.grid.repetitions if repetitions is None else repetitions
        known = self.cells.setdefault((row.label, row.role, id(data), budget, arch), {})
        for found in self.grid.cells(row, data, budget, arch, [r for r in wanted if r not in known]):
            cell = self.begun(found)
            known[cell.spec.r] = cell, None if cell.skip else self.cell(cell)
            self.notes |= dict.fromkeys(() if cell.skip else cell.notes)
        return [known[r] for r in wanted if r in known]

    def begun(self, cell: GridCell) -> GridCell:
        """The cell with the key of the set that it starts from, which is planned if need be; a skip without that."""
        start = cell.row.initial
        if start is None or cell.skip:
            return cell
        found = self.row_cells(start, cell.data, cell.budget, cell.spec.arch, [cell.spec.r])
        other, key = found[0] if found else (None, None)
        if key is None:
            why = "is excluded" if other is None else f"has no set: {other.skip}"
            return replace(cell, skip=f"{start.label}, from whose set it starts, {why}")
        return replace(cell, spec=cell.spec.model_copy(update={"initial": key}))

    # ------------------------------------------------------------------------------------------------------- nodes

    def artifact(self, spec: ArtifactSpec, asker: str) -> str:
        """The key of an artifact's node; ``asker``: who declares the artifact, for messages."""
        if spec.kind not in self.kinds:
            self.kinds[spec.kind] = Kind.find(spec.kind, self.grid.registries)
        kind = self.kinds[spec.kind]
        spec = self.grid.registries.with_origins(kind.completed(spec, asker))
        precision: Precision = "fp32"
        if kind.info.bf16 and spec.arch is not None and not spec.params.get("source"):
            precision = self.precision(spec.arch, spec.kind)
        spec = spec.model_copy(update={"precision": precision})
        needs = self.whitening(spec)
        key = artifact_key(spec, kind.info.version)
        if key not in self.plan.nodes:
            repetition = f"r{spec.seed['r']}" if "r" in spec.seed else ""
            data = self._shown(spec.data, spec.data.name)
            title = " ".join([spec.kind, data, spec.arch or "", *_bf16(spec.precision), repetition])
            document = ArtifactDocument(key=key, artifact=spec, artifacts=needs)
            self.plan.nodes[key] = Node(" ".join(title.split()), document, tuple(k for _, k in needs.values()))
        return key

    def precision(self, arch: str, what: str) -> Precision:
        """What a network is trained in where the suite may say so; ``what``: that needs it, for messages.

        Raises:
            UsageError: If the suite wants bfloat16, which was not shown to be as accurate for this network.
        """
        wanted = self.grid.suite.precision
        if wanted == "bf16" and (arch not in IN_BF16 or self.grid.registries.origins(arch=arch)):
            raise UsageError(
                f"precision bf16: {what} of {arch}: only {', '.join(IN_BF16) or 'none'} were shown to be as accurate "
                "when trained in bfloat16 (docs/explanation/precision.md); name such with --archs, or leave bf16 out"
            )
        return wanted

    def whitening(self, spec: ArtifactSpec | CellSpec) -> Artifacts:
        """The whitening matrices that images of this preprocessing need: ``{"whitening": (kind, key)}`` or nothing."""
        matrices = artifact_for(spec.data)
        if matrices is None:
            return {}
        return {"whitening": (matrices.kind, self.artifact(matrices, f"preprocessing {spec.data.preprocess}"))}

    def cell(self, cell: GridCell) -> str:
        """The key of a cell's node, which is planned with its artifacts."""
        spec, method = cell.spec, cell.row.method
        used = self.whitening(spec)
        asker = f"method {method.name!r} ({self.grid.registries.methods.origin(method.name).distribution})"
        for name, artifact in cell.said.artifacts.items():
            used[name] = artifact.kind, self.artifact(artifact, asker)
        keys = tuple(key for _, key in used.values())
        key = condense_key(spec, method.axes, keys)
        if key not in self.plan.nodes:
            starts = (spec.initial,) if spec.initial else ()
            document = CellDocument(
                key=key, cell=spec, artifacts=used, folder=spec.budget.slug if "budget" in method.axes else "any",
                shared=method.kind == "reference", label=cell.row.label, role=cell.row.role,
                profile=self.grid.profile.name, broken=cell.broken,
                bf16=tuple(sorted(name for name, (_, one) in used.items() if self._in_bf16(one))),
                initial=self.made(spec.initial) if starts else None,
            )  # fmt: skip
            title = f"{self._row_title(cell)} {f'r{spec.r}' if 'seed' in method.axes else ''}"
            shown = " ".join(title.split()) + ("" if document.reported else CHOOSES)
            self.plan.nodes[key] = Node(shown, document, keys + starts, cell.said.steps)
        return key

    def _in_bf16(self, artifact: str) -> bool:
        return precision_of(self.plan.nodes[artifact].document) == "bf16"

    def _row_title(self, cell: GridCell, row: str = "") -> str:
        """Row (the cell's, or a twin's) and, where it matters, budget, data set and condensing network."""
        axes = cell.row.method.axes
        budget = cell.spec.budget.label if "budget" in axes else ""
        arch = cell.spec.arch if "arch" in axes and len(set(self.grid.archs(cell.data))) > 1 else ""
        return " ".join(part for part in (row or cell.row.label, budget, self._shown(cell.data.spec), arch) if part)

    def _shown(self, data: DataSpec, alone: str = "") -> str:
        """Label of one of several data sets (``alone``: of the only one), and one of several preprocessings."""
        labels = {item.label for item in self.grid.data}
        its = (item.label for item in self.grid.data if (item.spec.name, item.spec.view) == (data.name, data.view))
        several = len({item.spec.preprocess for item in self.grid.data}) > 1
        return f"{next(its, data.name) if len(labels) > 1 else alone} {data.preprocess if several else ''}".strip()

    def evaluations(
        self, table: TableKey, protocol: Protocol, cell: GridCell, set_key: str | None, budget: Budget | None,
        *, own: bool, recipe_of: str | None = None, twin: Row | None = None,
    ) -> None:  # fmt: skip
        """The students of one repetition, as nodes and as entries; under another set's recipe those of a ``twin``.

        ``own``: they start from the recipe's own initial state, which one student of one network can.
        """
        info, row = table.data.info, twin or cell.row
        whole = row.method.kind == "reference"
        n: int | None = info.n_train + info.n_val if whole else sum(cell.budget.resolve(info.counts))
        if cell.skip is not None and not whole and cell.budget.misfit(info.counts) is not None:
            n = None
        buys = None
        if row.role.buys and row.control_of is not None and budget is not None:
            uint8 = images_for(row.control_of, info, budget, self.grid.profile, "at_uint8")
            buys = Bought(of=row.role.of, images=sum(cell.per_class), budget=budget, uint8=uint8)
        for e in range(1 if whole or own or not protocol.info.trains_student else self.grid.eval_seeds):
            entry = Entry(
                table, row.label, row.role, row.method, budget, cell.spec.r, e, n, set_key, None, cell.skip, buys,
                protocol.declared, own, self.places[row.role.of[0] if row.role.kind == "twin" else row.label],
            )  # fmt: skip
            why = None
            if own and table.eval_arch != table.arch:
                why = f"trained from an initial state of {table.arch}, which no student of {table.eval_arch} can have"
            elif cell.said.own_student and not own:
                why = f"made for one initial state, which students have under its own recipe, not under {protocol.id}"
            if set_key is not None and why is not None:
                self.refused.add(set_key)
                entry = replace(entry, cell=None, skip=why)
            elif set_key is not None:
                entry = self.evaluation(entry, protocol, cell, set_key, recipe_of)
            self.plan.entries.append(entry)

    def evaluation(
        self, entry: Entry, protocol: Protocol, cell: GridCell, set_key: str, recipe_of: str | None
    ) -> Entry:
        """The entry with the key of its node, or with the protocol's reason why there is none."""
        table, e = entry.table, entry.e
        assert entry.n is not None  # a budget that does not fit is skipped
        student = self.grid.student(table.eval_arch)
        resolved = protocol.resolve(n=entry.n, data=table.data.info, student=student, profile=self.grid.profile)
        if recipe_of is not None:
            resolved = resolved.model_copy(update={"recipe_of": recipe_of})
        spec = self._eval_spec(table, protocol, cell, set_key, resolved.model_dump(mode="json"), e)
        planned = PlannedEvaluation(spec, cell.spec, cell.seen(entry.n))
        skip, declared = protocol.ask(resolved, planned, table.data.info)
        skip = equal_to(cell.row, protocol) or skip or no_probabilities(cell.said, protocol)
        if skip is not None:
            self.refused.add(set_key)
            return replace(entry, cell=None, skip=skip)
        asker = f"protocol {protocol.info.name!r} ({protocol.plugin})"
        used = {name: (artifact.kind, self.artifact(artifact, asker)) for name, artifact in declared.items()}
        spec = spec.model_copy(update={"artifacts": tuple(sorted(key for _, key in used.values()))})
        key = eval_key(spec)
        found = replace(entry, evaluation=key)
        nodes = self.last if cell.row.method.kind == "reference" else self.plan.nodes
        if key in nodes:
            return found
        needs = [set_key, *([recipe_of] if recipe_of else []), *spec.artifacts]
        chooser = None
        if len(resolved.lr) > 1 and not protocol.info.follows_recipe:
            chooser = self._chooser(entry, protocol, cell)
        if isinstance(chooser, str):
            self.refused.add(set_key)
            return replace(entry, cell=None, skip=chooser)
        if chooser is not None:
            needs.append(chooser.key)
        document = EvaluationDocument(
            key=key, eval=spec, set=self.made(set_key), label=entry.row, facts=entry.facts,
            recipe=None if recipe_of is None else self.made(recipe_of), choice=chooser, artifacts=used,
        )  # fmt: skip
        network = " ".join([table.eval_arch, *_bf16(spec.precision)])
        title = f"{self._row_title(cell, entry.row)} r{cell.spec.r} · {protocol.id} {network} e{e}"
        shown = title if document.reported else title + CHOOSES
        nodes[key] = Node(shown, document, tuple(needs), resolved.updates)
        return found

    def made(self, key: str) -> CellDocument:
        """The document of a set that is planned."""
        document = self.plan.nodes[key].document
        assert isinstance(document, CellDocument)
        return document

    def _eval_spec(
        self, table: TableKey, protocol: Protocol, cell: GridCell, set_key: str, params: dict[str, Any], e: int
    ) -> EvalSpec:
        # A reference has one set for all repetitions; its students are still paired with the methods' students by r.
        whole = cell.row.method.kind == "reference" and protocol.info.trains_student
        return EvalSpec(
            set=set_key, protocol=protocol.info.name, protocol_version=protocol.info.version, protocol_params=params,
            arch=table.eval_arch, master=cell.spec.master, r=cell.spec.r, e=e,
            origins=self.grid.registries.origins(protocol=protocol.info.name, arch=table.eval_arch),
            precision=self.precision(table.eval_arch, cell.row.label) if whole else "fp32",
        )  # fmt: skip

    def _chooser(self, entry: Entry, protocol: Protocol, cell: GridCell) -> Choice | str | None:
        """The evaluation whose learning rate an entry's reuses, planned if need be, or why it cannot be had.

        None where it chooses itself.
        """
        r, table = protocol.info.chooser(entry.r), entry.table
        if (entry.r, entry.e) == (r, 0):
            return None
        ((other, set_key),) = self.row_cells(cell.row, table.data, cell.budget, table.arch, [r])
        why = other.skip
        if set_key is not None:
            found = self.evaluation(replace(entry, r=r, e=0), protocol, other, set_key, None)
            if found.evaluation is not None:
                return Choice(key=found.evaluation, set=self.made(set_key), r=r)
            why = found.skip
        return f"repetition {r}, which chooses the learning rate: {why}"

    def under_recipe(
        self, table: TableKey, protocol: Protocol, cell: GridCell, key: str | None, budget: Budget
    ) -> None:
        """``random`` of the same repetition, and the row's own controls, trained as this cell's set wants it."""
        if key is None or no_probabilities(cell.said, protocol) is not None:
            return
        for row in self.grid.rows:
            stands = self.grid.suite.controls and row.control_of is not None and row.initial is None
            beside = stands and cell.row.requested and row.method.name in cell.row.method.controls
            name = f"{row.label}{RECIPE_OF}{cell.row.label})"
            twin = replace(row, label=name, role=Role("twin", (cell.row.label,)))
            if not (row.is_random or beside) or self._left_out(twin, table, budget, protocol):
                continue
            made = self.row_cells(row, table.data, budget, table.arch)
            found = next((pair for pair in made if pair[0].spec.r == cell.spec.r), None)
            if found is None or (beside and not found[0].said.artifacts.items() <= cell.said.artifacts.items()):
                continue  # excluded, or the control of another pool
            self.evaluations(table, protocol, *found, budget, own=cell.said.own_student, recipe_of=key, twin=twin)
