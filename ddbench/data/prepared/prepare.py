"""Find a prepared data set, or make it: decoded once, memory-mapped afterwards. No torch.

A pointer file remembers what a source was decoded to: ``current.json`` for a registered name, one file for each path of
a data set read from a path. Content decides the revision; the pointer only saves decoding again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import CorruptFileError, DataError, PluginError, UsageError
from ddbench.core.keys import digest, short
from ddbench.core.plugin.loader import import_target
from ddbench.core.specs import Frozen
from ddbench.core.store.files import StoreWarning, atomic_write, store_error
from ddbench.data.catalog import SCHEMES
from ddbench.data.prepared.decode import PARTIAL, OtherDataError, decode, reading, source_error
from ddbench.data.prepared.on_disk import Prepared, data_root, open_folder
from ddbench.data.prepared.sources import POINTERS, Source, fingerprint, is_there
from ddbench.data.readers.raw import RawDataset, malformed
from ddbench.data.readers.shards import holds_parquet


class Pointer(Frozen):
    """What a source was decoded to.

    Attributes:
        revision: The revision.
        files: Absolute path of what was read; None for an embedded data set.
        fingerprint: Of these files at that time; None where that is not known.
        reader_version: Version of the reader that made it.
        origin: Where that reader's record comes from, as :class:`Source` has it.
        allow_copies: Whether the user asked for test images that are training images.
        hub: The data set of the Hugging Face Hub that it was read from; None for others.
        column: The column of labels that the user chose; None: none.
    """

    revision: str
    files: str | None = None
    fingerprint: str | None = None
    reader_version: int = 1
    origin: str = ""
    allow_copies: bool = False
    hub: str | None = None
    column: str | None = None

    def is_of(self, source: Source) -> bool:
        """Whether the reader of ``source`` made it."""
        return (self.reader_version, self.origin) == (source.reader_version, source.origin)

    def is_current(self, source: Source) -> bool:
        """Whether it was made from the files that are there now; those of a registered data set may be gone."""
        if source.path is not None:
            return self.fingerprint == fingerprint(source, source.path)
        now = fingerprint(source, Path(self.files)) if self.files and self.fingerprint else None
        return now in (None, self.fingerprint)


def resolve(source: Source) -> Prepared:
    """The prepared data set of ``source``; decodes embedded and path sources on first use, and what has changed.

    Raises:
        DataError: If a registered data set is not prepared (the message says how), or the source is unreadable.
        StoreError: If a decoded copy cannot be written.
    """
    if source.is_name:
        return _latest(source.name)
    pointer = _read_pointer(_pointer_path(source))
    if pointer is not None and pointer.is_of(source):
        if pointer.is_current(source):
            with suppress(CorruptFileError):
                return open_folder(data_root(source.name) / pointer.revision).declared_by(source.record)
        elif source.record is not None:
            changed = f"the files of data set {source.name!r} in {pointer.files} changed since they were decoded"
            warnings.warn(f"{changed}: decoding them anew", StoreWarning, stacklevel=2)
    downloads = os.environ.get("DDBENCH_DOWNLOAD") == "1"
    if source.hub is not None and not downloads:
        copied = "; the copy that was prepared last is there: write its name alone" if _pointers(source.name) else ""
        raise DataError(
            f"data set {source.name!r}: there is no file or folder {source.hub!r}, and no data set of the Hugging Face "
            f"Hub of this name was prepared: run `{source.command}` (downloads it){copied}"
        )
    if source.record is None or source.record.embedded:
        return prepare(source, allow_copies=pointer is not None and pointer.allow_copies)
    if pointer is not None and pointer.files is not None and is_there(place := Path(pointer.files)):
        try:
            return prepare(source, files=place, allow_copies=pointer.allow_copies)
        except DataError:
            if fingerprint(source, place) is not None:
                raise
    if downloads:
        return prepare(source, allow_download=True)
    if pointer is not None:
        folder = data_root(source.name) / pointer.revision
        why = "is damaged" if pointer.is_of(source) else "was made by another reader"
        raise DataError(
            f"the prepared copy of data set {source.name!r} in {folder} {why}: {_advice(source, source.record)}"
        )
    raise DataError(f"data set {source.name!r} is not prepared: {_advice(source, source.record)}")


def origins_of(name: str) -> list[tuple[Source, Pointer]]:
    """What a user's own data set was decoded from and to, the latest first; without path where that is not known."""
    found = [(path, _read_pointer(path)) for path in _pointers(name)]
    return [(_source_of(name, path, pointer), pointer) for path, pointer in found if pointer is not None]


