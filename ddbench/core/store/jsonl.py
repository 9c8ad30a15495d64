"""Records as one file: a line of canonical JSON each, sorted, so that equal records give equal bytes."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path

from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import canonical, short
from ddbench.core.records import Record
from ddbench.core.store.files import StoreWarning, atomic_write, read_small
from ddbench.core.trust import doubt

MOST_BYTES = 1 << 30
"""Of a file of records; hundreds of thousands take less."""


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records whole (what verification needs is all there), each once, sorted by key and label.

    Raises:
        NewerRecordError: If there is such a file already, with records of a newer ddbench.
        StoreError: If the file cannot be written.
    """
    _keep_newer(path)
    # Through JSON text, because a loss may be NaN: a record says null, canonical JSON refuses.
    documents = [json.loads(record.to_json(indent=None)) for record in records]
    lines = {(d["key"], d["spec"]["label"], canonical(d)): None for d in documents}
    atomic_write(path, "".join(f"{line}\n" for _, _, line in sorted(lines)).encode())


def _keep_newer(path: Path) -> None:
    """Refuse to write over records that this ddbench cannot read, and others can."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(CorruptFileError):
            Record.from_json(line, f"{path}:{number}")


def read_records(path: Path) -> list[Record]:
    """The records in a file; one that cannot be believed is told and left out.

    Raises:
        UsageError: If the file is missing, a line is not a record, or two lines disagree about one key.
        NewerRecordError: If a line is a record of a newer ddbench.
    """
    try:
        lines = read_small(path, MOST_BYTES).decode().split("\n")  # not splitlines: JSON may hold other separators
    except (OSError, UnicodeDecodeError, CorruptFileError) as error:
        why = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None)
        hint = "(`ddbench results export` writes such a file)"
        raise UsageError(f"records {path}: {why or 'not a file of records'} {hint}") from None
    found: dict[tuple[str, str], Record] = {}
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = Record.from_json(line, f"{path}:{number}")
        except CorruptFileError as error:
            raise UsageError(str(error)) from None
        if (why := doubt(record)) is not None:
            warnings.warn(f"{path}:{number}: {why}; it is left out", StoreWarning, stacklevel=2)
            continue
        label = record.document.label
        if record.key and found.setdefault((record.key, label), record) != record:
            raise UsageError(
                f"{path}:{number}: another line says otherwise about {short(record.key)}; keep one of them"
            )
        records.append(record)
    return records
