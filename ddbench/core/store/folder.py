"""The results folder: where sets and records lie, how they are published, and queries over them."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument, Place
from ddbench.core.errors import CorruptFileError, NewerRecordError, StoreError, UsageError
from ddbench.core.keys import short
from ddbench.core.records import Record
from ddbench.core.store import artifacts
from ddbench.core.store.claims import held_here
from ddbench.core.store.files import (
    NewerRecordWarning,
    StoreWarning,
    atomic_write,
    below,
    check_text,
    home,
    read_small,
    set_aside,
    sha256_file,
    store_error,
)
from ddbench.core.trust import doubt, doubt_of_place

if TYPE_CHECKING:
    import pandas as pd

    from ddbench.core.api import CondensedSet
    from ddbench.core.store.tensors import Framework

SET = "condensed.safetensors"
CONDENSE = "condense.json"
CHECKPOINT = "checkpoint.safetensors"
SPEC = "spec.json"
"""File of a cell's document and of the engine that a resumed run reuses."""
LOG = "log.txt"
"""File of why a cell failed."""
GONE = "changed on disk in the meantime; run the same command again"
"""What is said of a record that :func:`amend` found changed."""
REMOVED = ".removed"
"""Folder of what is being deleted; nothing in it counts any more."""


Recount: TypeAlias = Callable[[Path, Record], str | None]
"""Why what lies beside a record, or the data that it is of, says otherwise than the record; None: it does not."""


def none(path: Path, record: Record) -> None:
    """Nothing is recounted."""


