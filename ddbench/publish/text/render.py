"""Tables → text, for the terminal, GitHub, a spreadsheet or a program. Equal tables give equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ddbench.core.errors import unknown
from ddbench.publish.text.csv_json import to_csv, to_json
from ddbench.publish.text.escape import escaped, escaped_cell
from ddbench.publish.text.latex import to_latex
from ddbench.publish.views.catalog import check_names, views_of
from ddbench.publish.views.inside_methods import details_view
from ddbench.publish.views.main import MAIN, differences_view, main_views
from ddbench.publish.views.students import students_view
from ddbench.publish.views.view import View
from ddbench.results.scores.cross import cross_tables
from ddbench.results.tables.tables import Table

Lines = list[str]
NOTHING = "no results\n"


def render(tables: Sequence[Table], format: str, *, details: bool = False, views: Sequence[str] = ()) -> str:
    """The tables as text that ends in a newline.

    Args:
        tables: From :func:`ddbench.results.tables.tables.tables_of`.
        format: ``table``, ``markdown``, ``latex``, ``csv`` or ``json``.
        details: Whether to add what methods say about their runs (always in ``json``).
        views: What to show: ``main`` and those of :data:`ddbench.publish.views.catalog.VIEWS`; empty: ``main``.

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
        tables: From :func:`ddbench.results.tables.tables.tables_of`.
        details: Whether to add what methods say about their runs.
        views: Names of views; empty: the main tables alone.

    Raises:
        UsageError: If a view is unknown.
    """
    controls = frozenset(row.label for table in tables for row in table.rows if row.role.is_control)
    parts = (part for name in dict.fromkeys(views or [MAIN]) for part in _parts(tables, name, details))
    return [replace(part, controls=controls) for part in parts]


def _parts(tables: Sequence[Table], name: str, details: bool) -> list[View]:
    if name != MAIN:
        return views_of(tables, [name])
    found, told = list[View](), list[list[Lines]]()
    for table in tables:
        main, *costs = main_views(table)
        versus = differences_view(table)
        found += [main, *([versus] if versus is not None else []), *costs]
        if details and (inside := details_view(table)).rows and inside.grid not in told:
            told.append(inside.grid)  # a set's numbers, whatever the student: shown once
            found.append(inside)
    return found + [students_view(cross) for cross in cross_tables(tables)]


def to_terminal(tables: Sequence[Table], details: bool = False, views: Sequence[str] = ()) -> str:
    """Caption, grid and footnotes of each table, for people at a terminal."""
    return terminal(shown(tables, details=details, views=views)) if tables else NOTHING


def to_markdown(tables: Sequence[Table], details: bool = False, views: Sequence[str] = ()) -> str:
    """The same for GitHub, where a line right below a grid would become its last row."""
    return markdown(shown(tables, details=details, views=views)) if tables else NOTHING


def terminal(parts: Sequence[View]) -> str:
    """Views as text for a terminal."""
    return "\n\n".join("\n".join([part.caption, "", *_grid(part.grid), *part.notes]) for part in parts) + "\n"


def markdown(parts: Sequence[View]) -> str:
    """Views as text for a markdown page."""
    blocks = [
        block
        for part in parts
        for block in (
            escaped(part.caption),
            "\n".join(_grid(part.grid, markdown=True)),
            _broken(part.notes),
        )
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


FORMATS: dict[str, Callable[[Sequence[Table], bool, Sequence[str]], str]] = {
    "table": to_terminal,
    "markdown": to_markdown,
    "latex": lambda tables, details, views: to_latex(shown(tables, details=details, views=views)),
    "csv": lambda tables, details, views: to_csv(tables, views),
    "json": lambda tables, details, views: to_json(tables, views),
}


def markdown_grid(rows: Sequence[Lines]) -> Lines:
    """Rows as a table of a markdown page, the first column left-aligned."""
    return _grid(list(rows), markdown=True)


def _grid(rows: list[Lines], *, markdown: bool = False) -> Lines:
    """Rows as a pipe table, the first column left-aligned; none for no rows.

    Written out, because pages in the repository are compared byte by byte: a new release of a layout library must not
    make them differ.
    """
    if not rows:
        return []
    if markdown:
        rows = [[escaped_cell(text) for text in row] for row in rows]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]

    def line(row: Lines) -> str:
        first, *rest = zip(row, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in rest)]) + " |"

    colon = ":" if markdown else "-"
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + colon for width in widths[1:])]) + "|"
    return [line(rows[0]), rule, *map(line, rows[1:])]


def _broken(lines: Lines) -> str:
    return "<br>\n".join(escaped(line) for line in lines)
