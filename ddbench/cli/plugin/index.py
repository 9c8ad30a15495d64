"""The index of first-party methods, generated from the registry into `plugins/README.md`."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from ddbench.core.api import MethodInfo
from ddbench.core.errors import UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.store.files import atomic_write

BEGIN = "<!-- ddbench:methods -->"
END = "<!-- ddbench:end-methods -->"


def table(registries: Registries) -> str:
    """A markdown table of ddbench's own methods."""
    methods = registries.methods
    ours = [
        info
        for info in methods
        if methods.origin(info.name).key == FIRST_PARTY and info.name != IMPORTED  # that one is no plugin
    ]
    rows = [
        {
            "method": f"[`{info.name}`](ddbench_plugins/{info.target.split('.')[1]})",
            "kind": info.kind,
            "what it does": info.summary,
            "paper": _paper(info),
            "version": info.version,
        }
        for info in ours
    ]
    return tabulate(rows, headers="keys", tablefmt="github")


def _paper(info: MethodInfo) -> str:
    return f"[{info.paper.venue} {info.paper.year}]({info.paper.url})" if info.paper else "–"


def inserted(text: str, table: str, where: str) -> str:
    """``text`` with ``table`` between its markers.

    Args:
        text: Content of a file.
        table: What goes between the markers.
        where: Name of the file, for the message.

    Raises:
        UsageError: If the markers are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{where}: has no line {BEGIN} followed by {END}; add both where the table belongs")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def renew(file: Path, table: str) -> None:
    """Replace the table in a file.

    Raises:
        UsageError: If the file does not exist, or has no markers.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    atomic_write(file, inserted(text, table, str(file)).encode())
