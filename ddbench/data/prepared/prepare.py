"""Find a prepared data set, or make it: decoded once, memory-mapped afterwards. No torch.

Content decides the revision; a pointer (:mod:`ddbench.data.prepared.pointers`) only saves decoding again.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import CorruptFileError, DataError, PluginError, UsageError
from ddbench.core.names import is_address
from ddbench.core.plugin.loader import import_target
from ddbench.core.plugin.places import placed
from ddbench.core.store.files import StoreWarning, folder_error
from ddbench.data.catalog import ENCODED
from ddbench.data.prepared import room
from ddbench.data.prepared.decode import PARTIAL, OtherDataError, decode, reading, source_error
from ddbench.data.prepared.on_disk import Prepared, data_root, open_folder
from ddbench.data.prepared.pointers import Pointer, latest, of_registered, origins_of, pointer_of, write_pointer
from ddbench.data.prepared.sources import Source, fingerprint, is_there
from ddbench.data.readers.raw import RawDataset, malformed
from ddbench.data.readers.shards import holds_parquet


def resolve(source: Source) -> Prepared:
    """The prepared data set of ``source``; decodes embedded and path sources on first use, and what has changed.

    Raises:
        DataError: If a registered data set is not prepared (the message says how), or the source is unreadable.
        StoreError: If a decoded copy cannot be written.
    """
    if source.is_name:
        return latest(source)
    pointer = pointer_of(source)
    if pointer is not None and pointer.is_of(source):
        if pointer.is_current(source):
            with suppress(CorruptFileError):
                return open_folder(data_root(source.name) / pointer.revision).declared_by(source.record)
        elif source.record is not None:
            changed = f"the files of data set {source.name!r} in {pointer.files} changed since they were decoded"
            warnings.warn(f"{changed}: decoding them anew", StoreWarning, stacklevel=2)
    copies = pointer is not None and pointer.allow_copies and pointer.is_current(source)
    downloads = os.environ.get("DDBENCH_DOWNLOAD") == "1"
    if source.hub is not None and not downloads:
        raise DataError(_not_downloaded(source))
    if source.record is None or source.record.embedded:
        try:
            return prepare(source, allow_copies=copies)
        except DataError as error:
            raise DataError(f"{error}{_what_to_ask_for(source, str(error))}") from error
    if pointer is not None and pointer.files is not None and is_there(place := Path(pointer.files)):
        try:
            return prepare(source, files=place, allow_copies=copies)
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


def _not_downloaded(source: Source) -> str:
    """What the user reads where a data set of the Hub is asked for that was not prepared in this way."""
    copies = [copy for copy, _ in origins_of(source.name)]
    asked = " ".join(source.options) or "no options"
    how = (
        f" with {asked}" if source.options or any(copy.hub == source.hub and copy != source for copy in copies) else ""
    )
    copied = "; the copy that was prepared last is there: write its name alone" if copies else ""
    return (
        f"data set {source.name!r}: there is no file or folder {source.hub!r}, and no data set of the Hugging Face "
        f"Hub of this name was prepared{how}: run `{source.command}` (downloads it){copied}"
    )


def _what_to_ask_for(source: Source, why: str) -> str:
    """What to say where files cannot be read as they are: of the copy that could be, or of the command that helps."""
    if source.scheme is None or "--" not in why:
        return ""
    for copy, _ in origins_of(source.name)[:1]:
        if copy.place == source.place and set(source.options) < set(copy.options):
            return f" (its prepared copy with {' '.join(copy.options)} is there: write {source.name} alone)"
    keys = [f"`{key}`" for key in ("resize", "crop", "label") if f"--{key}" in why]
    return f" (options of `{source.command}`{'; a suite has ' * bool(keys)}{' and '.join(keys)})"


def prepare(
    source: Source, *, files: Path | None = None, allow_download: bool = False, allow_copies: bool = False,
    tell: Callable[[str], object] | None = None,
) -> Prepared:  # fmt: skip
    """Decode ``source`` into ``$DDBENCH_HOME/data/<name>/<revision>/``, whether or not that was done before.

    Args:
        source: What to decode.
        files: Folder (or file) that holds a registered data set's files.
        allow_download: Fetch the files of a registered data set when ``files`` is None.
        allow_copies: Take data of whose test images more than 5 % are training images.
        tell: Hears, before anything is decoded, what room the data set will take.

    Raises:
        DataError: If the source is missing, unreadable or unusable, or not the data that its name promises, if it is
            larger than all memory, or if the download fails.
        StoreError: If the decoded copy cannot be written.
    """
    if source.is_name:
        known = next((known for known, _ in origins_of(source.name) if not known.is_name), source)
        again = replace(known, framing=known.framing if source.framing.is_plain else source.framing)
        raise UsageError(
            f"data set {source.name!r} is your own, and prepared; to read its files again run `{again.command}`"
        )
    parent = data_root(source.name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(parent, error) from error
    with _lock(parent):
        place = _place(source, files, allow_download, parent)
        mark = None if place is None else fingerprint(source, place)
        raw, scheme = _read(source, place)
        try:
            contents = None if source.record is None else source.record.contents
            if tell is not None:
                tell(room.in_words_of(raw))
            room.refuse_too_large(raw, parent)
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
            column=source.column, framing=None if source.framing.is_plain else source.framing,
        )  # fmt: skip
        write_pointer(source, pointer)
    return prepared


def prepared_revision(source: Source) -> str | None:
    """The revision that ``source`` was last decoded to, without looking at its files; None: never."""
    pointer = pointer_of(source)
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
            if is_address(str(files)):
                raise DataError(f"{files}: addresses are not read: download the files, and give their folder")
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
    framing = (source.framing,) if source.scheme in ENCODED else ()
    asked = {} if source.column is None else {"label": source.column}
    with reading(_where(source, place)):
        try:
            raw = reader(source.hub or place or Path(), *framing, **asked)
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
    if source.record is None and source.scheme not in ENCODED:
        from ddbench.data.readers.convert import reframed

        with reading(_where(source, place)):
            raw = reframed(raw, source.framing)
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
    command = of_registered(source)
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
    return placed(f"{type(error).__name__}: {error}".splitlines()[0], error)


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
