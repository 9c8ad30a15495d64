"""Where runs share files, and writing so that no kill, full disk or second process leaves half of one behind.

What holds when the power fails, too:

- A file that was written ``durable`` is whole under its name, or is not there. So are all files of numbers: sets,
  snapshots, predictions, checkpoints.
- A record is written after them. It may be cut short when it was not written durable; then it is no JSON, and counts as
  missing. So a record that can be read names files that are whole.
- The record of a node that took longer than the time between two checkpoints is durable, and its checkpoint goes after
  it: a power failure costs at most that time, of nodes that ended in the half minute before it.

Whatever else is not durable (claims, ``spec.json`` before the first checkpoint, ``manifest.json``) may be cut short; no
record names it.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import socket
import stat
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ddbench.core.errors import CorruptFileError, DDBenchError, NewerRecordError, StoreError, UsageError


def atomic_write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` under a temporary name in the same folder, fsync, then rename.

    Args:
        path: The file.
        content: All of it.
        durable: Wait until the disk has it; else a power failure within half a minute may leave less under the name,
            and no kill does.

    Raises:
        StoreError: If the folder cannot be written or the disk is full.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    atomic_file(path, write, durable=durable)


def atomic_file(path: Path, write: Callable[[Path], None], *, durable: bool = True) -> None:
    """Like :func:`atomic_write`, for content that ``write(temporary)`` puts there itself.

    Raises:
        StoreError: If the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{machine()}{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if durable:
            flush(temporary)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where the folder is none, either
            temporary.unlink(missing_ok=True)
        raise store_error(path, error) from error
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@cache
def machine() -> str:
    """8 hex digits that tell this boot of this machine, and these process numbers, from others that share a folder."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            parts.append(str(Path(path).readlink()) if path.endswith("pid") else Path(path).read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def flush(path: Path) -> None:
    """Wait until the disk has what a file holds.

    Raises:
        OSError: If it cannot be opened or written.
    """
    with path.open("r+b") as file:  # writable: Windows flushes no other
        os.fsync(file.fileno())


def read_small(path: Path, limit: int = 1 << 26) -> bytes:
    """All of a file that is no larger than ``limit`` bytes; what is no plain file would wait for a writer, or not end.

    Raises:
        CorruptFileError: If it is no file, or larger.
        OSError: If it cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise CorruptFileError(f"{path}: not a file")
    if found.st_size > limit:
        raise CorruptFileError(f"{path}: {found.st_size} bytes, too large for what it should hold")
    return path.read_bytes()


PASSED_OVER = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EACCES, errno.EPERM)
"""Why a folder that is listed cannot be opened: it was removed, another machine has just made it, or it is others'."""


def below(root: Path, pattern: str) -> list[Path]:
    """What has a name below a folder, at any depth and in path order; folders that cannot be opened hold nothing.

    Args:
        root: The folder.
        pattern: ``*.json``, or with the name of the folder that it is in, ``eval/*.json``.

    Raises:
        OSError: If the disk fails.
    """

    def tell(error: OSError) -> None:
        if error.errno not in PASSED_OVER:
            raise error

    *above, name = pattern.split("/")
    found: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=tell):
        if not above or fnmatch.fnmatchcase(Path(folder).name, above[0]):
            found += (Path(folder, one) for one in fnmatch.filter(folders + names, name))
    return sorted(found)


class StoreWarning(UserWarning):
    """A stored file could not be used."""


class NewerRecordWarning(StoreWarning):
    """A stored file of a newer ddbench was passed over.

    Args:
        error: What would have been raised where it stood in the way.
    """

    def __init__(self, error: NewerRecordError) -> None:
        super().__init__(str(error))
        self.error = error


def set_aside(path: Path) -> None:
    """Rename a corrupt file or folder to ``<name>.corrupt``, so that nothing reads it and nothing is lost.

    Raises:
        StoreError: If it cannot be renamed.
    """
    target = path.with_name(path.name + ".corrupt")
    try:
        if target.is_dir():
            target = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.corrupt")
        path.replace(target)
    except FileNotFoundError:
        return
    except OSError as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: OSError) -> StoreError:
    """The message for a write that failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"no space left writing {path}: free some and run the same command again; nothing that finished is lost"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        why = "a file stands where a folder should be: move it away, or choose another folder"
        return StoreError(f"cannot write {path}: {why}")
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; choose another folder with --out or $DDBENCH_HOME"
    )


def folder_error(path: Path, error: OSError) -> DDBenchError:
    """The message for a folder that cannot be made or written before anything was computed: the wrong one was named."""
    found = store_error(path, error)
    return found if error.errno in (errno.ENOSPC, errno.EDQUOT) else UsageError(str(found))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def home() -> Path:
    """``$DDBENCH_HOME``, default ``~/.cache/ddbench``: decoded data, artifacts, ``full`` trainings.

    Raises:
        UsageError: If its name is not text, or there is no such variable, and the user has no home.
    """
    try:
        place = Path(os.environ.get("DDBENCH_HOME") or Path.home() / ".cache" / "ddbench").expanduser()
    except RuntimeError as error:
        raise UsageError(f"no home folder ({error}): say with $DDBENCH_HOME where data may lie") from None
    return check_text(place, "DDBENCH_HOME")


def check_text(place: Path, what: str) -> Path:
    """The place itself, whose name is UTF-8: libraries that write sets know no other names.

    Args:
        place: A folder.
        what: Who gives it, for messages.

    Raises:
        UsageError: If its name has bytes that are no text.
    """
    try:
        str(place.absolute()).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} {place}: the name is not UTF-8: rename the folder, or give another") from None
    return place
