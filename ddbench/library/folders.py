"""The results folder that a command works on: its records are recounted where the data are here."""

from __future__ import annotations

from pathlib import Path

from ddbench.core.store.folder import Store
from ddbench.work.evaluate.predictions import Recounter


def opened(out: Path, *, aside: bool = False) -> Store:
    """The folder at ``out``.

    Args:
        out: What ``--out`` says.
        aside: Whether the command computes: what is no record is then renamed, and computed again.
    """
    return Store(out, Recounter(), aside)
