"""Footnotes of a table: what a reader must know of rows and cells, each text once, with the rows that it is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ddbench.core.roles import RECIPE_OF
from ddbench.core.words import plural
from ddbench.results.tables.effort import below_published, made_for
from ddbench.results.tables.observations import ORIGIN, Observation

if TYPE_CHECKING:
    from ddbench.results.tables.cells import Cell
    from ddbench.results.tables.tables import BudgetColumn, Row

Members = Mapping[str, Sequence[Observation]]
"""Label of a row → what was observed of it."""


class Note(NamedTuple):
    """A text of rows, whose names stand before it, or of cells, which say it alone."""

    text: str
    of_rows: bool


def annotated(
    rows: Sequence[Row], members: Members, columns: Sequence[BudgetColumn], trains_student: bool
) -> tuple[list[Row], tuple[str, ...]]:
    """The rows with the numbers of their footnotes, and the texts of these from number 1 on."""
    found: dict[Note, list[Row]] = {}

    def numbered(text: str, row: Row, *, of_row: bool = False) -> int:
        note = Note(" ".join(text.split()), of_row)
        found.setdefault(note, []).append(row)
        return list(found).index(note) + 1

    def marked(cell: Cell | None, row: Row) -> Cell | None:
        if cell is None or cell.complete or cell.equals or row.unmeasured(cell):
            return cell
        return replace(cell, marks=(numbered(f"{cell.status}: {cell.reason}".removesuffix(": "), row),))

    equal = _same_sets(rows, members, columns)
    marks = []
    for row in rows:
        texts = _texts(row, members[row.label], columns, trains_student)
        own = tuple(numbered(text, row, of_row=True) for text in texts)
        own += tuple(numbered(text, row) for text in equal.get(row.label, ()))
        marks.append(replace(row, cells=tuple(marked(cell, row) for cell in row.cells), marks=own))
    return marks, tuple(f"{named(those)}: {note.text}" if note.of_rows else note.text for note, those in found.items())


def _same_sets(rows: Sequence[Row], members: Members, columns: Sequence[BudgetColumn]) -> dict[str, list[str]]:
    """Label → at which budgets it and other methods have made one and the same set in each repetition, in words."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for column in columns:
        groups: dict[tuple[tuple[int, str], ...], list[str]] = defaultdict(list)
        for row in (row for row in rows if row.role.kind == "method"):
            here = [o for o in members[row.label] if o.budget == column.budget]
            sets = {(o.r, (o.condensation and o.condensation.set_sha256) or "") for o in here}
            if sets and all(sha256 for _, sha256 in sets):
                groups[tuple(sorted(sets))].append(row.label)
        for labels in groups.values():
            if len(labels) > 1:
                found[tuple(labels)].append(column.budget.label)
    texts: dict[str, list[str]] = defaultdict(list)
    shown = {row.label: row.shown_label for row in rows}
    for group, budgets in found.items():
        for label in group:
            texts[label].append(f"{', '.join(shown[one] for one in group)}: the same sets at {', '.join(budgets)}")
    return texts


def _texts(
    row: Row, observations: Sequence[Observation], columns: Sequence[BudgetColumn], trains_student: bool
) -> list[str]:
    warned = dict.fromkeys(w for o in observations if o.condensation is not None for w in o.condensation.warnings)
    warned |= dict.fromkeys(o.warning for o in observations if o.warning)
    sizes = [*_purchase(row, observations), *_shortfall(row, columns)]
    effort = [*_cut(observations, columns), *below_published(observations)]
    kernels = [] if trains_student else made_for(observations)
    warned |= dict.fromkeys([ORIGIN] * ("origin=" in row.label))
    told = [*warned, *kernels, *_starts(observations), *_students(observations), *_conditions(row, trains_student)]
    return [*told, *sizes, *effort]


def _starts(observations: Sequence[Observation]) -> list[str]:
    """From whose set a row starts."""
    starts = [start for o in observations if o.made is not None and (start := o.made.initial) is not None]
    labels = dict.fromkeys(start.label for start in starts)
    return [f"starts from the set of {label}, and is charged for it as for an artifact" for label in labels]


