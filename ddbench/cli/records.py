"""The records that `--out` and `--records` name."""

from __future__ import annotations

from pathlib import Path

from ddbench.cli.folders import opened
from ddbench.core.records import Record
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
        records += stored(opened(out or Path("runs")))
    named = {(r.key, r.document.label, r.kind == "condense" and r.document.profile): r for r in records}
    return list(named.values())
