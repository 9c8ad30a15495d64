"""Where runs share files, and writing so that no kill, full disk or second process leaves half of one behind."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from ddbench.core.errors import StoreError


def atomic_write(path: Path, content: bytes) -> None:
    """Write ``content`` under a temporary name in the same folder, fsync, then rename.

    Raises:
        StoreError: If the folder cannot be written or the disk is full.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    atomic_file(path, write)


def atomic_file(path: Path, write: Callable[[Path], None]) -> None:
    """Like :func:`atomic_write`, for content that ``write(temporary)`` puts there itself.

    Raises:
        StoreError: If the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("r+b") as file:  # writable: Windows flushes no other
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class StoreWarning(UserWarning):
    """A stored file could not be used."""


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
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; choose another folder with --out or $DDBENCH_HOME"
    )


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def home() -> Path:
    """``$DDBENCH_HOME``, default ``~/.cache/ddbench``: decoded data, artifacts, ``full`` trainings."""
    return Path(os.environ.get("DDBENCH_HOME") or Path.home() / ".cache" / "ddbench").expanduser()
