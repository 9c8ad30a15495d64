"""Observations → tables: which rows stand under which budgets in which table, what is bold, what needs a footnote."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, NamedTuple

from ddbench.core.documents import Short
from ddbench.core.infos import Standing
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.records import Record
from ddbench.core.roles import Role, baseline_of
from ddbench.core.specs import TUNE, Budget
from ddbench.results.tables.cells import Cell, cell_of
from ddbench.results.tables.differences import Compared, Differences, differences
from ddbench.results.tables.engines import in_bf16, mixed_engines, mixed_threads
from ddbench.results.tables.families import ColumnFamily, column_family
from ddbench.results.tables.figures import mark_source
from ddbench.results.tables.notes import annotated
from ddbench.results.tables.observations import Observation, Setting, observe
from ddbench.results.tables.protocols import declared_by
from ddbench.results.tables.versions import outdated


@dataclass(frozen=True, slots=True)
class BudgetColumn:
    """A budget.

    Attributes:
        budget: The budget itself.
        n: Images of a set; None when no record says.
        share: n as a percentage of the training images; None when unknown or when the budget exceeds them.
        short: Classes that have fewer images than its ipc; None: there are none, as far as records say.
    """

    budget: Budget
    n: int | None
    share: float | None
    short: Short | None = None

    @property
    def label(self) -> str:
        """``ipc 10 (8.4 %)``, ``10 % (120)``."""
        if self.budget.ipc is None:
            return self.budget.label + (f" ({self.n})" if self.n is not None else "")
        if self.share is None:
            return self.budget.label
        return (
            f"{self.budget.label} ({self.share:.1f} %)"
            if self.share >= 0.05
            else f"{self.budget.label} ({self.share:.1g} %)"
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A method with its params.

    Attributes:
        label: What it is called.
        role: What it is.
        method: Name of the method; ``kind`` its kind.
        source: ``measured``, ``imported`` or ``reported``.
        cells: One per column, None where there is no record; a reference has one that spans all columns.
        n: Images of a reference's set, None for others.
        marks: Numbers of the footnotes of the whole row.
    """

    label: str
    role: Role
    method: str
    kind: str
    source: str
    cells: tuple[Cell | None, ...]
    n: int | None
    marks: tuple[int, ...] = ()

    @property
    def shown_label(self) -> str:
        """The label wherever people read it: ``label`` alone is what rows are found and joined by."""
        return mark_source(self.label, self.source)

    @property
    def spans(self) -> bool:
        """Whether its one cell spans all columns."""
        return self.kind == "reference"

    def unmeasured(self, cell: Cell) -> bool:
        """Whether it is a reference that was left out because it takes too long, which is then the text of its cell."""
        return self.spans and cell.status == "skipped" and not cell.scores

    @property
    def competes(self) -> bool:
        """Whether it is a method's own result, made here, for any student: what verdicts and ranks are about.

        A row that equals another one where labels are not learned has none there.
        """
        equal = any(cell is not None and cell.equals for cell in self.cells)
        return self.role.kind == "method" and self.source == "measured" and not (equal or self.own_student)

    @property
    def own_student(self) -> bool:
        """Whether its students start from initial states that sets hold: it is shown apart."""
        return any(cell is not None and cell.own_student for cell in self.cells)


class Filled(NamedTuple):
    """A cell with a record, and where it stands.

    Attributes:
        row: Its row.
        place: Which of the row's cells it is.
        column: Its column; None for a reference, which spans all.
        cell: The cell itself.
    """

    row: Row
    place: int
    column: BudgetColumn | None
    cell: Cell

    @property
    def budget(self) -> str:
        """Label of the column, ``all images`` for a reference."""
        return "all images" if self.column is None else self.column.label


