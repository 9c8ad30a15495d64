"""Results in Python: records, and what tables, frames and plots make of them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbench.core.errors import UsageError, unknown
from ddbench.core.records import Record
from ddbench.core.words import plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ddbench.results.tables.tables import Table

PLOTS = ("ipc", "cost", "crossing")


class Results:
    """Results of a run, a folder, or files of records.

    Attributes:
        records: Condensations and evaluations, failures and what was skipped included.
        notes: What a reader should know, a line each.
        failures: Why nodes of a run have no result, a line for each cause; empty for what was read.
    """

    def __init__(self, records: Iterable[Record], notes: Iterable[str] = (), failures: Iterable[str] = ()) -> None:
        self.records: list[Record] = [*records]
        self.notes: tuple[str, ...] = tuple(notes)
        self.failures: tuple[str, ...] = tuple(failures)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        found = plural(sum(record.kind == "evaluation" for record in self.records), "evaluation")
        count = len(self.failures)
        lost = f", {plural(count, 'cause')} of failure" if count else ""
        return f"<ddbench.Results: {found} in {plural(len(self.tables), 'table')}{lost}>"

    def __str__(self) -> str:
        return self.table(format="table")

    @cached_property
    def tables(self) -> list[Table]:
        """The tables, one for each data set, protocol, pair of networks and profile."""
        from ddbench.results.tables.tables import tables_of

        return tables_of(self.records)

    def table(self, view: str | Sequence[str] = "main", format: str = "markdown", *, details: bool = False) -> str:
        """Tables as text.

        Args:
            view: One or several of ``main``, ``scores``, ``cost``, ``regime``, ``ranks``, ``stability``, ``failures``,
                ``lossless``, ``verdicts``, ``crossing``.
            format: ``markdown``, ``table`` (for terminals), ``latex``, ``csv``, ``json`` or ``html``.
            details: Whether to add what methods say about their runs.

        Raises:
            UsageError: If there is no such view or format, or the format cannot hold the view.
        """
        from ddbench.publish.text.render import FORMATS, render

        views = [view] if isinstance(view, str) else [*view]
        if format == "html":
            return self._html(views, details=details)
        if format not in FORMATS:
            raise unknown("format", format, [*FORMATS, "html"], "help(ddbench.Results.table)")
        return render(self.tables, format, details=details, views=views)

    def frame(self) -> pd.DataFrame:
        """One row for each evaluation, tidy; :data:`ddbench.library.frames.COLUMNS` says what each column is."""
        from ddbench.library.frames import frame_of

        return frame_of(self.records)

    def plot(self, kind: str = "ipc", *, controls: bool = False) -> Plot:
        """A plot, which a notebook shows.

        Args:
            kind: ``ipc``: accuracy by images per class; ``cost``: by seconds and bytes; ``crossing``: minus random, by
                the share of the training images.
            controls: Whether to draw the rows that are no method's own result, too; :attr:`Plot.left_out` names them.

        Raises:
            UsageError: If there is no such plot, nothing to plot, or matplotlib is not installed.
        """
        if kind not in PLOTS:
            raise unknown("plot", kind, PLOTS, "help(ddbench.Results.plot)")
        from ddbench.publish.plots import drawing, series

        plots = drawing()
        tables, left_out = self.tables, list[str]()
        if kind != "crossing" and not controls:
            tables, left_out = series.without_controls(tables)
        panels: Any = {
            "ipc": series.ipc_series, "cost": series.cost_points, "crossing": series.crossing_series,
        }[kind](tables)  # fmt: skip
        if not panels:
            raise UsageError(f"nothing to plot as {kind!r}: no table has what it shows")
        draw: Any = {"ipc": plots.ipc_plot, "cost": plots.cost_plot, "crossing": plots.crossing_plot}[kind]
        return Plot(draw(panels), left_out)

    def _html(self, views: Sequence[str], *, details: bool) -> str:
        from ddbench.publish.text.render import shown

        return "\n".join(
            _as_html(part.caption, part.grid, part.notes) for part in shown(self.tables, details=details, views=views)
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        told = "".join(f"<p>{html.escape(line)}</p>" for line in self.failures)
        return f"{self._html(['main'], details=False)}{told}"


class Plot:
    """A plot of results.

    Attributes:
        figure: The matplotlib figure.
        left_out: Controls that are not drawn, by label.
    """

    def __init__(self, figure: Figure, left_out: Iterable[str] = ()) -> None:
        self.figure = figure
        self.left_out: tuple[str, ...] = tuple(left_out)

    @property
    def axes(self) -> list[Any]:
        """Its matplotlib axes, one for each panel."""
        return list(self.figure.axes)

    def save(self, target: str | Path) -> None:
        """Write it; equal plots are equal bytes.

        Args:
            target: A file that ends in ``.png``, ``.svg`` or ``.pdf``.

        Raises:
            UsageError: If it ends otherwise.
        """
        from ddbench.publish.plots import check_ending
        from ddbench.publish.plots.accuracy import encode

        check_ending(Path(target), str(target))
        Path(target).write_bytes(encode(self.figure, Path(target)))

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        from ddbench.publish.plots.accuracy import encode

        return encode(self.figure, Path("shown.png"))


def _as_html(caption: str, grid: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table with the words around it; all text is escaped."""
    lines = [f"<p>{html.escape(caption)}</p>"]
    if grid:
        head = "".join(f"<th>{_cell(text)}</th>" for text in grid[0])
        body = "".join("<tr>" + "".join(f"<td>{_cell(text)}</td>" for text in row) + "</tr>" for row in grid[1:])
        lines.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    lines += [f"<p><small>{html.escape(note)}</small></p>" for note in notes]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A cell; views mark their best number with two asterisks."""
    before, mark, rest = text.partition("**")
    inside, end, after = rest.partition("**")
    if mark and end and not before:
        return f"<b>{html.escape(inside)}</b>{html.escape(after)}"
    return html.escape(text)