def _pointers(name: str) -> list[Path]:
    """Files that say what sources of a user's own data set were decoded to, the latest first."""
    found = data_root(name).glob(POINTERS)
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def _source_of(name: str, path: Path, pointer: Pointer) -> Source:
    """What a pointer is of: its file's name is a hash of it."""
    place = None if pointer.files is None else Path(pointer.files)
    if pointer.hub is not None:
        return Source(name, scheme="hf", hub=pointer.hub, column=pointer.column)
    sources = (
        Source(name, scheme=scheme, path=place, column=pointer.column) for scheme in SCHEMES if place is not None
    )
    return next((source for source in sources if _pointer_path(source) == path), Source(name))


def _latest(name: str) -> Prepared:
    """The copy of a user's own data set that was made last, wherever its files are by now.

    Raises:
        DataError: If it cannot be opened.
    """
    known, pointers = origins_of(name), _pointers(name)
    if pointers and _read_pointer(pointers[0]) is None:
        known = []
    if known:
        source, pointer = known[0]  # never one that was made before: it may be of other images
        with suppress(CorruptFileError):
            prepared = open_folder(data_root(name) / pointer.revision)
            _tell_changes(source, pointer)
            return prepared
    again = f"ddbench data prepare {name}=SCHEME:PATH"
    again = next((source.command for source, _ in known[:1] if not source.is_name), again)
    raise DataError(
        f"the prepared copy of data set {name!r} that was made last, in {data_root(name)}, is gone or damaged: run "
        f"`{again}`"
    )


def _tell_changes(source: Source, pointer: Pointer) -> None:
    """Warn where the files of a copy that is used by its name are there, and are others by now."""
    if source.path is None or not source.path.exists():
        return
    with suppress(DataError, OSError):
        if pointer.is_of(source) and pointer.is_current(source):
            return
        warnings.warn(
            f"data set {source.name!r}: {source.path} changed since it was decoded; the copy of then is used "
            f"(`{source.command}` reads it again)",
            StoreWarning,
            stacklevel=2,
        )