@dataclass(frozen=True, slots=True)
class Table:
    """Comparable results.

    Attributes:
        setting: What they have in common; every field known.
        dataset: Label of the data set.
        named: The same for people: with the revision, where tables of several revisions are shown.
        preprocess: Preprocessing id.
        split: As in :class:`ddbench.core.specs.DataSpec`.
        columns: Budgets, ascending.
        rows: References, then methods, then controls, each in order of appearance.
        footnotes: Text of footnote 1, 2, …
        notes: What a reader must know about the data set.
        engines: Which code paths computed it, where there are several; else empty.
        threads: With how many CPU threads it was computed, where these were not the same; else empty.
        in_bf16: What was trained in bfloat16; empty: nothing.
        outdated: What other versions of a method, protocol or artifact kind made, a line each.
        n_test: Test images, None when nothing was tested.
        families: Verdicts on the methods of each column.
        versus_random: Differences to ``random``, None without enough repetitions.
        standing: How its protocol is shown, and what it is held against.
        trains_student: Whether its protocol trains a network; without, all students' tables may be held against it.
        follows_recipe: Whether its rows are trained by their own recipes, of which ``full`` has none.
    """

    setting: Setting
    dataset: str
    named: str
    preprocess: str
    split: str
    columns: tuple[BudgetColumn, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]
    engines: str
    threads: str
    in_bf16: str
    outdated: tuple[str, ...]
    n_test: int | None
    families: tuple[ColumnFamily, ...]
    versus_random: Differences | None
    standing: Standing
    trains_student: bool
    follows_recipe: bool

    @property
    def source(self) -> tuple[str, str]:
        """Name and revision (content hash) of the data set, whatever the view of it."""
        data: dict[str, Any] = json.loads(self.setting.data)
        return str(data["name"]), str(data.get("revision"))

    @property
    def data_origin(self) -> str:
        """Who registered the data set; "" for ddbench's own and for images read from a path."""
        return str(json.loads(self.setting.data).get("origin", ""))

    @property
    def short(self) -> list[str]:
        """Of each column, which classes have fewer images than its ipc; no line where none has."""
        return [f"{column.budget.label}: {column.short.text}" for column in self.columns if column.short is not None]

    def filled(self) -> list[Filled]:
        """All cells with a record in the order of rows and columns, references too."""
        return [
            Filled(row, index, None if row.spans else self.columns[index], cell)
            for row in self.rows
            for index, cell in enumerate(row.cells)
            if cell is not None
        ]

    def cells_at(self, budget: Budget) -> dict[str, Cell]:
        """Label → the row's cell at a budget; a reference has one for all."""
        return {one.row.label: one.cell for one in self.filled() if one.column is None or one.column.budget == budget}

    def cells(self) -> list[Cell]:
        """All cells with a record, references left out."""
        return [cell for row in self.rows if not row.spans for cell in row.cells if cell is not None]


def tables_of(records: Sequence[Record], observed: Sequence[Observation] | None = None) -> list[Table]:
    """The tables that the records fill, in order of first appearance; of several students the condensing network first.

    Args:
        records: Condensations and evaluations, of a run (:func:`ddbench.plan.collect.collect`), a folder, a file.
        observed: What :func:`ddbench.results.tables.observations.observe` makes of them; None: it is asked here.
    """
    groups: dict[Setting, list[Observation]] = {}
    for observation in observe(records) if observed is None else observed:
        groups.setdefault(observation.setting, []).append(observation)
    # References are shared by all results folders: a table of nothing else belongs to a run of another folder.
    held_against = {s: members for s, members in groups.items() if any(o.kind != "reference" for o in members)}
    return _named_apart([_table(setting, members) for setting, members in _own_first(held_against or groups)])


def _own_first(groups: dict[Setting, list[Observation]]) -> list[tuple[Setting, list[Observation]]]:
    """Tables that differ in the student alone stand together, where the first of them stood."""
    places: dict[Setting, int] = {}
    for setting in groups:
        places.setdefault(replace(setting, eval_arch=None), len(places))
    return sorted(
        groups.items(), key=lambda item: (places[replace(item[0], eval_arch=None)], item[0].eval_arch != item[0].arch)
    )


def _named_apart(tables: list[Table]) -> list[Table]:
    """Tables of several revisions of one data set, or of several plugins' data sets of one name, have other names."""
    found: dict[str, set[tuple[str, str]]] = {}
    for table in tables:
        found.setdefault(table.dataset, set()).add((table.source[1], table.data_origin))
    return [_named_apart_from(table, found[table.dataset]) for table in tables]


def _named_apart_from(table: Table, others: set[tuple[str, str]]) -> Table:
    parts = []
    if len({revision for revision, _ in others}) > 1:
        parts.append(f"revision {table.source[1][:8]}")
    if len({origin for _, origin in others}) > 1:
        parts.append(f"of {table.data_origin[:8] or FIRST_PARTY}")
    return replace(table, named=f"{table.dataset} ({', '.join(parts)})") if parts else table