@dataclass(frozen=True, slots=True)
class Store:
    """One results folder (``--out``), and the shared one that holds references.

    Attributes:
        out: The results folder.
        recount: What must agree with a record, beside the record itself, for it to be used.
        aside: Whether records that cannot be believed are renamed where others may be put in their place.

    Raises:
        UsageError: If its name is not text.
    """

    out: Path
    recount: Recount = none
    aside: bool = True

    def read(self, path: Path, *, keep: bool = False) -> Record | None:
        """A record of this folder, or of the shared one (:func:`read_record`)."""
        return read_record(path, keep=keep, aside=self.aside, recount=self.recount)

    def __post_init__(self) -> None:
        check_text(self.out, "--out")

    def check_writable(self) -> None:
        """Create the folder now, so that a wrong ``--out`` is found before hours of compute.

        Raises:
            UsageError: If it cannot be created or written.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            if not os.access(self.out, os.W_OK):
                raise PermissionError(13, "permission denied")
        except OSError as error:
            raise UsageError(f"--out {self.out}: {error.strerror}; choose a folder that can be written") from None

    def folder(self, document: CellDocument) -> Path:
        """Folder of the cell that a cell document describes.

        Names are for people, the key decides; references are shared by all results folders.
        """
        cell = document.cell
        place = Path(cell.method) if document.shared else Path(cell.data.name, cell.method, document.folder)
        return (home() / "artifacts" if document.shared else self.out) / place / short(document.key)

    def claims(self, *, shared: bool) -> Path:
        """Folder of the claims on nodes."""
        return (home() / "artifacts" if shared else self.out) / ".claims"

    def claims_of(self, document: Document) -> Path:
        """Folder of the claim on one node."""
        return self.claims(shared=isinstance(document, ArtifactDocument) or document.set.shared)

    def result(self, document: Document) -> Path:
        """What appears last when a node is done: its record, or the folder of an artifact."""
        match document:
            case ArtifactDocument(artifact=spec):
                return artifacts.folder_of(spec.kind, document.key)
            case EvaluationDocument():
                return evaluation_path(self.folder(document.set), document.key)
            case CellDocument():
                return self.folder(document) / CONDENSE

    def log(self, document: Document) -> Path:
        """File with the traceback of a node that failed, beside its record; of an artifact, beside its folder.

        Nothing but people reads it, and it goes when the node succeeds.
        """
        result = self.result(document)
        return result.with_name(LOG) if isinstance(document, CellDocument) else result.with_suffix(".log")

    def working_beside(self, key: str) -> int:
        """How many other nodes this machine works on, as far as they leave results here or in the shared folder."""
        held = held_here(self.claims(shared=False)) | held_here(self.claims(shared=True))
        return len(held - {short(key)})

    # ---------------------------------------------------------------------------------------------- condensed sets

    def condensation(self, folder: Path, *, keep: bool = False) -> Record | None:
        """The record that makes a set exist, or None; a corrupt one counts as missing, set aside unless ``keep``."""
        record = self.read(folder / CONDENSE, keep=keep)
        if record is not None and record.status == "ok" and not (folder / SET).is_file():
            return None
        return record

    def publish_set(self, folder: Path, condensed: CondensedSet) -> str:
        """Write ``condensed.safetensors`` and return its sha256; the record must follow."""
        from ddbench.core.store.tensors import save_set

        save_set(folder / SET, condensed)
        return sha256_file(folder / SET)

    def load_set(self, folder: Path, *, keep: bool = False, framework: Framework = "pt") -> tuple[CondensedSet, Record]:
        """A set and its record.

        Args:
            folder: The set's.
            keep: Leave all files where they are, as commands do that only read.
            framework: Whose arrays (:func:`ddbench.core.store.tensors.load_set`).

        Raises:
            CorruptFileError: If either is missing, or the file is not the one the record names. Unless ``keep``, both
                are set aside, so that the same command makes the set again; else the message says how to mend it.
        """
        from ddbench.core.store.tensors import load_set

        record = self.condensation(folder, keep=keep)
        if record is None or record.status != "ok":
            raise CorruptFileError(f"{folder}: holds no condensed set")
        try:
            if sha256_file(folder / SET) != record.set_sha256:
                raise CorruptFileError(f"{folder / SET}: not the file that {CONDENSE} names (sha256 differs)")
            return load_set(folder / SET, framework), record
        except CorruptFileError as error:
            if keep:
                raise CorruptFileError(f"{error}; {removal(record)} and the run that made it make it again") from None
            warnings.warn(f"{error}; it will be made again", StoreWarning, stacklevel=2)
            set_aside(folder / SET)
            set_aside(folder / CONDENSE)
            raise

    def remove_set(self, folder: Path, *, shared: bool) -> None:
        """Delete a set with its evaluations: all of it counts as gone at once, also where deleting is cut short.

        Args:
            folder: The set's.
            shared: Whether it is a reference.

        Raises:
            StoreError: If it cannot be removed.
        """
        bin_ = (home() / "artifacts" if shared else self.out) / REMOVED
        try:
            bin_.mkdir(exist_ok=True)
            folder.rename(bin_ / f"{folder.name}.{uuid.uuid4().hex[:8]}")
            shutil.rmtree(bin_)  # with what an earlier removal left
        except OSError as error:
            raise store_error(folder, error) from error

    # ------------------------------------------------------------------------------------------------- evaluations

    def evaluation(self, folder: Path, key: str, set_sha256: str | None) -> Record | None:
        """The evaluation ``key`` of the set in ``folder``, or None; one of another set file counts as missing."""
        record = self.read(evaluation_path(folder, key))
        return record if record is not None and (record.key, record.set_sha256) == (key, set_sha256) else None

    # ----------------------------------------------------------------------------------------------------- queries

    def records(self, *names: str) -> Iterator[tuple[Path, Record]]:
        """All records below the results folder and of shared references, with their paths, in path order.

        Looking changes nothing: a record that cannot be read or believed is told and passed over, and stays where it
        is; so is the evaluation of another set than the one that lies there.

        Args:
            names: Patterns of the files to read, below any folder; none: all records.
        """
        made: dict[Path, str | None] = {}
        refused: set[Path] = set()
        for root in (self.out, home() / "artifacts"):  # the latter for references
            for path in [path for name in names or (CONDENSE, "eval/*.json") for path in below(root, name)]:
                if REMOVED in path.relative_to(root).parts:
                    continue
                record = self.read(path, keep=True)
                if record is None:
                    refused.add(path.parent)  # of a set, where it is one of those that come first
                    continue
                if record.kind == "evaluation" and path.parents[1] in refused:
                    _tell(f"{path}: it evaluates a set whose record is left out")
                    continue
                if record.kind == "condense":
                    made[path.parent] = record.set_sha256 if record.status == "ok" else None
                elif record.status == "ok" and made.get(path.parents[1], record.set_sha256) != record.set_sha256:
                    _tell(f"{path}: it evaluates another set than the one beside it")
                    continue
                yield path, record

    def frame(self) -> pd.DataFrame:
        """One row per record, nested fields as dotted columns."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            record.model_dump(by_alias=True) | {"path": str(p)} for p, record in self.records()
        ]
        return pd.json_normalize(rows)


