"""The words around a table: the caption that says what its numbers are, and the legend that says how to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ddbench.core.specs import TUNE
from ddbench.core.words import plural
from ddbench.publish.text.verdicts import verdict_lines
from ddbench.results.scores.scores import making_timer
from ddbench.results.stats import MARGIN, Comparison, smallest_n
from ddbench.results.tables.cells import Cell
from ddbench.results.tables.conditions import place, updates_of
from ddbench.results.tables.costs import WORDS, CellCost
from ddbench.results.tables.differences import Difference
from ddbench.results.tables.figures import span
from ddbench.results.tables.tables import Table


def caption(table: Table) -> str:
    """What the numbers of the main table are: data, architectures, preprocessing, protocol, and what ± is over."""
    cells = table.cells()
    counted = [cell for cell in cells if cell.status != "skipped"] or [
        cell for row in table.rows for cell in row.cells if cell
    ]
    students = f" × {plural(span(cell.students for cell in counted), 'student')}" if table.trains_student else ""
    what = "test top-1 %" if table.split != TUNE else "top-1 % on training images that the view leaves out"
    return f"{place(table)} · {what}, mean ± sd over {_repetitions(table, counted)}{students}"


def _repetitions(table: Table, counted: Sequence[Cell]) -> str:
    """``10 repetitions (random: 30)``: of what all rows are held against, where it has more of them than the others."""
    own = {
        row.shown_label: [cell.planned for cell in row.cells if cell is not None and cell.status != "skipped"]
        for row in table.rows
        if row.role.kind == "reference" and not row.spans
    }
    rows = (row for row in table.rows if row.role.kind != "reference")
    others = [cell.planned for row in rows for cell in row.cells if cell is not None and cell.status != "skipped"]
    usual = others or [cell.planned for cell in counted]
    more = [f"{label}: {span(known)}" for label, known in own.items() if known and max(known) > max(usual)]
    return plural(span(usual), "repetition") + (f" ({', '.join(more)})" if more else "")


def legend(table: Table) -> list[str]:
    """How to read the main table, a line each."""
    decided = verdict_lines(table)
    mixed = table.engines, table.threads, table.in_bf16
    lines = [*decided, _scores(table, judged=bool(decided)), costs_legend(table), *mixed]
    return [line for line in [*table.short, *lines] if line] + [f"data: {note}" for note in table.notes]


def _scores(table: Table, *, judged: bool) -> str:
    cells, parts = table.cells(), []
    if any(cell.bold for cell in cells):
        parts.append("bold: not worse than the best of the column (Holm over all pairs of its methods)")
    if not judged and any(cell.scores and len(cell.scores) < smallest_n(1) for cell in cells):
        parts.append(f"n < {smallest_n(1)}: no significance claimed")
    if any(cell.scores and not cell.complete for row in table.rows for cell in row.cells if cell):
        parts.append("(2 of 3): the others have no result, so the mean is not compared")
    if any(row.source != "measured" for row in table.rows):
        parts.append("imported and reported rows are shown, never ranked")
    parts.extend(_reference_updates(table))
    if table.split == TUNE:
        parts.append("configurations of a tuning run: `ddbench tune FILE` prints their ledger")
    elif table.n_test:
        parts.append(f"one of {table.n_test} test images is {100 / table.n_test:.2g} points")
    return "; ".join(parts)


def _reference_updates(table: Table) -> Iterator[str]:
    """References train on more images, so usually longer: said where that is so."""
    usual = set(updates_of(table))
    for row in table.rows:
        cell = row.cells[0] if row.spans else None
        if cell is not None and cell.scores and cell.updates is not None and cell.updates not in usual:
            yield f"{row.shown_label}: {plural(cell.updates, 'update')}"


def costs_legend(table: Table) -> str:
    """How to read the costs of the main table; empty where nothing was made."""
    cells = table.cells()
    if all(cell.cost.condense_s is None for cell in cells):
        return ""
    text = "cost of one set in our implementation, medians over repetitions, a–b over the budgets: "
    text += f"{WORDS[making_timer(table)]} to prepare and condense"
    if any(cell.cost.artifact_s for cell in cells):
        text += ", those to build what it can open of the shared artifacts it reads"
    kept = " of a process that keeps what it frees" if any(cell.cost.kept for cell in cells) else ""
    text += f", peak memory{kept}, stored bytes (real images as uint8; k = 10³)"
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
        others = plural(most, "other node")
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
    shown = table.versus_random.shown()
    n = span(one.paired.n for one in shown)
    draws = span(one.draws for one in shown if one.draws > one.paired.n)
    how = f"{plural(n, 'repetition')} beside {draws} draws of random" if draws else f"paired over {n} repetitions"
    return f"minus random · points, {how}, 95 % interval"


def differences_legend(table: Table) -> str:
    """What the second table can and cannot show."""
    assert table.versus_random is not None
    found, parts = table.versus_random.comparisons(), []
    family = f"{plural(len(found), 'comparison')} with random"
    if max(comparison.paired.n for comparison in table.versus_random.shown()) < smallest_n(1):
        parts.append(f"n < {smallest_n(1)}: no significance claimed")
    if found and not any(decidable(one) for one in found):
        parts.append(f"verdicts on {family} need n ≥ {found[0].needed}")
    elif found:
        parts.append(
            f"better, worse: the interval adjusted for {family} (Holm) excludes 0, which needs n ≥ {found[0].needed}; "
            f"equivalent: within ±{MARGIN:g} points, by two one-sided tests (Bonferroni)"
        )
        powers = [one.power for one in found if one.verdict == "equivalent"]
        if powers:
            parts[-1] += f" of power {percent(powers)}"
    compared = {row.label for row in table.versus_random.rows if row.judged}
    as_run = [row.label for row in table.rows if row.label in compared and any(c and c.as_run for c in row.cells)]
    if as_run:
        parts.append(f"claims are about {', '.join(as_run)} as run (too few steps, or too many refused)")
    paired = [row.label for row in table.versus_random.rows if _stays_paired(row, table)]
    if paired:
        parts.append(f"paired by repetition: {', '.join(paired)}")
    if any(row.conditional for row in table.versus_random.rows):
        parts.append("no verdict, whatever n, where repetitions share an artifact or one set")
    if any(row.control for row in table.versus_random.rows):
        parts.append("no verdict on controls")
    return "; ".join(parts)


def _stays_paired(row: Difference, table: Table) -> bool:
    """Whether a row is paired where others are held against more draws."""
    assert table.versus_random is not None
    if not any(one.draws > one.paired.n for one in table.versus_random.shown()):
        return False
    return all(one.draws == one.paired.n for one in row.comparisons if one is not None)


def decidable(comparison: Comparison) -> bool:
    """Whether it has as many repetitions as a verdict in its family needs."""
    return comparison.paired.n >= comparison.needed


def percent(shares: Sequence[float]) -> str:
    """``63 %``, ``20–63 %``."""
    return f"{span(round(100 * share) for share in shares)} %"
