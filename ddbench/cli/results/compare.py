"""`ddbench results compare`: whether two folders or files of records say the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddbench.cli.options import PLUGIN, Place
from ddbench.cli.records import gathered
from ddbench.core.errors import UsageError

if TYPE_CHECKING:
    from ddbench.core.records import Record
    from ddbench.results.audit.compare import Pair

SHOWN = 10
"""Pairs that are said one by one of each outcome; the rest is counted."""


@click.command()
@click.argument("first", type=Place(path_type=Path))
@click.argument("second", type=Place(path_type=Path))
@PLUGIN
def compare(first: Path, second: Path) -> int:
    """Compare the records of FIRST and SECOND, results folders or files of records (.jsonl).

    Each evaluation of one is looked up in the other by what decides it. Equal: the same set, accuracy and right test
    images. Else the second accuracy should lie in the 95 % prediction interval of the first's row, all such evaluations
    together (Bonferroni). What only one of the two has is counted and named. Nothing is computed or written.
    Exit code 1: something is outside, or stands in one of the two alone.
    """
    from ddbench.results.audit.compare import OUTCOMES, machines_differ
    from ddbench.results.audit.compare import compare as compared
    from ddbench.results.tables.observations import ORIGIN

    records = [_of(path) for path in (first, second)]
    pairs = compared(*records)
    _print_rows(pairs)
    for outcome, meaning in OUTCOMES.items():
        members = [pair for pair in pairs if pair.outcome == outcome]
        if not members:
            continue
        click.echo(f"{outcome}: {len(members)}{f' ({meaning})' if meaning else ''}")
        if outcome == "equal":
            continue
        for pair in members[:SHOWN]:
            click.echo(f"  {_title(pair)}{f': {pair.why}' if pair.why else ''}")
        if len(members) > SHOWN:
            click.echo(f"  and {len(members) - SHOWN} more")
    if any("origin" in f"{pair.row} {pair.why}" for pair in pairs):
        click.echo(ORIGIN)
    if any(pair.weak for pair in pairs):
        click.echo("intervals of fewer than three students are too narrow to judge by, and do not decide the exit code")
    if differ := machines_differ(*records):
        click.echo(f"the machines differ, so that the last digits may: {'; '.join(differ)}")
    return 0 if all(pair.good for pair in pairs) else 1


def _of(path: Path) -> list[Record]:
    """The records of a folder or a file.

    Raises:
        UsageError: If it is neither, or holds no evaluation.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such results folder or file of records (.jsonl)")
    from ddbench.publish.leaderboard import ordered

    records = gathered(path, ()) if path.is_dir() else gathered(None, (path,))
    if not any(record.kind == "evaluation" for record in records):
        raise UsageError(f"{path}: no evaluations: run `ddbench run` first, or name other records")
    return ordered(records)


def _print_rows(pairs: list[Pair]) -> None:
    """A table with a line for each row and budget: how many of its evaluations are what."""
    from tabulate import tabulate

    from ddbench.results.audit.compare import OUTCOMES

    rows: dict[str, dict[str, int]] = {}
    for pair in pairs:
        counts = rows.setdefault(_row(pair), {})
        counts[pair.outcome] = counts.get(pair.outcome, 0) + 1
    there = [outcome for outcome in OUTCOMES if any(outcome in counts for counts in rows.values())]
    table = [[row, *(counts.get(outcome, "") for outcome in there)] for row, counts in rows.items()]
    click.echo(tabulate(table, headers=["evaluations of", *there], tablefmt="simple"))


def _row(pair: Pair) -> str:
    import json

    setting = pair.setting
    size = "" if pair.budget is None else f" {pair.budget.label}"
    return f"{pair.row}{size} · {json.loads(setting.data)['name']} · {setting.protocol} {setting.eval_arch}"


def _title(pair: Pair) -> str:
    one = pair.first or pair.second
    assert one is not None
    return f"{_row(pair)} · r{one.r} e{one.e}"