def _students(observations: Sequence[Observation]) -> list[str]:
    """What students were, where they were no fresh ones of the table's network."""
    own = any(o.facts.own_student for o in observations)
    texts = ["from its own initial state: one student of one network; shown apart, without rank and verdict"] * own
    trained = dict.fromkeys(o.metrics["student"] for o in observations if "student" in o.metrics)
    return [*texts, *(f"students are {name}, as its recipe says" for name in trained)]


def named(rows: Sequence[Row]) -> str:
    """The rows in words: ``dm, mtt (and their 0-step rows), random_soft (recipe of datm, mtt)``."""
    starts = {of: row for row in rows if row.role.kind == "start" for of in row.role.of}
    twins: dict[str, list[Row]] = {}
    plain = []
    for row in rows:
        if row.role.kind == "twin":
            twins.setdefault(row.method, []).append(row)
        elif row.role.kind != "start":
            plain.append(row)
    begun = [row.shown_label for row in plain if row.label in starts]
    alone = [row.shown_label for row in plain if row.label not in starts]
    alone += [row.shown_label for of, row in starts.items() if of not in {other.label for other in plain}]
    theirs = ["its 0-step row" if len(begun) == 1 else "their 0-step rows"]
    first = [f"{', '.join(begun)} (and {theirs[0]})"] if begun else []
    recipes = [
        f"{method}{RECIPE_OF}{', '.join(of for row in members for of in row.role.of)})"
        for method, members in twins.items()
    ]
    return ", ".join([*first, *alone, *recipes])


def _conditions(row: Row, trains_student: bool) -> list[str]:
    """What the ± of a row leaves out."""
    if row.spans:
        return []
    cells = [cell for cell in row.cells if cell is not None]
    shared = sorted({kind for cell in cells for kind in cell.shared})
    texts = [f"conditional on one artifact that all repetitions share ({', '.join(shared)})"] if shared else []
    if any(cell.one_set for cell in cells):
        over = "so ± is over students alone" if trains_student else "and no student is trained: their results are one"
        texts.append(f"all repetitions share one set, {over}")
    return texts


def _purchase(row: Row, observations: Sequence[Observation]) -> list[str]:
    """How many real images the bytes of other rows buy."""
    if not row.role.buys:
        return []
    bought = {o.budget: o.facts.buys for o in observations if o.budget and o.facts.buys}
    columns = sorted(bought, key=attrgetter("place"))
    sizes = ", ".join(f"{bought[budget].images} at {budget.label}" for budget in columns)
    form = " with uint8 images" if row.role.kind == "at_uint8" else ""
    what = f"as many real images as the bytes of {', '.join(row.role.of)}{form} buy, {sizes}"
    return [
        f"not of the column's size: {what}; trained as long, in batches of the column's size"
        + "".join(_as_uint8(row, observations))
    ]


def _as_uint8(row: Row, observations: Sequence[Observation]) -> list[str]:
    """That these rows' sets with uint8 images cost what ``random`` does, where no row of its own says otherwise."""
    told = {(o.facts.buys.uint8, o.facts.n) for o in observations if o.facts.buys}
    same = row.role.kind == "at_bytes" and told and all(uint8 == n for uint8, n in told)
    return ["; with uint8 images their bytes buy as many as random has"] if same else []


def _shortfall(row: Row, columns: Sequence[BudgetColumn]) -> list[str]:
    """How many images an imported set has, where its column's budget has others."""
    if row.spans or row.role.buys:
        return []
    pairs = zip(row.cells, columns, strict=True)
    found = [(cell.own_n, column) for cell, column in pairs if cell is not None and cell.own_n and cell.scores]
    if len(found) == 1:
        return [f"{plural(n, 'image')}; the column's budget has {column.n}" for n, column in found]
    return [f"{plural(n, 'image')}; the budget of {column.budget.label} has {column.n}" for n, column in found]


def _cut(observations: Sequence[Observation], columns: Sequence[BudgetColumn]) -> list[str]:
    """By how much recipes were cut."""
    found = {o.budget: (o.metrics["recipe_updates"], o.updates) for o in observations if "recipe_updates" in o.metrics}
    several = len({o.budget for o in observations}) > 1
    return [
        "its recipe's {:,} updates were cut to {:,}".format(*found[column.budget])
        + (f" at {column.budget.label}" if several else "")
        for column in columns
        if column.budget in found
    ]
