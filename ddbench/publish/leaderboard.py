"""Leaderboard pages, made from committed records: text between markers of a Markdown file, or a whole HTML file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.specs import TUNE
from ddbench.core.store.files import atomic_write
from ddbench.core.store.jsonl import read_records
from ddbench.publish.ledger import ledger, read_published
from ddbench.publish.page import board as html
from ddbench.publish.text.render import markdown_grid, render
from ddbench.publish.tuning import tuning_block
from ddbench.publish.views.catalog import ONCE, check_names
from ddbench.results.tables.figures import plural
from ddbench.results.tables.tables import tables_of

EXAMPLE = "<!-- ddbench:table records=records/digits.jsonl datasets=digits protocol=hard -->"
TUNING = "<!-- ddbench:tuning records=records/tuning-fm14.jsonl file=../configs/tune-fm14.yaml -->"
LEDGER = "<!-- ddbench:ledger published=published.yaml records=records/digits.jsonl,records/mnist.jsonl -->"
FIELDS = {
    "table": {"records", "datasets", "protocol", "details", "views"},
    "ledger": {"records", "published"},
    "tuning": {"records", "file"},
    "end": set[str](),
}
END = "<!-- ddbench:end -->"
_MARKER = re.compile(r"<!--\s*ddbench:(?P<name>\w+)(?P<fields>(?:\s+\w+=\S+)*)\s*-->")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_KINDS = ("reference", "selection", "distillation")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two markers.

    Attributes:
        first: Index of the line after the opening marker.
        last: Index of the line of the closing marker.
        records: Files of the records.
        datasets: Names of the data sets to show; empty: all.
        protocol: Protocol to show, with or without version; empty: all.
        details: Whether to show what methods say about their runs.
        views: Which tables to show; empty: the main ones.
        published: File of the published numbers: the block is a reproduction ledger then.
        file: File of the configurations that were tried: the block is a tuning ledger then.
    """

    first: int
    last: int
    records: tuple[Path, ...]
    datasets: tuple[str, ...] = ()
    protocol: str = ""
    details: bool = False
    views: tuple[str, ...] = ()
    published: Path | None = None
    file: Path | None = None

    @property
    def is_table(self) -> bool:
        """Whether it is no ledger."""
        return self.published is None and self.file is None


def has_markers(path: Path) -> bool:
    """Whether a page holds at least one table.

    Raises:
        UsageError: If it cannot be read or its markers are malformed.
    """
    if path.suffix == ".html":
        return html.marker_of(_read(path)) is not None
    return bool(_blocks(path, _read(path).split("\n")))


def fresh(path: Path) -> tuple[str, str]:
    """A page as it is and as it should be.

    Raises:
        UsageError: If a marker is malformed, or its records are missing, corrupt or not fit for a leaderboard.
    """
    text = _read(path)
    if path.suffix == ".html":
        return text, _page(path, text)
    lines = text.split("\n")
    ending = "\r" if "\r\n" in text else ""
    blocks = _blocks(path, lines)
    if not blocks:
        raise UsageError(f"{path}: no table to render; add a line `{EXAMPLE}` and a line `{END}`")
    for block in reversed(blocks):
        text_of = _ledger if block.published else _tuning if block.file else _table
        made = ["", *text_of(block).rstrip("\n").split("\n"), ""]
        lines[block.first : block.last] = [line + ending for line in made]
    return text, "\n".join(lines)


def outdated(path: Path) -> list[str]:
    """What other versions of methods, protocols and artifact kinds made of a page, each with the number of its tables.

    Raises:
        UsageError: As :func:`fresh`.
    """
    text = _read(path)
    if path.suffix == ".html":
        marked = html.marker_of(text)
        shown = [_joined(html.parse(marked, path).records)[0]] if marked is not None else []
    else:
        shown = [_shown(block) if block.is_table else _all(block) for block in _blocks(path, text.split("\n"))]
    found = Counter(line for records in shown for table in tables_of(records) for line in table.outdated)
    return [f"{line} ({plural(str(count), 'table')})" for line, count in found.items()]


