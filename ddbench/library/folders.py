"""The results folder that a command works on: its records are recounted where the data are here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ddbench.core.errors import UsageError
from ddbench.core.records import Record
from ddbench.core.store.folder import Store
from ddbench.work.evaluate.predictions import Recounter


def folder_at(out: str | Path) -> Path:
    """The folder that ``out`` names; Python takes no name at all for the folder that one is in.

    Raises:
        UsageError: If it is empty.
    """
    if not str(out).strip():
        raise UsageError(f"out={str(out)!r} is no name: the folder you are in is '.'")
    return Path(out)


def opened(out: Path, *, aside: bool = False) -> Store:
    """The folder at ``out``.

    Args:
        out: What ``--out`` says.
        aside: Whether the command computes: what is no record is then renamed, and computed again.
    """
    return Store(out, Recounter(), aside)


def each_once(records: Iterable[Record]) -> list[Record]:
    """Records of several places, each row's once: the last that is said of it, where it was said first."""
    named = {(r.key, r.document.label, r.kind == "condense" and r.document.profile): r for r in records}
    return list(named.values())
