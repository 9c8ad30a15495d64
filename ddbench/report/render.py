"""Tables → text, for the terminal, GitHub, a spreadsheet or a program. Equal tables give equal bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ddbench.errors import unknown
from ddbench.report.captions import caption, differences_caption, differences_legend, legend
from ddbench.report.cells import Cell
from ddbench.report.cross import cross_grid, cross_tables
from ddbench.report.details import CAPTION, details_grid
from ddbench.report.export import to_csv, to_json
from ddbench.report.figures import NONE, compact, spread, superscript
from ddbench.report.latex import to_latex
from ddbench.report.tables import Row, Table, unmeasured
from ddbench.report.view import View
from ddbench.report.views import MAIN, check_names, views_of
from ddbench.stats import Comparison, smallest_n

Lines = list[str]
NOTHING = "no results\n"
CROSS_LEGEND = "mean ± sd over repetitions of the mean over students; worst student; spread: best minus worst student"


def render(tables: Sequence[Table], format: str, *, details: bool = False, views: Sequence[str] = ()) -> str:
    """The tables as text that ends in a newline.

    Args:
        tables: From :func:`ddbench.report.tables.tables_of`.
        format: ``table``, ``markdown``, ``latex``, ``csv`` or ``json``.
        details: Whether to add what methods say about their runs (always in ``json``).
        views: What to show: ``main`` and those of :data:`ddbench.report.views.VIEWS`; empty: ``main``.

    Raises:
        UsageError: If there is no such format or view, or the format cannot hold a view.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS, "ddbench run --help")
    check_names(views)
    return FORMATS[format](tables, details, views)


def shown(tables: Sequence[Table], *, details: bool = False, views: Sequence[str] = ()) -> list[View]:
    """What a page or a terminal shows, in order: captions, grids and notes.

    Args:
        tables: From :func:`ddbench.report.tables.tables_of`.
        details: Whether to add what methods say about their runs.
        views: Names of views; empty: the main tables alone.

    Raises:
        UsageError: If a view is unknown.
    """
    return [part for name in dict.fromkeys(views or [MAIN]) for part in _parts(tables, name, details)]


def _parts(tables: Sequence[Table], name: str, details: bool) -> list[View]:
    if name != MAIN:
        return views_of(tables, [name])
    found, told = [], list[list[Lines]]()
    for table in tables:
        found.append(View(MAIN, caption(table), main_grid(table), footer(table)))
        if table.versus_random is not None:
            legend = [differences_legend(table)]
            found.append(View(MAIN, differences_caption(table), differences_grid(table), legend))
        if details and (inside := details_grid(table)) and inside not in told:
            told.append(inside)  # a set's numbers, whatever the student: shown once
            found.append(View(MAIN, CAPTION, inside, []))
    return found + [View(MAIN, cross.caption, cross_grid(cross), [CROSS_LEGEND]) for cross in cross_tables(tables)]


def to_terminal(tables: Sequence[Table], details: bool = False, views: Sequence[str] = ()) -> str:
    """Caption, grid and footnotes of each table, for people at a terminal."""
    blocks = [
        "\n".join([part.caption, "", *(_grid(part.grid) if part.grid else []), *part.notes])
        for part in shown(tables, details=details, views=views)
    ]
    return "\n\n".join(blocks) + "\n" if tables else NOTHING


def to_markdown(tables: Sequence[Table], details: bool = False, views: Sequence[str] = ()) -> str:
    """The same for GitHub, where a line right below a grid would become its last row."""
    blocks = [
        block
        for part in shown(tables, details=details, views=views)
        for block in (
            _escaped(part.caption),
            "\n".join(_grid(part.grid, markdown=True)) if part.grid else "",
            _broken(part.notes),
        )
    ]
    return "\n\n".join(block for block in blocks if block) + "\n" if tables else NOTHING


FORMATS: dict[str, Callable[[Sequence[Table], bool, Sequence[str]], str]] = {
    "table": to_terminal,
    "markdown": to_markdown,
    "latex": lambda tables, details, views: to_latex(shown(tables, details=details, views=views)),
    "csv": lambda tables, details, views: to_csv(tables, views),
    "json": lambda tables, details, views: to_json(tables, views),
}


