"""Leaderboard pages, made from committed records: text between markers of a Markdown file, or a whole HTML file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.specs import TUNE
from ddbench.core.store.files import atomic_write
from ddbench.core.store.jsonl import read_records
from ddbench.core.words import plural
from ddbench.plan.collect import called_as_made
from ddbench.publish.claims import claims_view
from ddbench.publish.ledger import ledger, read_published
from ddbench.publish.page import board as html
from ddbench.publish.text.grid import markdown_grid
from ddbench.publish.text.render import markdown, render
from ddbench.publish.tuning import tuning_block
from ddbench.publish.views.catalog import ONCE, check_names
from ddbench.results.tables.tables import Table, tables_of
from ddbench.work.evaluate.predictions import Recounter

EXAMPLE = "<!-- ddbench:table records=records/digits.jsonl datasets=digits protocol=hard -->"
TUNING = "<!-- ddbench:tuning records=records/tuning-fm14.jsonl file=../configs/tune-fm14.yaml -->"
LEDGER = "<!-- ddbench:ledger published=published.yaml records=records/digits.jsonl,records/mnist.jsonl -->"
CLAIMS = "<!-- ddbench:claims claims=claims.yaml records=records/digits.jsonl -->"
FIELDS = {
    "table": {"records", "datasets", "protocol", "details", "views"},
    "ledger": {"records", "published"},
    "tuning": {"records", "file"},
    "claims": {"records", "claims"},
    "end": set[str](),
}
EXAMPLES = {"ledger": LEDGER, "tuning": TUNING, "claims": CLAIMS}
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
        claims: File of claims that were fixed beforehand: the block says which of them hold then.
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
    claims: Path | None = None


def has_markers(path: Path) -> bool:
    """Whether a page holds at least one table.

    Raises:
        UsageError: If it cannot be read or its markers are malformed.
    """
    if path.suffix == ".html":
        return html.marker_of(_read(path)) is not None
    return bool(_blocks(path, _read(path).split("\n")))


class Look(NamedTuple):
    """A page beside its records.

    Attributes:
        old: What it says.
        new: What it should say.
        outdated: What other versions of methods, protocols and artifact kinds made of it, each with the number of its
            tables.
    """

    old: str
    new: str
    outdated: list[str]


class Made(NamedTuple):
    """What is made of records: a text, and the tables that it shows or is about."""

    text: str
    tables: Sequence[Table]


def fresh(path: Path) -> tuple[str, str]:
    """A page as it is and as it should be.

    Raises:
        UsageError: As :func:`look`.
    """
    found = look(path)
    return found.old, found.new


def look(path: Path) -> Look:
    """Hold a page against its records.

    Raises:
        UsageError: If a marker is malformed, or its records are missing, corrupt or not fit for a leaderboard.
    """
    text = _read(path)
    if path.suffix == ".html":
        whole = _page(path, text)
        new, made = whole.text, [whole]
    else:
        new, made = _rendered(path, text)
    found = Counter(line for each in made for table in each.tables for line in table.outdated)
    return Look(text, new, [f"{line} ({plural(count, 'table')})" for line, count in found.items()])


def _rendered(path: Path, text: str) -> tuple[str, list[Made]]:
    """A Markdown page with its blocks made anew, and these in order."""
    lines = text.split("\n")
    ending = "\r" if "\r\n" in text else ""
    blocks = _blocks(path, lines)
    if not blocks:
        raise UsageError(f"{path}: no table to render; add a line `{EXAMPLE}` and a line `{END}`")
    made = [_of_block(block) for block in blocks]
    for block, each in reversed([*zip(blocks, made, strict=True)]):
        inside = ["", *each.text.rstrip("\n").split("\n"), ""]
        lines[block.first : block.last] = [line + ending for line in inside]
    return "\n".join(lines), made


def _of_block(block: Block) -> Made:
    if block.published is not None:
        return _ledger(block, block.published)
    if block.claims is not None:
        return _claims(block, block.claims)
    return _table(block) if block.file is None else _tuning(block, block.file)


def write(path: Path, text: str) -> None:
    """Replace a page.

    Raises:
        StoreError: If it cannot be written.
    """
    atomic_write(path, text.encode())


def _ledger(block: Block, published: Path) -> Made:
    records = _all(block)
    return Made(ledger(read_published(published), records, markdown_grid), tables_of(records))


def _tuning(block: Block, file: Path) -> Made:
    records = _all(block)
    return Made(tuning_block(file, records), tables_of(records))


def _claims(block: Block, file: Path) -> Made:
    records, notes = _joined(block.records)
    tables = tables_of(ordered(records))
    text = markdown([claims_view(file, tables)])
    return Made("\n".join([text, *notes]) if notes else text, tables)


def _all(block: Block) -> list[Record]:
    """The records of a ledger."""
    return [record for path in block.records for record in _meant(path)]


def _page(path: Path, text: str) -> Made:
    marked = html.marker_of(text)
    if marked is None:
        raise UsageError(f"{path}: none of its first lines says what it is made from; write `{html.EXAMPLE}`")
    wanted = html.parse(marked, path)
    records, notes = _joined(wanted.records)
    records = ordered(records)
    tables = tables_of(records)
    return Made(html.board(wanted, records, notes, tables), tables)


def _meant(path: Path) -> list[Record]:
    """The records of a file.

    Raises:
        UsageError: If one is of a run whose results mean nothing.
    """
    records = called_as_made(read_records(path, recount=Recounter()))
    smoke = next((r for r in records if r.kind == "evaluation" and for_tests_only(r.document.profile)), None)
    if smoke is not None:
        raise UsageError(f"{path}: profile smoke is for tests; {smoke.document.label} has no place in a leaderboard")
    return records


def _fit(path: Path) -> list[Record]:
    """The records of a file.

    Raises:
        UsageError: If they are not fit for a leaderboard.
    """
    records = _meant(path)
    tuned = next((r for r in records if r.document.cell.data.split == TUNE), None)
    if tuned is not None:
        raise UsageError(
            f"{path}: {tuned.document.label} (split tune) was scored on training images, by `ddbench tune`; it has no "
            "place in a leaderboard"
        )
    return records


def _table(block: Block) -> Made:
    """The tables of a block.

    Raises:
        UsageError: If it names a data set or a protocol of which there are none.
    """
    records, notes = _joined(block.records)
    path = ", ".join(map(str, block.records))
    for name in block.datasets:
        if not any(_dataset(record) == name for record in records):
            known = ", ".join(sorted({_dataset(record) for record in records})) or "nothing"
            raise UsageError(f"{path}: no records of data set {name!r}; it holds {known}")
    shown = [record for record in records if _wanted(record, block)]
    if not any(record.kind == "evaluation" for record in shown):
        what = f" under protocol {block.protocol}" if block.protocol else ""
        raise UsageError(f"{path}: no evaluations{what}, so there is no table to show")
    tables = tables_of(ordered(shown))
    text = render(tables, "markdown", details=block.details, views=block.views)
    return Made("\n".join([text, *notes]) if notes else text, tables)


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
    student, rank, repetition = "", len(_KINDS), (document.cell.r, 0)
    if isinstance(document, EvaluationDocument):
        protocol, student, repetition = document.eval.protocol, document.eval.arch, (document.cell.r, document.eval.e)
        rank = _KINDS.index(document.facts.kind) if document.facts.kind in _KINDS else rank
    data = canonical(document.cell.data.model_dump(mode="json"))
    where = data, canonical(protocol), document.cell.arch, student
    whole = "" if record.key else record.to_json(indent=None)  # rows that were never planned have no key
    return (*where, rank, document.label, *repetition, record.key, document.profile or "", whole)


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
            published, file, claims = (
                path.parent / values[n] if n in values else None for n in ("published", "file", "claims")
            )
            details = values.get("details") == "yes"
            views = _names(values.get("views", ""))
            protocol = values.get("protocol", "")
            if again := sorted(ONCE & {*views} & {view for block in blocks for view in block.views}):
                what = f"a second block of {again[0]}, whose claims on one page are judged together"
                raise wrong(first, f"{what}; name all records in one: records=a.jsonl,b.jsonl")
            if claims is not None and claims in [block.claims for block in blocks]:
                what = f"a second block of {values['claims']}, whose claims are judged together"
                raise wrong(first, f"{what}; name all records in one: records=a.jsonl,b.jsonl")
            blocks.append(Block(first + 1, index, files, names, protocol, details, views, published, file, claims))
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
                index,
                f"malformed marker `{line.strip()}`; write `{EXAMPLE}`, `{LEDGER}`, `{TUNING}`, `{CLAIMS}` or `{END}`",
            )
        fields = dict(field.split("=", 1) for field in marker["fields"].split())
        unknown, example = fields.keys() - FIELDS[name], EXAMPLES.get(name, EXAMPLE)
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
