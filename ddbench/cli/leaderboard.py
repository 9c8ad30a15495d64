"""``ddbench leaderboard``: pages whose tables are made from committed records, and whether they still agree."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from ddbench.cli.options import PLUGIN, Place
from ddbench.core.errors import DDBenchError, UsageError
from ddbench.core.words import plural

DIFF_LINES = 20
"""Lines of a difference that are shown per page: enough to recognise it, not a second copy of the page."""

DIFF_WIDTH = 400
"""Characters of a line that are shown: a picture is one long line."""

pages_argument = click.argument("pages", metavar="[PAGE]...", nargs=-1, type=Place(path_type=Path))


@click.group()
def leaderboard() -> None:
    """Write the tables of leaderboard pages from records, or check them.

    Without PAGE: all .md below leaderboards/, leaderboards/*.html and README.md, as far as they hold tables.
    """


@leaderboard.command("render")
@PLUGIN
@pages_argument
def render_(pages: tuple[Path, ...]) -> None:
    """Rewrite the tables of each PAGE in place."""
    from ddbench.publish import leaderboard as board

    contents = {page: board.fresh(page) for page in pages or _default_pages()}  # all are sound before one is touched
    for page, (old, new) in contents.items():
        if old != new:
            board.write(page, new)
        click.echo(f"{page}: {'up to date' if old == new else 'rewritten'}")


@leaderboard.command("check")
@PLUGIN
@click.option("--fresh", is_flag=True, help="Exit with 1, too, if any of these made results.")
@pages_argument
def check_(pages: tuple[Path, ...], fresh: bool) -> None:
    """Exit with 1 if a PAGE says something else than its records.

    Results that other versions of a method, a protocol or an artifact kind, other settings of a profile, or code
    paths that are gone made are named, and are no error without --fresh. Networks and readers of data are not looked
    at: docs/explanation/keys.md says why.
    """
    from ddbench.publish import leaderboard as board

    stale, waiting, broken = [], [], []
    for page in pages or _default_pages():
        try:
            old, new, outdated = board.look(page)
        except UsageError as error:
            broken.append(str(error))
            continue
        if old != new:
            stale.append(page)
            _show_difference(page, old, new)
        click.echo(f"{page}: {'differs from its records' if old != new else 'up to date'}")
        for line in outdated:
            click.echo(f"  {line}")
        waiting += [page] if outdated else []
    names = " ".join(map(str, stale))
    told = [f"out of date: {names} (`ddbench leaderboard render {names}` writes them anew)"] if stale else []
    if broken:
        raise UsageError("; ".join([*broken, *told]))
    if stale:
        raise DDBenchError(told[0])
    if fresh and waiting:
        raise DDBenchError(f"made by other versions: {' '.join(map(str, waiting))} (run their commands again)")


def _default_pages() -> list[Path]:
    from ddbench.publish.leaderboard import has_markers

    boards = Path("leaderboards")
    candidates = [*sorted(boards.rglob("*.md")), *sorted(boards.glob("*.html")), Path("README.md")]
    found = [page for page in candidates if page.is_file() and has_markers(page)]
    if not found:
        raise UsageError(
            "neither leaderboards/*.md, leaderboards/*.html nor README.md here holds a table: "
            "name a PAGE, or go to the repository"
        )
    return found


def _show_difference(page: Path, old: str, new: str) -> None:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), str(page), "from records", n=1, lineterm=""))
    for line in lines[:DIFF_LINES]:
        click.echo(line[:DIFF_WIDTH], err=True)
    if len(lines) > DIFF_LINES:
        click.echo(f"… {plural(len(lines) - DIFF_LINES, 'more line')}", err=True)
