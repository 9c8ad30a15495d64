"""Records as one file: a line of canonical JSON each, sorted, so that equal records give equal bytes."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path

from ddbench.core.agreement import contradicted, outvoted
from ddbench.core.errors import CorruptFileError, NewerRecordError, UsageError
from ddbench.core.keys import canonical, short
from ddbench.core.records import Record
from ddbench.core.store.files import NewerRecordWarning, StoreWarning, atomic_write, read_small
from ddbench.core.store.folder import Recount, none
from ddbench.core.trust import doubt, sizes_told, wrong_mean
from ddbench.core.words import plural

MOST_BYTES = 1 << 30
"""Of a file of records; hundreds of thousands take less."""
MOST_TOLD = 5
"""Lines of a file that are told one by one, where more are left out."""
HINT = "(`ddbench results export` writes such a file)"


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as :func:`as_lines` has them.

    Raises:
        NewerRecordError: If there is such a file already, with records of a newer ddbench.
        StoreError: If the file cannot be written.
    """
    _keep_newer(path)
    atomic_write(path, as_lines(records).encode())


def as_lines(records: Iterable[Record]) -> str:
    """Records whole (what verification needs is all there), a line of JSON each, each once, by key and label."""
    # Through JSON text, because a loss may be NaN: a record says null, canonical JSON refuses.
    documents = [json.loads(record.to_json(indent=None)) for record in records]
    lines = {(d["key"], d["spec"]["label"], canonical(d)): None for d in documents}
    return "".join(f"{line}\n" for _, _, line in sorted(lines))


def _keep_newer(path: Path) -> None:
    """Refuse to write over records that this ddbench cannot read, and others can."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(CorruptFileError):
            Record.from_json(line, f"{path}:{number}")


def read_records(path: Path, *, whole: bool = False, recount: Recount = none) -> list[Record]:
    """The records in a file; a line that is none, or cannot be believed, is told and left out, as its evaluations are.

    Args:
        path: The file.
        recount: What else must agree, see :class:`ddbench.core.store.folder.Store`.
        whole: Refuse a file of which a line would be left out, as those must who write the file anew.

    Raises:
        UsageError: If the file is missing, or has lines and none of them is a record.
    """
    try:
        lines = read_small(path, MOST_BYTES).split(b"\n")  # not splitlines: JSON may hold other separators
    except (OSError, CorruptFileError) as error:
        why = getattr(error, "strerror", None) or "not a file of records"
        raise UsageError(f"records {path}: {why} {HINT}") from None
    read = _Lines(path, recount)
    for number, line in enumerate(lines, 1):
        if line.strip():
            read.add(number, line)
    found = read.believed()
    if whole and read.odd:
        number, why = min(read.odd.items())
        raise UsageError(
            f"{path}:{number}: {why}: mend or delete the line, so that writing the file anew loses nothing"
        )
    if read.odd and not (found or read.records):
        raise UsageError(f"records {path}: no line is a record that can be used; line {min(read.odd)}: "
                         f"{read.odd[min(read.odd)]} {HINT}")  # fmt: skip
    for newer in read.newer.values():
        warnings.warn(NewerRecordWarning(newer), stacklevel=2)
    told = sorted(read.odd.keys() - read.newer.keys())
    for number in told[:MOST_TOLD]:
        warnings.warn(f"{path}:{number}: {read.odd[number]}; it is left out", StoreWarning, stacklevel=2)
    if more := told[MOST_TOLD:]:
        what = f"left out as well: {plural(len(more), 'line')} (the first: {more[0]})"
        warnings.warn(f"{path}: {what}", StoreWarning, stacklevel=2)
    return found


class _Lines:
    """The lines of a file of records.

    Attributes:
        records: What can be read, by line.
        odd: Why a line is left out, by line.
        newer: Those of a newer ddbench among them.
    """

    def __init__(self, path: Path, recount: Recount) -> None:
        self.path, self.recount = path, recount
        self.records: dict[int, Record] = {}
        self.odd: dict[int, str] = {}
        self.newer: dict[int, NewerRecordError] = {}
        self._refused: dict[str, int] = {}
        self._same: dict[tuple[str, str], list[int]] = {}

    def add(self, number: int, line: bytes) -> None:
        """Read a line."""
        where = f"{self.path}:{number}"
        try:
            record = Record.from_json(line, where)
        except (NewerRecordError, CorruptFileError) as error:
            self.odd[number] = str(error).removeprefix(f"{where}: ")
            if isinstance(error, NewerRecordError):
                self.newer[number] = error
            elif (key := _set_of(line)) is not None:
                self._refused[key] = number
            return
        self.records[number] = record
        if (why := doubt(record) or contradicted(record) or self.recount(self.path, record)) is not None:
            self.odd[number] = why
            if record.kind == "condense":
                self._refused |= dict.fromkeys({record.key, record.document.key}, number)
            return
        if record.key:
            self._same.setdefault((record.key, record.document.label), []).append(number)

    def believed(self) -> list[Record]:
        """The records of the lines that are not left out."""
        for (key, _), same in self._same.items():
            first, other = same[0], next((one for one in same if self.records[one] != self.records[same[0]]), None)
            if other is not None:
                self.odd |= {one: f"lines {first} and {other} disagree about {short(key)}: delete one" for one in same}
        sets = {record.key: number for number, record in self.records.items() if record.kind == "condense"}
        for number, record in self.records.items():
            made = record.evaluation.eval.set if record.kind == "evaluation" else None
            if made in self._refused and number not in self.odd:
                self.odd[number] = f"it evaluates a set that is not believed (line {self._refused[made]})"
            elif made in sets and self._is_of_another(record, self.records[sets[made]]):
                self.odd.setdefault(number, f"it evaluates another set than line {sets[made]} made")
        self.odd = outvoted({n: record for n, record in self.records.items() if n not in self.odd}) | self.odd
        self._compare_classes()
        return [record for number, record in self.records.items() if number not in self.odd]

    @staticmethod
    def _is_of_another(record: Record, made: Record) -> bool:
        """Whether an evaluation is of another file than the set of its key."""
        return record.status == "ok" and (made.status != "ok" or record.set_sha256 != made.set_sha256)

    def _compare_classes(self) -> None:
        """Leave out accuracies that are not the means of their classes', whose sizes all lines together may tell."""
        groups: dict[str, dict[int, Record]] = {}
        for number, record in self.records.items():
            if record.kind == "evaluation" and record.status == "ok" and number not in self.odd:
                data = record.document.cell.data.model_dump(mode="json", exclude={"preprocess"})
                groups.setdefault(canonical([data, record.n_test]), {})[number] = record
        for members in groups.values():
            if (sizes := sizes_told(members.values())) is not None:
                found = ((number, wrong_mean(record, sizes)) for number, record in members.items())
                self.odd |= {number: why for number, why in found if why is not None}


def _set_of(line: bytes) -> str | None:
    """The set that a line which is no record was about, as far as JSON says it."""
    try:
        content = json.loads(line)
        key = content["key"] if content["kind"] == "condense" else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return key if isinstance(key, str) and key else None
