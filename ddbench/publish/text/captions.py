"""The words around a table: the caption that says what its numbers are, and the legend that says how to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ddbench.results.scores.scores import making_timer
from ddbench.results.stats import smallest_n
from ddbench.results.tables.conditions import _updates, place
from ddbench.results.tables.costs import WORDS, CellCost
from ddbench.results.tables.figures import plural, span
from ddbench.results.tables.tables import Table


def caption(table: Table) -> str:
    """What the numbers of the main table are: data, architectures, preprocessing, protocol, and what ± is over."""
    cells = table.cells()
    counted = [cell for cell in cells if cell.status != "skipped"] or [
        cell for row in table.rows for cell in row.cells if cell
    ]
    repetitions = plural(span(cell.planned for cell in counted), "repetition")
    students = plural(span(cell.students for cell in counted), "student")
    return f"{place(table)} · test top-1 %, mean ± sd over {repetitions} × {students}"


def legend(table: Table) -> list[str]:
    """How to read the main table, a line each."""
    return [line for line in (_scores(table), _costs(table)) if line] + [f"data: {note}" for note in table.notes]


def _scores(table: Table) -> str:
    cells, parts = table.cells(), []
    if any(cell.bold for cell in cells):
        paired = any(cell.bold and len(cell.scores) >= 3 for cell in cells)
        parts.append(
            "bold: the highest mean" + (" and all whose paired 95 % interval to it contains 0" if paired else "")
        )
    if any(cell.scores and len(cell.scores) < smallest_n(1) for cell in cells):
        parts.append(f"n < {smallest_n(1)}: no significance claimed")
    if any(cell.scores and not cell.complete for row in table.rows for cell in row.cells if cell):
        parts.append("(2 of 3): the others have no result, so the mean is not compared")
    if any(row.source != "measured" for row in table.rows):
        parts.append("imported and reported rows are shown, never ranked")
    parts.extend(_reference_updates(table))
    if table.n_test:
        parts.append(f"one of {table.n_test} test images is {100 / table.n_test:.2g} points")
    return "; ".join(parts)


def _reference_updates(table: Table) -> Iterator[str]:
    """References train on more images, so usually longer: said where that is so."""
    usual = set(_updates(table))
    for row in table.rows:
        cell = row.cells[0] if row.spans else None
        if cell is not None and cell.scores and cell.updates is not None and cell.updates not in usual:
            yield f"{row.shown_label}: {plural(str(cell.updates), 'update')}"


def _costs(table: Table) -> str:
    cells = table.cells()
    if all(cell.cost.condense_s is None for cell in cells):
        return ""
    text = "cost of one set in our implementation, medians over repetitions, a–b over the budgets: "
    text += f"{WORDS[making_timer(table)]} to prepare and condense"
    if any(cell.cost.artifact_s for cell in cells):
        text += ", those to build what it can open of the shared artifacts it reads"
    text += ", peak memory, stored bytes (real images as uint8; k = 10³)"
    return "; ".join([text, *cost_remarks(table)])


def cost_remarks(table: Table) -> Iterator[str]:
    """What a reader must know to compare the costs of a table."""
    cells = table.cells()
    timer = making_timer(table)
    if timer == "wall":
        yield from _why_wall(table)
    if any(cell.cost.contended for cell in cells):
        yield "†: other processes used the cores meanwhile"
    if most := max((cell.cost.beside or 0 for cell in cells), default=0):
        others = plural(str(most), "other node")
        yield f"not made with --jobs 1, but beside up to {others} of ddbench: {_rows(table, lambda cost: cost.beside)}"
    whole = _rows(table, lambda cost: cost.artifact_s and cost.artifact_rest_s is None)
    if whole:
        yield f"charged for whole artifacts, also for what it cannot open: {whole}"
    cold = _rows(table, lambda cost: cost.warm is False)
    if cold:
        yield f"peak memory above a level that was taken without a warm-up: {cold}"


def _why_wall(table: Table) -> Iterator[str]:
    """Why seconds are those on the wall, which other work on the machine makes longer."""
    unknown = _rows(table, lambda cost: cost.condense_s is not None and cost.making("cpu") is None)
    if unknown:
        yield f"wall seconds, because CPU seconds were not measured: {unknown}"
    elif any(cell.cost.making("device") is not None for cell in table.cells()):
        yield "wall seconds, because only some ran on a GPU"


def _rows(table: Table, holds: Callable[[CellCost], object]) -> str:
    """Labels of the rows with a cell of which something holds, ``all rows`` for all that were made here."""
    made = [
        (row.shown_label, any(holds(cell.cost) for cell in row.cells if cell is not None))
        for row in table.rows
        if not row.spans and any(cell is not None and cell.cost.condense_s is not None for cell in row.cells)
    ]
    found = [label for label, held in made if held]
    return "all rows" if found and len(found) == len(made) > 1 else ", ".join(found)


def differences_caption(table: Table) -> str:
    """What the second table shows."""
    assert table.versus_random is not None
    n = span(comparison.paired.n for comparison in table.versus_random.shown())
    return (
        f"minus random · points, paired over {n} repetitions, 95 % interval, conditional on the one split of the data"
    )


def differences_legend(table: Table) -> str:
    """What the second table can and cannot show."""
    assert table.versus_random is not None
    found, parts = table.versus_random.comparisons(), []
    family = plural(str(len(found)), "comparison")
    few = max(comparison.paired.n for comparison in table.versus_random.shown()) < smallest_n(1)
    if few:
        parts.append(f"n < {smallest_n(1)}: no significance claimed")
    if found and few:
        parts.append(f"verdicts on {family} need n ≥ {found[0].needed}")
    elif found:
        parts.append(
            f"better, worse: the interval adjusted for {family} (Holm) excludes 0, which needs n ≥ {found[0].needed}; "
            "equivalent: the 90 % interval lies within ±0.5 points"
        )
    if any(row.conditional for row in table.versus_random.rows):
        parts.append("no verdict, whatever n, where repetitions share an artifact")
    if any(row.control for row in table.versus_random.rows):
        parts.append("no verdict on controls")
    return "; ".join(parts)