def write(path: Path, text: str) -> None:
    """Replace a page.

    Raises:
        StoreError: If it cannot be written.
    """
    atomic_write(path, text.encode())


def _ledger(block: Block) -> str:
    assert block.published is not None
    return ledger(read_published(block.published), _all(block), markdown_grid)


def _tuning(block: Block) -> str:
    assert block.file is not None
    return tuning_block(block.file, _all(block))


def _all(block: Block) -> list[Record]:
    """The records of a ledger."""
    return [record for path in block.records for record in read_records(path)]


def _page(path: Path, text: str) -> str:
    marked = html.marker_of(text)
    if marked is None:
        raise UsageError(f"{path}: none of its first lines says what it is made from; write `{html.EXAMPLE}`")
    wanted = html.parse(marked, path)
    records, notes = _joined(wanted.records)
    return html.board(wanted, ordered(records), notes)


def _fit(path: Path) -> list[Record]:
    """The records of a file.

    Raises:
        UsageError: If they are not fit for a leaderboard.
    """
    records = read_records(path)
    smoke = next((r for r in records if r.kind == "evaluation" and for_tests_only(r.document.profile)), None)
    if smoke is not None:
        raise UsageError(f"{path}: profile smoke is for tests; {smoke.document.label} has no place in a leaderboard")
    tuned = next((r for r in records if r.document.cell.data.split == TUNE), None)
    if tuned is not None:
        raise UsageError(
            f"{path}: {tuned.document.label} (split tune) was scored on training images, by `ddbench tune`; it has no "
            "place in a leaderboard"
        )
    return records


def _table(block: Block) -> str:
    notes = _joined(block.records)[1]
    text = render(tables_of(ordered(_shown(block))), "markdown", details=block.details, views=block.views)
    return "\n".join([text, *notes]) if notes else text


def _shown(block: Block) -> list[Record]:
    """The records that a block shows.

    Raises:
        UsageError: If it names a data set or a protocol of which there are none.
    """
    records = _joined(block.records)[0]
    path = ", ".join(map(str, block.records))
    for name in block.datasets:
        if not any(_dataset(record) == name for record in records):
            known = ", ".join(sorted({_dataset(record) for record in records})) or "nothing"
            raise UsageError(f"{path}: no records of data set {name!r}; it holds {known}")
    shown = [record for record in records if _wanted(record, block)]
    if not any(record.kind == "evaluation" for record in shown):
        what = f" under protocol {block.protocol}" if block.protocol else ""
        raise UsageError(f"{path}: no evaluations{what}, so there is no table to show")
    return shown


