"""Where a data set comes from: a registered name, or ``NAME=SCHEME:PATH``. No torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ddbench.core.api import DatasetRecord
from ddbench.core.errors import DataError, UsageError, unknown
from ddbench.core.keys import digest
from ddbench.core.names import folded, is_address
from ddbench.core.plugin.registry import Registry
from ddbench.core.store.files import home
from ddbench.data.catalog import SCHEMES
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.walk import is_text, regular_files, shown

OWN_NAME = "[a-z][a-z0-9_-]{0,63}"
"""What users may call a data set of their own."""
ON_HUB = r"[A-Za-z0-9][\w.-]*(/[\w.-]*[\w-][\w.-]*){1,2}"
"""A data set of the Hub, ``user/name`` or ``user/name/configuration``, where there is no such file or folder."""
HUB = "ddbench.data.readers.hub:read"
"""Reader of such data sets."""
_DOWNLOAD = "addresses are not read: download the files, and write"
_HUB_PAGE = re.compile(rf"https?:/+(?:www\.)?huggingface\.co/+datasets/+({ON_HUB})", re.IGNORECASE)
POINTERS = "source-*.json"
"""Files below ``$DDBENCH_HOME/data/<name>`` that remember what sources of a user's own were decoded to."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as the user named it.

    Attributes:
        name: Registered name, or the user's own.
        record: The registered record; None for a data set read from a path.
        scheme: How ``path`` is read; None for a registered data set, and for a prepared one that is named alone.
        path: Absolute path; None likewise, and for a data set of the Hugging Face Hub.
        hub: ``user/name`` or ``user/name/configuration`` of a data set of the Hub; None for others.
        column: The column of labels that the user chose; None: the only one.
        origin: Where the record comes from, with its version where that is not 1; "" for ddbench's own and for paths.
        plugin: Path of the one-file plugin that registered the record; None for others.
        framing: How images of any shape become squares of one size; plain for a registered data set.
    """

    name: str
    record: DatasetRecord | None = None
    scheme: str | None = None
    path: Path | None = None
    origin: str = ""
    plugin: str | None = None
    hub: str | None = None
    column: str | None = None
    framing: Framing = PLAIN

    @property
    def is_name(self) -> bool:
        """Whether it is the name alone of a data set of the user's own that was prepared."""
        return self.record is None and self.scheme is None

    @property
    def place(self) -> str:
        """What is read, as the user would type it: ``npz:/data/x.npz``, ``hf:user/name``."""
        return f"{self.scheme}:{self.hub or self.path}"

    @property
    def text(self) -> str:
        """The source as the user would type it."""
        return self.name if self.scheme is None else f"{self.name}={self.place}"

    @property
    def options(self) -> tuple[str, ...]:
        """How the user wants it to be read, as words of ``ddbench data prepare``: ``--resize 64``, ``--label kind``."""
        label = () if self.column is None else (f"--label {shlex.quote(self.column)}",)
        return (*self.framing.options, *label)

    @property
    def command(self) -> str:
        """What decodes it: ``ddbench data prepare my=folder:PATH --resize 64``."""
        text = f"{self.name}=SCHEME:PATH" if self.is_name else self.text
        return " ".join(["ddbench data prepare", shlex.quote(text), *self.options])

    @property
    def reader(self) -> str:
        """``"module:function"`` of the reader."""
        if self.hub is not None:
            return HUB
        return self.record.reader if self.record else SCHEMES[str(self.scheme)][0]

    @property
    def reader_version(self) -> int:
        """Version of the reader: a copy that another one made is decoded anew."""
        return self.record.version if self.record else SCHEMES[str(self.scheme)][1]


def own_names() -> list[str]:
    """Names of users' own data sets that were prepared, ascending."""
    found = {path.parent.name for path in (home() / "data").glob(f"*/{POINTERS}")}
    return sorted(name for name in found if re.fullmatch(OWN_NAME, name))


def named(text: str, known: Registry[DatasetRecord]) -> str:
    """The data set that a text without ``=`` means: a registered one, else one of the user's own that was prepared.

    Raises:
        UsageError: If it means none, or could mean several.
    """
    return text if text in known else known.named(text, also=own_names())


def parse_source(
    text: str, known: Registry[DatasetRecord], framing: Framing = PLAIN, column: str | None = None
) -> Source:
    """Understand ``digits``, ``NAME=folder:PATH`` (``hf:``, ``npz:``), and NAME alone once that was prepared.

    Args:
        text: As the user types it.
        known: The registered data sets.
        framing: How images of any shape become squares of one size.
        column: The column of labels that the user chose; None: none.

    Raises:
        UsageError: If the name is not known, a user's own name is malformed or taken, the scheme is unknown, or it has
            no columns to choose from; or if images of a registered data set should be framed.
        DataError: If the path does not exist.
    """
    if is_address(text):
        raise UsageError(_not_read(text, "NAME", "SCHEME") + f" ({', '.join(SCHEMES)})")
    source = _parsed(text, known)
    if source.record is not None and not framing.is_plain:
        raise UsageError(_stays(source.record, framing))
    if column is not None and source.scheme != "hf":
        raise UsageError(
            f"{text!r}: a column of labels ({column!r}) is chosen of parquet files alone, NAME=hf:PATH"
            + (f"; what {source.name!r} holds was settled when it was prepared" if source.is_name else "")
        )
    return replace(source, framing=framing, column=column)


