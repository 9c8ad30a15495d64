"""Options, and rows one after the other: what `python -m benchmarks` and every module of it do. No torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.kit.row import Line, Options, Row, measured


def parser(doc: str | None = None) -> argparse.ArgumentParser:
    """The options of :class:`Options`, and ``--only``."""
    found = argparse.ArgumentParser(description=doc)
    found.add_argument("--only", default="", metavar="ROW,…", help="rows of these names, or first words of names")
    found.add_argument("--repeats", type=int, default=3, help="turns of each side; more of quick ones")
    found.add_argument("--engine", default="auto", choices=("auto", "eager", "fused"), help="of ddbench")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    found.add_argument("--threads", type=int, default=1, help="of each side; with more than one, wall seconds count")
    found.add_argument("--sides", default="", metavar="SIDE,…", help="only these: authors, reference, ours")
    return found


def options(given: argparse.Namespace) -> Options:
    """What was given."""
    sides = tuple(filter(None, given.sides.split(",")))
    return Options(given.repeats, given.engine, given.device, given.threads, sides)


def chosen(rows: Iterable[Row], only: str) -> list[Row]:
    """Rows whose name or first word is among ``only``; all where that is empty.

    Raises:
        SystemExit: If one of ``only`` is no row.
    """
    rows, wanted = list(rows), [word.strip() for word in only.split(",") if word.strip()]
    for word in wanted:
        if not any(word in (row.name, row.name.split()[0]) for row in rows):
            raise SystemExit(f"no row {word!r}; there are: {', '.join(row.name for row in rows)}")
    return [row for row in rows if not wanted or {row.name, row.name.split()[0]} & set(wanted)]


def lines(rows: Sequence[Row], how: Options) -> Iterator[Line]:
    """Measure rows; each line is printed as soon as there is one."""
    for row in rows:
        line = measured(row, how)
        print(json.dumps(line, ensure_ascii=False), flush=True)
        yield line


def main(rows: Sequence[Row]) -> None:
    """Measure the rows of one module."""
    given = parser().parse_args()
    for _ in lines(chosen(rows, given.only), options(given)):
        pass


def read(path: Path) -> list[Line]:
    """The lines of a file; none where there is no file.

    Raises:
        SystemExit: If one is no JSON.
    """
    found = []
    for i, text in enumerate(path.read_text().splitlines() if path.exists() else []):
        try:
            found.append(json.loads(text))
        except ValueError as error:
            raise SystemExit(f"{path}, line {i + 1}: {error}") from None
    return found


def write(path: Path, found: Sequence[Line], order: Sequence[str]) -> list[Line]:
    """Replace lines of the same row, keep the others, in the order of the rows; gives all."""
    merged = {line["row"]: line for line in (*read(path), *found)}
    known = {name: i for i, name in enumerate(order)}
    ordered = sorted(merged.values(), key=lambda line: known.get(line["row"], len(known)))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in ordered))
    return ordered
