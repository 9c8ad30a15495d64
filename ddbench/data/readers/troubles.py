"""Errors of several files in one message, so that nobody mends them one by one. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ddbench.core.errors import DataError

_NAMED = 20
_POINTER = b"version https://git-lfs"
LFS = "a pointer of Git LFS, not the file itself: run `git lfs pull` in the clone that it comes from"


def is_lfs(file: Path | bytes) -> bool:
    """Whether a file, or its content, only says where Git LFS keeps it."""
    if isinstance(file, bytes):
        return file.startswith(_POINTER)
    with suppress(OSError):
        if file.is_file():
            with file.open("rb") as opened:
                return opened.read(len(_POINTER)) == _POINTER
    return False


class Troubles:
    """``with Troubles() as troubles: … with troubles.noted(): …`` raises at its end what went wrong within."""

    def __init__(self) -> None:
        self._found: list[DataError] = []

    def __enter__(self) -> Troubles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        more = f"; and {len(self._found) - _NAMED} more" * (len(self._found) > _NAMED)
        raise DataError(
            f"{len(self._found)} of the files cannot be read: {'; '.join(map(str, self._found[:_NAMED]))}{more}"
        )

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep a DataError for the end, and go on."""
        try:
            yield
        except DataError as error:
            self._found.append(error)