def _stays(record: DatasetRecord, framing: Framing) -> str:
    """Why images of a registered data set are not framed, and what to do instead."""
    scheme = None if record.contents is None else record.contents.scheme
    copy = "" if scheme is None else f"; a copy of one's own has another name: {record.name}-mine={scheme}:DIR"
    return (
        f"{framing.text}: images of {record.name!r}, a registered data set, stay as they are{copy} (in a suite,"
        " `view: {pool: 2}` makes smaller ones of them)"
    )


def _parsed(text: str, known: Registry[DatasetRecord]) -> Source:
    name, equals, place = text.partition("=")
    if not equals and ":" in name and name.partition(":")[0] in SCHEMES:
        raise UsageError(f"give the data set a name of your own: NAME={text}")
    if not equals:
        name = named(name, known)
        if name not in known:
            return Source(name)
        return Source(name, record=known.get(name), origin=known.mark(name), plugin=known.origin(name).file)
    if not re.fullmatch(OWN_NAME, name):
        raise UsageError(
            f"data set name {name[:80]!r} in {text[:200]!r} must match ^{OWN_NAME}$: small letters, digits, - and _,"
            " a letter first, 64 in all"
        )
    official = next((record.name for record in known if folded(record.name) == folded(name)), None)
    if official is not None:
        reads = "is the name of a registered data set" if official == name else f"reads like {official!r}"
        raise UsageError(
            f"{text!r}: {name!r} {reads}; give your copy another name (a re-encoded or"
            f" partial copy must not carry the official name), e.g. {official}-mine={place}"
        )
    scheme, colon, path_text = place.partition(":")
    if not colon:
        raise UsageError(f"{text!r} does not say how to read {place!r}; write NAME=SCHEME:PATH ({', '.join(SCHEMES)})")
    if scheme not in SCHEMES:
        if is_address(place):
            raise DataError(_not_read(place, name, "SCHEME"))
        raise unknown("data set scheme", scheme, SCHEMES, "ddbench data prepare --help")
    path = Path(path_text).expanduser().absolute()
    if scheme == "hf" and re.fullmatch(ON_HUB, path_text) and not is_there(path):
        return Source(name, scheme=scheme, hub=path_text)
    if not path_text or not is_there(path):
        raise _missing(name, scheme, path_text)
    if not is_text(str(path)):
        raise DataError(f"data set {name!r}: the path {shown(path)} is not UTF-8: rename its folders, or link to it")
    return Source(name, scheme=scheme, path=path)


def _not_read(address: str, name: str, scheme: str) -> str:
    """What to write in place of an address: a page of the Hub names a data set that ddbench downloads itself."""
    page = _HUB_PAGE.match(address)
    if page is None:
        return f"{address!r}: {_DOWNLOAD} {name}={scheme}:PATH"
    on_hub = "/".join(page[1].split("/")[:2])
    return f"{address!r}: addresses are not read: write {name}=hf:{on_hub}, which downloads it, or {name}={scheme}:PATH"


def _missing(name: str, scheme: str, place: str) -> DataError:
    """Why there is nothing at a place: an address, a slip in a name of the Hub, or a path that does not exist."""
    if is_address(place):
        return DataError(_not_read(place, name, scheme))
    if scheme == "hf" and place.startswith("//"):
        on_hub = place.lstrip("/").removeprefix("datasets/")
        called = on_hub if re.fullmatch(ON_HUB, on_hub) else "USER/NAME"
        return DataError(f"'hf:{place}': a data set of the Hub is written without slashes: {name}=hf:{called}")
    copied = f"; the copy that was prepared is there: write {name} alone" if name in own_names() else ""
    return DataError(f"data set {name!r}: no such file or folder: {place!r}{copied}")


def is_there(path: Path) -> bool:
    """False also for what a locked folder hides, and for names that are too long."""
    try:
        return path.exists()
    except OSError:
        return False


def fingerprint(source: Source, place: Path) -> str | None:
    """A cheap stand-in for the content of files: hash of scheme, absolute path, file names, sizes and mtimes.

    Args:
        source: The data set.
        place: Where its files are. Of a registered data set those count that its record names; all where it names none.

    Returns:
        64 hex digits; None where files of a registered data set are missing.

    Raises:
        DataError: If the path of a data set that is read from a path does not exist any more.
    """
    names = source.record.files if source.record is not None and place.is_dir() else ()
    paths = [place / name for name in names] or [place]
    if names and not any(map(is_there, paths)):  # the same data in another format
        paths = sorted(Path(entry.path) for entry in regular_files(place) if entry.name.endswith(".parquet")) or paths
    there = all(map(is_there, paths))
    if source.record is None and not there:
        raise DataError(f"data set {source.name!r}: no such file or folder: '{place}'")
    files = sorted(file for path in paths for file in _files(path)) if there else []
    return digest([source.scheme, shown(place), files]) if files or source.record is None else None


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """(path, size [bytes], mtime [ns]) of every regular file that is not hidden, links followed once.

    Raises:
        DataError: If a folder cannot be listed, or ``path`` is a pipe, a socket or a device.
    """
    if path.is_file():
        status = path.stat()
        yield (shown(path.name), status.st_size, status.st_mtime_ns)
        return
    if not path.is_dir():
        raise DataError(f"{shown(path)} is neither a file nor a folder: pipes, sockets and devices are not read")
    for entry in regular_files(path):
        status = entry.stat()
        yield (shown(entry.path), status.st_size, status.st_mtime_ns)
