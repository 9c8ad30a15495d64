"""Unpack zip and tar archives that may be hostile: nothing is ever written outside the target."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ddbench.core.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
"""Of archives that are unpacked here."""
PACKED = frozenset({".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".zst", ".7z", ".rar"})
"""Last suffixes of files that are to be unpacked before they are read."""


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a file with an archive's name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def refuse_larger(archive: Path, most: int) -> None:
    """Refuse a zip (``.npz``, ``.pt``) that would unpack to more than anyone could mean; of other files say nothing.

    Args:
        archive: The file.
        most: Bytes.

    Raises:
        DataError: If it would.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            size = sum(member.file_size for member in opened.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # no archive; whoever reads it says so
    if size > most:
        raise DataError(f"{archive}: would unpack to {size / 2**30:,.0f} GiB")


@contextmanager
def unpacked(archive: Path) -> Iterator[str]:
    """A temporary folder with the content of ``archive``; deleted afterwards. Errors as :func:`unpack`."""
    with TemporaryDirectory(prefix="ddbench-") as target:
        unpack(archive, Path(target))
        yield target


def unpack(archive: Path, target: Path) -> None:
    """Unpack ``archive`` into ``target``.

    All members are judged before the first one is written. What was written is removed when unpacking fails.

    Args:
        archive: A zip, or a tar without or with gzip, xz or bzip2 compression; the content decides, not the name.
        target: An empty or missing folder.

    Raises:
        DataError: If the archive is damaged, or a member has an absolute path or a ``..``, or is a link or a device;
            the message names the member.
        OSError: If the target cannot be written.
    """
    existed = target.exists()
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ValueError(f"{target} is not empty")
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, target)
    except BaseException as error:
        _empty(target, remove=not existed)
        if isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error)):
            raise DataError(f"{archive}: damaged archive ({error})") from error
        raise


def _unpack_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            _judge(archive, member.name)
            # Links are refused altogether: no data set needs them, and chains of links have fooled `filter="data"`.
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{archive}: refused member {member.name!r}: a link or device")
        tar.extractall(target, members, filter="data")


def _unpack_zip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            _judge(archive, info.filename)
            mode = info.external_attr >> 16
            # A zip made on Unix keeps the file type in the mode; anything but files and folders is refused.
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{archive}: refused member {info.filename!r}: a link or device")
            if info.flag_bits & 1:
                raise DataError(
                    f"{archive}: member {info.filename!r} is encrypted: unpack it yourself, name the folder"
                )
        content.extractall(target)


def _judge(archive: Path, name: str) -> None:
    """Refuse names that point outside on any system: absolute ones, with a drive letter, or with ``..``."""
    posix = name.replace("\\", "/")
    if posix.startswith("/") or posix[1:2] == ":":
        raise DataError(f"{archive}: refused member {name!r}: an absolute path")
    if ".." in PurePosixPath(posix).parts:
        raise DataError(f"{archive}: refused member {name!r}: its path leads out of the archive")


def _empty(folder: Path, *, remove: bool) -> None:
    if remove:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
