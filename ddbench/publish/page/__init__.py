"""Views as one HTML file that opens from disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ddbench.core.errors import unknown
from ddbench.core.records import Record
from ddbench.core.store.jsonl import as_lines
from ddbench.publish.looks import palette
from ddbench.publish.page.document import ASKED, document
from ddbench.publish.page.tiles import Picture
from ddbench.publish.text.csv_json import to_csv
from ddbench.results.tables.observations import observe
from ddbench.results.tables.tables import Table, tables_of

_HERE = Path(__file__).parent


def page(
    records: Sequence[Record],
    *,
    tables: Sequence[Table] | None = None,
    title: str,
    sources: Sequence[str],
    notes: Sequence[str] = (),
    pictures: Iterable[Picture] = (),
    marker: str = "",
    views: Sequence[str] = (),
    linked: bool = False,
) -> str:
    """The page as text that ends in a newline; equal arguments give equal bytes.

    Args:
        records: Condensations and evaluations; their order decides the order of tables and rows.
        tables: Made of the records; None: they are made here.
        title: Its heading.
        sources: Where the records come from, named on the page.
        notes: What must be said about these, likewise.
        pictures: Of the sets; those of sets that no record names are left out.
        marker: First comment of the file: what ``ddbench leaderboard render`` reads.
        views: Which of :data:`ddbench.publish.page.document.ASKED` to show below each table.
        linked: Whether ``sources`` are files beside the page, which it links; else it holds the records itself.

    Raises:
        UsageError: If a view is none of these.
    """
    check_asked(views)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    observed = observe(records)
    tables = tables_of(records, observed) if tables is None else tables
    script, style = _own("script.js"), _own("style.css").replace("{{ palette }}", palette())
    # The browser runs this one script and no other: a label that got through escaping would still not run.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template("template.html").render(
        document(
            records,
            observed,
            tables,
            title,
            sources,
            notes,
            pictures,
            views,
        ),
        script=Markup(script),
        style=Markup(style),
        digest=digest,
        csv=_data("text/csv", to_csv(tables, []).encode()),
        archive=None if linked else _data("application/gzip", gzip.compress(as_lines(records).encode(), mtime=0)),
        marker=Markup(marker),
    )
    return text.rstrip("\n") + "\n"


def check_asked(views: Iterable[str]) -> None:
    """Refuse views that a page has anyway, or that are unknown.

    Raises:
        UsageError: If there is one.
    """
    for name in views:
        if name not in ASKED:
            raise unknown("view of a page", name, ASKED, "ddbench results page --help")


def _data(kind: str, content: bytes) -> str:
    """An address that holds what it leads to."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _own(name: str) -> str:
    """One of our own files, which stand in the page as they are."""
    return (_HERE / name).read_text(encoding="utf-8")
