"""Tables → text, for the terminal, GitHub, a spreadsheet or a program. Equal tables give equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ddbench.core.errors import unknown
from ddbench.publish.text.csv_json import to_csv, to_json
from ddbench.publish.text.escape import escaped
from ddbench.publish.text.grid import Lines, markdown_grid
from ddbench.publish.text.latex import to_latex
from ddbench.publish.text.summary import summary
from ddbench.publish.text.terminal import FILE, Screen, terminal
from ddbench.publish.views.catalog import check_names, views_of
from ddbench.publish.views.inside_methods import CAPTION, details_view
from ddbench.publish.views.main import MAIN, WIDEST, differences_view, main_views
from ddbench.publish.views.students import students_view
from ddbench.publish.views.view import View, empty_view
from ddbench.results.scores.cross import cross_tables
from ddbench.results.tables.tables import Table

NOTHING = "no results\n"


def render(
    tables: Sequence[Table],
    format: str,
    *,
    details: bool = False,
    views: Sequence[str] = (),
    screen: Screen = FILE,
) -> str:
    """The tables as text that ends in a newline.

    Args:
        tables: From :func:`ddbench.results.tables.tables.tables_of`.
        format: ``table``, ``markdown``, ``latex``, ``csv`` or ``json``.
        details: Whether to add what methods say about their runs (always in ``json``).
        views: What to show: ``main`` and those of :data:`ddbench.publish.views.catalog.VIEWS`; empty: ``main``.
        screen: Where ``table`` is read; other formats do not depend on it.

    Raises:
        UsageError: If there is no such format or view, or the format cannot hold a view.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS, "ddbench run --help")
    check_names(views)
    return FORMATS[format](tables, details, views, screen)


def shown(
    tables: Sequence[Table], *, details: bool = False, views: Sequence[str] = (), screen: Screen | None = None
) -> list[View]:
    """What a page or a terminal shows, in order: captions, grids and notes.

    Args:
        tables: From :func:`ddbench.results.tables.tables.tables_of`.
        details: Whether to add what methods say about their runs.
        views: Names of views; empty: the main tables alone.
        screen: Where it is read; None: on a page, which is wider than most terminals, and without a summary.

    Raises:
        UsageError: If a view is unknown.
    """
    controls = frozenset(row.label for table in tables for row in table.rows if row.role.is_control)
    parts = (part for name in dict.fromkeys(views or [MAIN]) for part in _parts(tables, name, details, screen))
    return [replace(part, controls=controls) for part in parts]


def _parts(tables: Sequence[Table], name: str, details: bool, screen: Screen | None) -> list[View]:
    if name != MAIN:
        return views_of(tables, [name])
    found, told = list[View](), list[list[Lines]]()
    for table in tables:
        main, *costs = main_views(table, (screen and screen.width) or WIDEST)
        if screen is not None and (sentence := summary(table)):
            main = replace(main, notes=[sentence, *main.notes])
        versus = differences_view(table)
        found += [main, *([versus] if versus is not None else []), *costs]
        if details and (inside := details_view(table)).rows and inside.grid not in told:
            told.append(inside.grid)  # a set's numbers, whatever the student: shown once
            found.append(inside)
    if details and tables and not told:
        found.append(empty_view("details", CAPTION, "no method says anything about its runs"))
    return found + [students_view(cross) for cross in cross_tables(tables)]


def _to_terminal(tables: Sequence[Table], details: bool, views: Sequence[str], screen: Screen) -> str:
    return terminal(shown(tables, details=details, views=views, screen=screen), screen) if tables else NOTHING


def _to_markdown(tables: Sequence[Table], details: bool, views: Sequence[str], _: Screen) -> str:
    """The same for GitHub, where a line right below a grid would become its last row."""
    return markdown(shown(tables, details=details, views=views)) if tables else NOTHING


def markdown(parts: Sequence[View]) -> str:
    """Views as text for a markdown page."""
    blocks = [
        block
        for part in parts
        for block in (
            escaped(part.caption),
            "\n".join(markdown_grid(part.grid)),
            _broken(part.notes),
        )
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


FORMATS: dict[str, Callable[[Sequence[Table], bool, Sequence[str], Screen], str]] = {
    "table": _to_terminal,
    "markdown": _to_markdown,
    "latex": lambda tables, details, views, _: to_latex(shown(tables, details=details, views=views)),
    "csv": lambda tables, _, views, __: to_csv(tables, views),
    "json": lambda tables, _, views, __: to_json(tables, views),
}


def _broken(lines: Lines) -> str:
    return "<br>\n".join(escaped(line) for line in lines)