def prepare(
    source: Source, *, files: Path | None = None, allow_download: bool = False, allow_copies: bool = False
) -> Prepared:
    """Decode ``source`` into ``$DDBENCH_HOME/data/<name>/<revision>/``, whether or not that was done before.

    Args:
        source: What to decode.
        files: Folder (or file) that holds a registered data set's files.
        allow_download: Fetch the files of a registered data set when ``files`` is None.
        allow_copies: Take data of whose test images more than 5 % are training images.

    Raises:
        DataError: If the source is missing, unreadable or unusable, or not the data that its name promises, or if the
            download fails.
        StoreError: If the decoded copy cannot be written.
    """
    if source.is_name:
        known = next((known.text for known, _ in origins_of(source.name) if not known.is_name), None)
        again = f"write {known}" if known is not None else f"write {source.name}=SCHEME:PATH"
        raise UsageError(f"data set {source.name!r} is your own, and prepared; to read its files again {again}")
    parent = data_root(source.name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store_error(parent, error) from error
    with _lock(parent):
        place = _place(source, files, allow_download, parent)
        mark = None if place is None else fingerprint(source, place)
        raw, scheme = _read(source, place)
        try:
            contents = None if source.record is None else source.record.contents
            made = decode(raw, parent, name=source.name, contents=contents, allow_copies=allow_copies)
            prepared = made.declared_by(source.record)
        except OtherDataError as error:
            raise DataError(_not_official(source, place, scheme, str(error))) from error
        except DataError as error:
            raise source_error(error, _where(source, place)) from error
        finally:
            raw.close()
        pointer = Pointer(
            revision=prepared.revision, files=str(place) if place else None, fingerprint=mark,
            reader_version=source.reader_version, origin=source.origin, allow_copies=allow_copies, hub=source.hub,
            column=source.column,
        )  # fmt: skip
        later = ("allow_copies", "hub", "column")  # versions without these fields read the file, too
        unsaid = {name for name in later if not getattr(pointer, name)}
        atomic_write(_pointer_path(source), pointer.model_dump_json(exclude=unsaid).encode())
    return prepared


def prepared_revision(source: Source) -> str | None:
    """The revision that ``source`` was last decoded to, without looking at its files; None: never."""
    pointer = _read_pointer(_pointer_path(source))
    return None if pointer is None else pointer.revision


def _place(source: Source, files: Path | None, allow_download: bool, parent: Path) -> Path | None:
    """Where the reader finds its files; None for an embedded data set."""
    record = source.record
    if record is None:
        return source.path
    if record.embedded:
        return None
    if files is not None:
        if not is_there(files):
            raise DataError(f"data set {source.name!r}: no such file or folder: '{files}'")
        return files.absolute()
    if not allow_download:
        raise DataError(f"data set {source.name!r} has no files to read: {_advice(source, record)}")
    if record.download is None:
        raise DataError(f"data set {source.name!r} cannot be downloaded: {_advice(source, record)}")
    folder = parent / "files"
    try:
        folder.mkdir(exist_ok=True)
        import_target(record.download)(folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's code, SystemExit included
        raise DataError(
            f"the download of {source.name!r} failed ({_first_line(error)}): {_advice(source, record)}"
        ) from error
    return folder


def _read(source: Source, place: Path | None) -> tuple[RawDataset, str]:
    """The data, and the scheme that reads them under a name of one's own."""
    contents = None if source.record is None else source.record.contents
    reader = import_target(source.reader)
    asked = {} if source.column is None else {"label": source.column}
    with reading(_where(source, place)):
        try:
            raw = reader(source.hub or place or Path(), **asked)
        except DataError:
            if contents is None or place is None or not _is_parquet(source, place):
                raise
            from ddbench.data.readers import parquet  # Pillow, for those who decode

            raw = parquet.known(place, contents)
            return raw, "hf"
    problem = malformed(raw) if isinstance(raw, RawDataset) else "that is no ddbench.RawDataset"
    if problem is not None:
        raise PluginError(
            f"data set {source.name!r}: its reader {source.reader} returned a {type(raw).__name__}: {problem} "
            "(see docs/reference/hooks/datasets.md)"
        )
    return raw, contents.scheme if contents is not None else str(source.scheme)


def _is_parquet(source: Source, place: Path) -> bool:
    """Whether a place has parquet files, and none of those that a registered data set names."""
    names = source.record.files if source.record else ()
    return not any((place / name).exists() for name in names) and holds_parquet(place)


def _not_official(source: Source, place: Path | None, scheme: str, why: str) -> str:
    """What the user reads when files are not the data that a name promises."""
    advice = f"`ddbench data prepare {source.name}-mine={scheme}:{place or 'DIR'}`"
    return (
        f"{_where(source, place)}: these are not the official data: {why}{'' if why.endswith('?') else '.'} A copy that"
        f" differs must not carry the official name; give it one of its own: {advice}"
    )


def _where(source: Source, place: Path | None) -> str:
    return f"data set {source.name!r}" + (f" in {place}" if place else f" ({source.hub})" if source.hub else "")


def _advice(source: Source, record: DatasetRecord) -> str:
    """How to get a registered data set."""
    command = f"ddbench data prepare {record.name}"
    if source.plugin is not None:
        command += f" --plugin {shlex.quote(source.plugin)}"
    ways = []
    if record.download is not None:
        ways.append(f"`{command}` (downloads {record.download_mb} MB)")
    *most, last = record.files or ("",)
    names = f"{', '.join(most)} and {last}" if most else last
    contains = f", where DIR contains {names}" if names else ""
    if record.contents is not None:
        contains += ", or the parquet files that the Hub has of it"
    ways.append(f"`{command} --from DIR`{contains}")
    return "run " + " or ".join(ways)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _pointer_path(source: Source) -> Path:
    if source.scheme is None:
        return data_root(source.name) / "current.json"
    chosen = [] if source.column is None else [source.column]
    place = [source.scheme, source.hub, "hub"] if source.hub is not None else [source.scheme, str(source.path)]
    return data_root(source.name) / f"source-{short(digest([*place, *chosen]))}.json"


def _read_pointer(path: Path) -> Pointer | None:
    try:
        return Pointer.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


@contextmanager
def _lock(parent: Path) -> Iterator[None]:
    """One decoder a data set at a time; what a killed one left behind is deleted.

    On file systems without locks two decoders may work at once, which is harmless, and leftovers stay.
    """
    from filelock import FileLock

    with ExitStack() as held:
        try:
            held.enter_context(FileLock(parent / ".lock"))  # the system frees the lock of a killed process
        except (OSError, NotImplementedError):
            pass
        else:
            for leftover in parent.glob(f"{PARTIAL}*"):
                shutil.rmtree(leftover, ignore_errors=True)
        yield