def _table(setting: Setting, observations: list[Observation]) -> Table:
    data: dict[str, Any] = json.loads(setting.data)
    columns = _columns(observations)
    by_row: dict[str, list[Observation]] = {}
    for observation in sorted(observations, key=standing):
        by_row.setdefault(observation.row, []).append(observation)
    plain = [_row(label, members, columns) for label, members in by_row.items()]
    judged = data.get("split") != TUNE  # configurations are chosen by a ledger, not judged
    families = tuple(column_family(_competing(plain, place) if judged else {}) for place in range(len(columns)))
    places = [family.places([*family.rows, *family.conditional]) for family in families]
    rows = [row if row.spans else _placed(row, families, places) for row in plain]
    declared = declared_by(str(setting.protocol), [o.facts for o in observations])
    rows, footnotes = annotated(rows, by_row, columns, declared.trains_student)
    dataset = next((o.facts.dataset for o in observations if o.facts.dataset), data["name"])
    return Table(
        setting=setting,
        dataset=dataset,
        named=dataset,
        preprocess=data["preprocess"],
        split=data.get("split", "default"),
        columns=columns,
        rows=tuple(rows),
        footnotes=footnotes,
        notes=tuple(dict.fromkeys(note for o in observations for note in o.facts.notes)),
        engines=mixed_engines(observations),
        threads=mixed_threads(observations),
        in_bf16=in_bf16(observations),
        outdated=outdated(observations),
        n_test=next((o.n_test for o in observations if o.n_test is not None), None),
        families=families,
        versus_random=differences(_compared([row for row in rows if not row.spans]), len(columns)),
        **declared._asdict(),
    )


def _compared(rows: Sequence[Row]) -> list[Compared]:
    """What is held against ``random``: not itself, nor the twins that others are held against."""
    found = []
    for row in rows:
        baseline = baseline_of(row, rows)
        if row.role.kind not in ("reference", "twin") and baseline is not None:
            paired = row.role.is_control or baseline.role.kind == "twin"
            found.append(Compared(row.label, row.cells, baseline.cells, row.role.is_control, paired))
    return found


def _group(observation: Observation) -> float:
    """What all rows are held against comes first, everything and then chance; what is no method's own result last.

    Between the methods and that last part stand methods that are shown apart.
    Of everything the one in float32 where it was trained in both precisions: the first one is what scores look at.
    """
    if observation.kind == "reference":
        return 0.5 if "student" in observation.bf16 else 0
    if observation.role.kind == "reference":
        return 1
    return 3 if observation.role.is_control else 2.5 if observation.facts.own_student else 2


def standing(observation: Observation) -> tuple[float, float, bool]:
    """Sorts rows: within its group where the command had it, twins behind it; what does not say where comes last."""
    place = observation.facts.place
    if place is None:
        return _group(observation), math.inf, False
    return _group(observation), place, observation.role.kind == "twin"


def _columns(observations: list[Observation]) -> tuple[BudgetColumn, ...]:
    sizes: dict[Budget, tuple[int | None, int | None]] = {}
    for observation in observations:
        if observation.budget is not None and sizes.get(observation.budget, (None, None))[0] is None:
            sizes[observation.budget] = observation.facts.n, observation.facts.n_train
    short = {o.budget: o.facts.short for o in observations if o.facts.short is not None}
    ordered = sorted(sizes, key=attrgetter("place"))
    return tuple(replace(_column(budget, *sizes[budget]), short=short.get(budget)) for budget in ordered)


def _column(budget: Budget, n: int | None, n_train: int | None) -> BudgetColumn:
    fits = n is not None and n_train is not None and n <= n_train
    return BudgetColumn(budget, n, 100 * n / n_train if fits and n is not None and n_train else None)


def _row(label: str, observations: list[Observation], columns: tuple[BudgetColumn, ...]) -> Row:
    first = observations[0]
    cells: tuple[Cell | None, ...]
    if first.kind == "reference":
        cells = (cell_of(observations),)
    else:
        members = [[o for o in observations if o.budget == column.budget] for column in columns]
        cells = tuple(cell_of(those) if those else None for those in members)
    n = first.facts.n if first.kind == "reference" else None
    return Row(label, first.role, first.method, first.kind, first.source, cells, n)


def _competing(rows: Sequence[Row], place: int) -> dict[str, Cell]:
    """The cells of methods in a column."""
    return {row.label: cell for row in rows if row.competes and (cell := row.cells[place]) is not None}


def _placed(row: Row, families: Sequence[ColumnFamily], places: Sequence[Mapping[str, tuple[int, int]]]) -> Row:
    """A row with what the verdicts of its columns say of it."""

    def judged(cell: Cell, one: ColumnFamily, left: Mapping[str, tuple[int, int]]) -> Cell:
        name = row.label
        return replace(cell, bold=name in one.family.bold, rank=left.get(name), n_needed=one.needed_of(name))

    columns = zip(row.cells, families, places, strict=True)
    return replace(row, cells=tuple(cell and judged(cell, one, left) for cell, one, left in columns))