def main_grid(table: Table) -> list[Lines]:
    """Header and rows of the main table."""
    artifacts = any(cell.cost.artifact_s for cell in table.cells())
    names = ["condense s", *(["artifact s"] if artifacts else []), "peak MB", "bytes"]
    # A run of references alone has no budgets, and still has a result to show.
    budgets = [column.label for column in table.columns] or ["all images"]
    return [["method", *budgets, *names]] + [_row_text(row, len(budgets), artifacts=artifacts) for row in table.rows]


def differences_grid(table: Table) -> list[Lines]:
    """Header and rows of the table of differences to ``random``."""
    shown = table.versus_random
    assert shown is not None
    lines = [["method", *(table.columns[column].label for column in shown.columns)]]
    for row in shown.rows:
        lines.append([row.label, *(_difference_text(found, row.judged) for found in row.comparisons)])
    return lines


def footer(table: Table) -> Lines:
    """Footnotes and legend."""
    return [f"{superscript([i])} {text}" for i, text in enumerate(table.footnotes, 1)] + legend(table)


def _row_text(row: Row, columns: int, *, artifacts: bool) -> Lines:
    scores = [_cell_text(cell) for cell in row.cells]
    if row.spans:
        scores = [_reference_text(row), *[""] * (columns - 1)]
    costs = [cell.cost for cell in row.cells if cell is not None]
    busy = " †" if any(cost.contended for cost in costs) else ""
    seconds = spread((cost.condense_s for cost in costs), apart=1.5)
    return [
        " ".join([row.shown_label, superscript(row.marks)]).rstrip(),
        *scores,
        seconds + busy,
        *([spread((cost.artifact_s for cost in costs), apart=1.5)] if artifacts else []),
        compact(peak)
        if (peak := max((c.peak_mb for c in costs if c.peak_mb is not None), default=None)) is not None
        else NONE,
        spread(cost.bytes for cost in costs),
    ]


def _reference_text(row: Row) -> str:
    cell = row.cells[0]
    if cell is None or unmeasured(row, cell):
        return NONE if cell is None else cell.reason or "not measured"
    text = _cell_text(cell)
    return f"{text} (all {row.n} images)" if row.n is not None and cell.scores else text


def _cell_text(cell: Cell | None) -> str:
    """``**58.3 ± 2.1** (3)``, ``58.3 ± 2.1 (2 of 3) ²``, ``nan ²``, ``– ¹``."""
    if cell is None:
        return NONE
    marks = superscript(cell.marks)
    found = cell.summary
    if found is None:
        return f"{NONE if cell.status == 'skipped' else cell.status} {marks}".rstrip()
    score = f"{found.mean:.1f}" + (f" ± {found.sd:.1f}" if found.sd is not None else "")
    count = f"({found.n})" if cell.complete else f"({found.n} of {cell.planned})"
    return f"{f'**{score}**' if cell.bold else score} {count} {marks}".rstrip()


def _difference_text(comparison: Comparison | None, judged: bool) -> str:
    """``+12.3 [+8.1, +16.5]``, with a verdict where there is evidence for one."""
    if comparison is None:
        return NONE
    found = comparison.paired
    text = f"{found.difference:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{text} {comparison.verdict}" if judged and found.n >= smallest_n(1) else text


def markdown_grid(rows: Sequence[Lines]) -> Lines:
    """Rows as a table of a markdown page, the first column left-aligned."""
    return _grid(list(rows), markdown=True)


def _grid(rows: list[Lines], *, markdown: bool = False) -> Lines:
    """Rows as a pipe table, the first column left-aligned.

    Written out, because pages in the repository are compared byte by byte: a new release of a layout library must not
    make them differ.
    """
    if markdown:
        rows = [[_escaped(row[0]), *map(_pipes, row[1:])] for row in rows]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]

    def line(row: Lines) -> str:
        first, *rest = zip(row, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]) + " |"

    colon = ":" if markdown else "-"
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + colon for width in widths[1:])]) + "|"
    return [line(rows[0]), rule, *map(line, rows[1:])]


def _escaped(text: str) -> str:
    """Text from methods and records (labels, reasons) that must not become markup or end a cell."""
    text = _pipes(re.sub(r"([\\`*])", r"\\\1", text))
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # an underscore between letters is only an underscore
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def _pipes(text: str) -> str:
    return text.replace("|", "\\|")


def _broken(lines: Lines) -> str:
    return "<br>\n".join(_escaped(line) for line in lines)
