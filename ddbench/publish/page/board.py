"""Committed pages: an HTML file whose first lines say what it is made from, and which is made anew from that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ddbench.core.errors import UsageError
from ddbench.core.records import Record
from ddbench.publish.page import check_asked, page
from ddbench.publish.page.tiles import beside, read_pictures
from ddbench.results.tables.tables import Table

EXAMPLE = '<!-- ddbench:page title="Digits" records=records/a.jsonl,records/b.jsonl -->'
FIRST_LINES = 5
"""How far down the marker may stand: above it only the document type."""
_LINE = re.compile(r"\s*<!--\s*ddbench:page\b.*")
_MARKER = re.compile(r"<!--\s*ddbench:page(?P<fields>(?:\s+\w+=(?:\"[^\"<>]*\"|[^\s\"<>]+))*)\s*-->")
_FIELD = re.compile(r"(\w+)=(?:\"([^\"]*)\"|(\S+))")
NEEDED = ("title", "records")
FIELDS = (*NEEDED, "views")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page is made from.

    Attributes:
        marker: The line that says so, kept as it is.
        title: Heading.
        records: Files of records; those with pictures beside them are shown with pictures.
        names: How the page calls these files, as its marker does.
        views: What it shows besides, below each table.
    """

    marker: str
    title: str
    records: tuple[Path, ...]
    names: tuple[str, ...]
    views: tuple[str, ...] = ()


def marker_of(text: str) -> str | None:
    """The line that says what a page is made from; None when there is none among the first."""
    lines = (line.strip() for line in text.split("\n", FIRST_LINES)[:FIRST_LINES])
    return next((line for line in lines if _LINE.fullmatch(line)), None)


def parse(marker: str, path: Path) -> Wanted:
    """What a marker asks for; its files are found from the folder of the page.

    Raises:
        UsageError: If it is malformed, names an unknown field or view, or lacks a field.
    """
    match = _MARKER.fullmatch(marker)
    if match is None:
        raise UsageError(f"{path}: malformed marker `{marker[:200]}`; write `{EXAMPLE}`")
    fields = {name: quoted or bare for name, quoted, bare in _FIELD.findall(match["fields"])}
    unknown, missing = sorted(fields.keys() - set(FIELDS)), [name for name in NEEDED if not fields.get(name)]
    if unknown or missing:
        what = f"unknown field {unknown[0]!r}" if unknown else f"the field {missing[0]}=… is missing"
        raise UsageError(f"{path}: {what}; write `{EXAMPLE}`")
    names = tuple(dict.fromkeys(part for part in fields["records"].split(",") if part))
    views = tuple(dict.fromkeys(part for part in fields.get("views", "").split(",") if part))
    try:
        check_asked(views)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return Wanted(marker, fields["title"], tuple(path.parent / name for name in names), names, views)


def board(wanted: Wanted, records: Sequence[Record], notes: Sequence[str], tables: Sequence[Table]) -> str:
    """The page.

    Args:
        wanted: What it is made from.
        records: Those of its files, in the order of tables and rows.
        notes: Where the files disagree.
        tables: Made of the records.

    Raises:
        UsageError: If there is no evaluation, or a file of pictures is malformed.
    """
    if not any(record.kind == "evaluation" for record in records):
        raise UsageError(f"{', '.join(wanted.names)}: no evaluations, so there is no table to show")
    pictures = [picture for file in wanted.records for picture in read_pictures(beside(file))]
    return page(
        records, tables=tables, title=wanted.title, sources=wanted.names, notes=notes, pictures=pictures,
        marker=wanted.marker, views=wanted.views, linked=True,
    )  # fmt: skip
