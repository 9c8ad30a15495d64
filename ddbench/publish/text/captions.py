"""The words around a table: the caption that says what its numbers are, and the legend that says how to read them."""

from __future__ import annotations

from collections.abc import Iterator

from ddbench.results.stats import smallest_n
from ddbench.results.tables.conditions import _updates, place
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
    text = "cost of one set in our implementation, a–b over the budgets: seconds to prepare and condense"
    if any(cell.cost.artifact_s for cell in cells):
        text += ", seconds to build the shared artifacts it reads"
    text += ", peak memory, stored bytes (real images as uint8; k = 10³)"
    if any(cell.cost.contended for cell in cells):
        text += "; †: other processes used the cores meanwhile"
    return text


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