def _joined(paths: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The records of several files, each key once, and a line about each pair of files that disagree.

    The first file that has a key counts: other numbers of threads give other last digits, so two honest runs of one
    cell may differ, and neither may be chosen by its result.
    """
    found: dict[tuple[str, str, str], tuple[Path, Record]] = {}
    records = []
    different: dict[tuple[Path, Path], dict[str, None]] = {}
    for path in dict.fromkeys(paths):
        for record in _fit(path):
            label = record.document.label
            name = record.kind, record.key, label
            first, known = found.setdefault(name, (path, record)) if record.key else (path, record)  # skips have none
            if first == path:
                records.append(record)
            elif record.kind == "evaluation" and not _same(known, record):
                different.setdefault((first, path), {})[label] = None
    return records, [
        f"{', '.join(labels)}: measured in {first.name} and, with other results, in {second.name}; the first are shown"
        for (first, second), labels in different.items()
    ]


def _same(a: Record, b: Record) -> bool:
    """Whether two records of one evaluation agree in all that both measured."""
    return a.status == b.status and all(
        a.metrics[name] == b.metrics[name] for name in a.metrics.keys() & b.metrics.keys()
    )


def _wanted(record: Record, block: Block) -> bool:
    if block.datasets and _dataset(record) not in block.datasets:
        return False
    if record.kind == "condense" or not block.protocol:
        return True
    return block.protocol in (record.evaluation.eval.protocol, record.evaluation.protocol)


def _dataset(record: Record) -> str:
    return record.document.cell.data.name


def ordered(records: Iterable[Record]) -> list[Record]:
    """Records by table, then rows by kind and label, whatever wrote them when."""
    return sorted(records, key=_order)


def _order(record: Record) -> tuple[Any, ...]:
    """An order that does not depend on who wrote the file when: tables, then rows by kind and label."""
    document = record.document
    protocol: str | None = None
    student, rank = "", len(_KINDS)
    if isinstance(document, EvaluationDocument):
        protocol, student = document.eval.protocol, document.eval.arch
        rank = _KINDS.index(document.facts.kind) if document.facts.kind in _KINDS else rank
    data = canonical(document.cell.data.model_dump(mode="json"))
    where = data, canonical(protocol), document.cell.arch, student
    whole = "" if record.key else record.to_json(indent=None)  # rows that were never planned have no key
    return (*where, rank, document.label, record.key, document.profile or "", whole)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"page {path}: {why}") from None


def _blocks(path: Path, lines: Sequence[str]) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        UsageError: If a marker is malformed, opened twice or not closed, or claims of one page are in several blocks.
    """
    blocks: list[Block] = []
    opened: tuple[int, dict[str, str]] | None = None

    def wrong(index: int, what: str) -> UsageError:
        return UsageError(f"{path}:{index + 1}: {what}")

    for index, name, fields in _markers(lines, wrong):
        if name != "end" and opened is None:
            opened = index, fields
        elif name == "end" and opened is not None:
            first, values = opened
            files = tuple(path.parent / part for part in values["records"].split(","))
            names = _names(values.get("datasets", ""))
            published, file = (path.parent / values[n] if n in values else None for n in ("published", "file"))
            details = values.get("details") == "yes"
            views = _names(values.get("views", ""))
            protocol = values.get("protocol", "")
            if again := sorted(ONCE & {*views} & {view for block in blocks for view in block.views}):
                what = f"a second block of {again[0]}, whose claims on one page are judged together"
                raise wrong(first, f"{what}; name all records in one: records=a.jsonl,b.jsonl")
            blocks.append(Block(first + 1, index, files, names, protocol, details, views, published, file))
            opened = None
        else:
            raise wrong(
                index,
                "no table begins before this end" if name == "end" else "a table begins before the last one ended",
            )
    if opened is not None:
        raise wrong(opened[0], f"this table has no `{END}`")
    return blocks


def _names(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _markers(
    lines: Sequence[str], wrong: Callable[[int, str], UsageError]
) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Line index, name and fields of every marker; what a code block shows is an example, not a marker."""
    fence = ""
    for index, line in enumerate(lines):
        ticks = _FENCE.match(line)
        if ticks is not None and (not fence or ticks[1].startswith(fence)):
            fence = "" if fence else ticks[1]
        if fence or not re.match(r"\s*<!--\s*ddbench:", line):
            continue
        marker = _MARKER.fullmatch(line.strip())
        name = "" if marker is None else marker["name"]
        if marker is None or name not in FIELDS:
            raise wrong(
                index, f"malformed marker `{line.strip()}`; write `{EXAMPLE}`, `{LEDGER}`, `{TUNING}` or `{END}`"
            )
        fields = dict(field.split("=", 1) for field in marker["fields"].split())
        unknown, example = fields.keys() - FIELDS[name], {"ledger": LEDGER, "tuning": TUNING}.get(name, EXAMPLE)
        needed = {"records"} if name == "table" else FIELDS[name]
        missing = needed - fields.keys()
        if unknown or missing:
            what = f"unknown field {min(unknown)!r}" if unknown else f"the field {min(missing)}=PATH is missing"
            raise wrong(index, f"{what}; write `{example}`")
        try:
            check_names(_names(fields.get("views", "")))
        except UsageError as error:
            raise wrong(index, str(error)) from None
        yield index, name, fields
