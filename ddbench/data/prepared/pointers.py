"""What sources were decoded to: a small file each, and the copy that a name alone means. No torch.

``current.json`` is of a registered name. Of a user's own data set there is one file for each place that was read, and
each way that it was read: each framing of its images with each column of labels.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import CorruptFileError, DataError
from ddbench.core.keys import digest, short
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import Frozen
from ddbench.core.store.files import StoreWarning, atomic_write
from ddbench.data.catalog import SCHEMES
from ddbench.data.prepared.on_disk import Prepared, data_root, open_folder
from ddbench.data.prepared.sources import POINTERS, Source, fingerprint, is_there
from ddbench.data.readers.framing import PLAIN, Framing

_LATER = ("allow_copies", "hub", "column", "framing")
"""Fields that are left out where they say nothing: versions that do not know them read the file, too."""
_PLAINLY = "no options"


class Pointer(Frozen):
    """What a source was decoded to.

    Attributes:
        revision: The revision.
        files: Absolute path of what was read; None for an embedded data set, and for one of the Hub.
        fingerprint: Of these files at that time; None where that is not known.
        reader_version: Version of the reader that made it.
        origin: Where that reader's record comes from, as :class:`Source` has it.
        allow_copies: Whether the user asked for test images that are training images, of these files.
        hub: The data set of the Hugging Face Hub that it was read from; None for others.
        column: The column of labels that the user chose; None: none.
        framing: How images of any shape became squares of one size; None: they are as they were.
    """

    revision: str
    files: str | None = None
    fingerprint: str | None = None
    reader_version: int = 1
    origin: str = ""
    allow_copies: bool = False
    hub: str | None = None
    column: str | None = None
    framing: Framing | None = None

    def is_of(self, source: Source) -> bool:
        """Whether the reader of ``source`` made it."""
        return (self.reader_version, self.origin) == (source.reader_version, source.origin)

    def is_current(self, source: Source) -> bool:
        """Whether it was made from the files that are there now; those of a registered data set may be gone."""
        if source.path is not None:
            return self.fingerprint == fingerprint(source, source.path)
        now = fingerprint(source, Path(self.files)) if self.files and self.fingerprint else None
        return now in (None, self.fingerprint)


def pointer_of(source: Source) -> Pointer | None:
    """What ``source`` was last decoded to; None: never, or nobody can tell."""
    return _read(_path(source))


def write_pointer(source: Source, pointer: Pointer) -> None:
    """Remember what ``source`` was decoded to."""
    unsaid = {name for name in _LATER if not getattr(pointer, name)}
    atomic_write(_path(source), pointer.model_dump_json(exclude=unsaid).encode())


def _path(source: Source) -> Path:
    if source.scheme is None:
        return data_root(source.name) / "current.json"
    facts = [source.scheme, source.hub, "hub"] if source.hub is not None else [source.scheme, str(source.path)]
    if source.column is not None:
        facts.append(f"--label {source.column}")  # starts as no framing does
    if not source.framing.is_plain:
        facts.append(" ".join(source.framing.options))
    return data_root(source.name) / f"source-{short(digest(facts))}.json"


def latest_of(name: str) -> tuple[Source, Pointer] | None:
    """What a user's own data set was decoded from and to last; None where that cannot be read.

    Never what was decoded before: it may be of other images.
    """
    pointers = _pointers(name)
    pointer = _read(pointers[0]) if pointers else None
    return None if pointer is None else (_source_of(name, pointers[0], pointer), pointer)


def remade(name: str) -> str:
    """The command that decodes a user's own data set again, as far as its source is known."""
    last = latest_of(name)
    source, allowed = (Source(name), False) if last is None else (last[0], last[1].allow_copies)
    return source.command + " --allow-copies" * allowed


def made_anew(name: str, revision: str, known: Registry[DatasetRecord]) -> str:
    """The command that makes a prepared copy of a data set again: that of the source that came to this revision."""
    if name in known:
        return again(Source(name, record=known.get(name), plugin=known.origin(name).file))
    made = next(((source, p) for source, p in origins_of(name) if p.revision == revision), None)
    return remade(name) if made is None else made[0].command + " --allow-copies" * made[1].allow_copies


