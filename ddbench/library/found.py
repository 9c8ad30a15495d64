"""What the beginning of a key names in a results folder."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import short
from ddbench.core.records import Record
from ddbench.core.store.files import below
from ddbench.core.store.folder import CONDENSE, SET, Store, lacks, newer_below

SHORTEST = 4
"""Digits of a key below which it names nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record that a key on the command line means.

    Attributes:
        path: Its file.
        record: Its content.
    """

    path: Path
    record: Record

    @property
    def folder(self) -> Path:
        """Folder of the set that it made or evaluates."""
        return self.path.parent if self.path.name == CONDENSE else self.path.parents[1]

    @property
    def name(self) -> str:
        """``dm 3f2a…``, ``dm r0 e1 77c0…``."""
        document = self.record.document
        which = f" r{document.eval.r} e{document.eval.e}" if isinstance(document, EvaluationDocument) else ""
        return f"{document.label}{which} {short(self.record.key)}"


def find_record(store: Store, key: str) -> Found:
    """The one record whose key begins with ``key``.

    Raises:
        UsageError: If there is none, or several.
    """
    if len(key) < SHORTEST:
        raise UsageError(f"key {key!r}: give at least {SHORTEST} of its digits (`ddbench plan` shows keys)")
    found = [Found(path, record) for path, record in store.records() if record.key.startswith(key)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} results in {store.out} have keys that begin with {key!r}: give more digits")
    if not found:
        if not store.out.is_dir():
            raise UsageError(lacks(store.out, "results"))
        newer = [error for error in newer_below(store.out) if f"/{short(key)}" in Path(error.where).as_posix()]
        if newer:
            raise newer[0]
        if (odd := _in_doubt(store, key)) is not None:
            raise CorruptFileError(
                f"{odd}: what lies here under this key is not to be believed, as the warning says: run the command "
                "that made it again, or move it away"
            )
        raise UsageError(
            f"no result in {store.out} has a key that begins with {key!r} (see `ddbench plan` with the run's options; "
            "records in a .jsonl file come without their sets)"
        )
    return found[0]


def _in_doubt(store: Store, key: str) -> Path | None:
    """The first file or folder whose name says this key."""
    roots = (store.out, store.claims(shared=True).parent)
    beginning = glob.escape(short(key))
    patterns = (f"{beginning}*/{CONDENSE}", f"eval/{beginning}*.json")
    found = (path for root in roots for pattern in patterns for path in below(root, pattern))
    return next(found, None)


def set_of(store: Store, found: Found) -> Record:
    """The condensation of the set that a found record made or evaluates.

    Raises:
        UsageError: If the set is not there.
    """
    made = store.condensation(found.folder, keep=True)
    if made is None or made.status != "ok" or not (found.folder / SET).is_file():
        from ddbench.results.audit.retrain import remake

        advice = remake(found.record.document.set, store.out)
        raise UsageError(f"{found.name}: its set is not in {found.folder}; {advice}")
    return made