def evaluation_path(folder: Path, key: str) -> Path:
    """File of an evaluation record."""
    return folder / "eval" / f"{short(key)}.json"


def read_record(path: Path, *, keep: bool = False, aside: bool = True, recount: Recount = none) -> Record | None:
    """A record, or None when there is none; one that cannot be believed is told and counts as missing, too.

    One of a newer ddbench stays where it is: it is told and passed over by those who only look (``keep``).

    Args:
        path: Its file, in the folder of its set.
        keep: Look only: nothing is renamed.
        aside: Unless ``keep``, rename what cannot be read or believed, so that another may stand there.
        recount: What else must agree, see :class:`Store`.

    Raises:
        NewerRecordError: Where something may be put in its place.
        StoreError: If it may be a record and cannot be read, where something may be put in its place.
    """
    try:
        record = Record.from_json(read_small(path), str(path))
        why = doubt_of_place(record, path) or doubt(record) or recount(path, record)
        if why is not None:
            raise CorruptFileError(f"{path}: {why}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        odd = error.errno in (errno.ELOOP, errno.ENAMETOOLONG)
        if not (keep or odd):
            raise StoreError(f"cannot read {path}: {error.strerror or error}; make it readable, or move it") from error
        _tell(f"{path}: {error.strerror or error}")
        if odd and aside and not keep:
            set_aside(path)
        return None
    except NewerRecordError as error:
        if not keep:
            raise
        warnings.warn(NewerRecordWarning(error), stacklevel=2)
        return None
    except CorruptFileError as error:
        _tell(str(error))
        if aside and not keep:
            set_aside(path)
        return None
    return record


def _tell(what: str) -> None:
    warnings.warn(f"{what}; it counts as missing", StoreWarning, stacklevel=3)


def lacks(out: Path, what: str) -> str:
    """``runs holds no evaluations``; of a results folder that is not there, that."""
    return f"{out} holds no {what}" if out.is_dir() else f"{out}: no such results folder"


def newer_below(folder: Path) -> list[NewerRecordError]:
    """What is said of each record below a folder that a newer ddbench wrote, in path order; nothing is changed."""
    found = []
    for path in sorted([*below(folder, CONDENSE), *below(folder, "eval/*.json")]):
        try:
            Record.from_json(path.read_bytes(), str(path))
        except NewerRecordError as error:
            found.append(error)
        except (CorruptFileError, OSError):
            continue
    return found


def write_record(path: Path, record: Record, *, durable: bool = True) -> None:
    """Publish a record, after all files that it names (``durable``: see :mod:`ddbench.core.store.files`)."""
    atomic_write(path, record.to_json().encode(), durable=durable)


def amend(path: Path, record: Record, metrics: Mapping[str, Any], also: Sequence[Place] = ()) -> Record | None:
    """Add metrics to a record that was read a while ago; all else stays as it is in the file by now.

    Args:
        path: Its file.
        record: Its content, as it was read.
        metrics: To add or to replace.
        also: Further rows that an evaluation serves, beside those that it says.

    Returns:
        The record as it is now; None, and nothing is written, if it was removed or computed anew in the meantime.
    """
    now = read_record(path, keep=True)
    same = ("key", "status", "set_sha256", "finished")
    if now is None or any(getattr(now, name) != getattr(record, name) for name in same):
        return None
    told = now.model_copy(update={"metrics": now.metrics | dict(metrics)})
    if also:
        served = now.evaluation.also
        rows = (*served, *(place for place in also if place not in served))
        told.document = now.evaluation.model_copy(update={"also": rows})
    if told != now:
        write_record(path, told)
    return told


def removal(record: Record) -> str:
    """The command that removes what a record tells of, as advice."""
    shared = " --shared" if record.document.set.shared else ""
    return f"`ddbench results rm {short(record.key)}{shared}`"
