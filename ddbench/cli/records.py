"""The records that `--out` and `--records` name, and which of them filters mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ddbench.core.errors import NewerRecordError, UsageError, ambiguous
from ddbench.core.names import meant
from ddbench.core.records import Record
from ddbench.core.store.folder import lacks, newer_below
from ddbench.library.folders import each_once, opened
from ddbench.plan.collect import called_as_made, stored
from ddbench.work.evaluate.predictions import Recounter


def gathered(out: Path | None, files: tuple[Path, ...]) -> list[Record]:
    """The records of a folder, with the references of its tables, of files, or of both, each once.

    Args:
        out: Results folder; None: ``runs`` where no files are named, else none.
        files: Records files.

    Raises:
        UsageError: If a file cannot be read, or the folder is not there.
    """
    from ddbench.core.store.jsonl import read_records

    recount = Recounter()
    records = called_as_made(record for path in files for record in read_records(path, recount=recount))
    if out is not None or not files:
        folder = out or Path("runs")
        if not folder.is_dir():
            raise none_in(folder)
        records += stored(opened(folder))
    return each_once(records)


def none_in(out: Path, what: str = "evaluations") -> UsageError:
    """The error for a folder without results that this ddbench can read."""
    newer = newer_below(out)
    if newer:
        return UsageError(
            f"{out} holds no {what} that this ddbench can read, and {summary(newer)}; or give another --out"
        )
    return UsageError(f"{lacks(out, what)}: run `ddbench run` first, or give another --out")


def summary(errors: Sequence[NewerRecordError]) -> str:
    """What is said of stored files that a newer ddbench wrote, in one line."""
    if len(errors) == 1:
        return str(errors[0])
    what = ", ".join(dict.fromkeys(error.what for error in errors))
    return (
        f"{len(errors)} records are newer than this ddbench ({what}); they are left as they are: "
        f"update ddbench to read them (the first: {errors[0].where})"
    )


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