def again(source: Source) -> str:
    """The command that decodes a registered data set again, from where its files were read if they are still there."""
    pointer = pointer_of(source)
    files = None if pointer is None or pointer.files is None else Path(pointer.files)
    loaded = files is None or files == data_root(source.name) / "files" or not is_there(files)
    return of_registered(source) + ("" if loaded else f" --from {shlex.quote(str(files))}")


def of_registered(source: Source) -> str:
    """What decodes a registered data set, but for where its files are."""
    plugin = "" if source.plugin is None else f" --plugin {shlex.quote(source.plugin)}"
    return f"ddbench data prepare {source.name}{plugin}"


def _read(path: Path) -> Pointer | None:
    try:
        return Pointer.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def origins_of(name: str) -> list[tuple[Source, Pointer]]:
    """What a user's own data set was decoded from and to, the latest first; without place where that is not known."""
    found = [(path, _read(path)) for path in _pointers(name)]
    return [(_source_of(name, path, pointer), pointer) for path, pointer in found if pointer is not None]


def _pointers(name: str) -> list[Path]:
    """Files that say what sources of a user's own data set were decoded to, the latest first."""
    found = data_root(name).glob(POINTERS)
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def _source_of(name: str, path: Path, pointer: Pointer) -> Source:
    """What a pointer is of: its file's name is a hash of it."""
    alone = Source(name, column=pointer.column, framing=pointer.framing or PLAIN)
    if pointer.hub is not None:
        return replace(alone, scheme="hf", hub=pointer.hub)
    place = None if pointer.files is None else Path(pointer.files)
    sources = (replace(alone, scheme=scheme, path=place) for scheme in SCHEMES if place is not None)
    return next((source for source in sources if _path(source) == path), alone)


def latest(wanted: Source) -> Prepared:
    """The copy of a user's own data set that was made last, wherever its files are by now.

    Args:
        wanted: The data set, by its name alone; of one that is framed the latest that is framed so counts.

    Raises:
        DataError: If it cannot be opened, or none was framed so.
    """
    name = wanted.name
    known = [] if latest_of(name) is None else origins_of(name)
    found = [(source, p) for source, p in known if wanted.framing.is_plain or source.framing == wanted.framing]
    if known and not found:
        there = dict.fromkeys(source.framing.text for source, _ in known)
        framed = replace(known[0][0], framing=wanted.framing)
        raise DataError(
            f"data set {name!r} was not prepared with {wanted.framing.text}, only with {', '.join(there)}: run"
            f" `{framed.command}`"
        )
    if found:
        source, pointer = found[0]  # never one that was made before: it may be of other images
        with suppress(CorruptFileError):
            prepared = open_folder(data_root(name) / pointer.revision)
            _tell_changes(source, pointer)
            if wanted.framing.is_plain:
                _tell_others(source, known)
            return prepared
    command = found[0][0].command if found and not wanted.framing.is_plain else remade(name)
    raise DataError(
        f"the prepared copy of data set {name!r} that was made last, in {data_root(name)}, is gone or damaged: run "
        f"`{command}`"
    )


def _tell_others(used: Source, known: Sequence[tuple[Source, Pointer]]) -> None:
    """Warn where a name alone means one of several copies that were read differently."""
    others = {" ".join(source.options) or _PLAINLY for source, _ in known if source.options != used.options}
    if others:
        how = " ".join(used.options) or _PLAINLY
        warnings.warn(
            f"data set {used.name!r}: the copy that was made last is used ({how}); others were made with"
            f" {', '.join(sorted(others))}, and a suite that says so uses those",
            StoreWarning,
            stacklevel=2,
        )


def _tell_changes(source: Source, pointer: Pointer) -> None:
    """Warn where the files of a copy that is used by its name are there, and are others by now."""
    if source.path is None or not source.path.exists():
        return
    with suppress(DataError, OSError):
        current = pointer.is_current(source)
        if current and pointer.is_of(source):
            return
        changed = f"{source.path} changed since it was decoded"
        if current:
            changed = f"{source.path} was decoded by an older ddbench, whose reader differs"
        warnings.warn(
            f"data set {source.name!r}: {changed}; the copy of then is used (`{source.command}` reads it again)",
            StoreWarning,
            stacklevel=2,
        )
