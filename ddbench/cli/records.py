"""The records that `--out` and `--records` name, and which of them filters mean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ddbench.core.errors import ambiguous
from ddbench.core.names import meant
from ddbench.core.records import Record
from ddbench.core.store.folder import Store
from ddbench.plan.collect import stored


def gathered(out: Path | None, files: tuple[Path, ...]) -> list[Record]:
    """The records of a folder, with the references of its tables, of files, or of both, each once.

    Args:
        out: Results folder; None: ``runs`` where no files are named, else none.
        files: Records files.

    Raises:
        UsageError: If a file cannot be read.
    """
    from ddbench.core.store.jsonl import read_records

    records = [record for path in files for record in read_records(path)]
    if out is not None or not files:
        records += stored(Store(out or Path("runs")))
    named = {(r.key, r.document.label, r.kind == "condense" and r.document.profile): r for r in records}
    return list(named.values())


def chosen(noun: str, typed: Iterable[str], known: Iterable[str]) -> set[str]:
    """The names among those of records that a filter means; what means none stays, and lets nothing pass.

    Args:
        noun: What is named, for messages.
        typed: What was typed.
        known: The names that there are.

    Raises:
        UsageError: If one could mean several.
    """
    names, found = dict.fromkeys(known, ()), set()
    for text in typed:
        meanings = meant(text, names)
        if len(meanings) > 1:
            raise ambiguous(noun, text, meanings)
        found |= set(meanings or [text])
    return found
