"""Errors of several files in one message, so that nobody mends them one by one. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ddbench.core.errors import DataError

_NAMED = 20
"""How many files, or images, a message names."""
_POINTER = b"version https://git-lfs"
LFS = "a pointer of Git LFS, not the file itself: run `git lfs pull` in the clone that it comes from"


class UnreadableImagesError(DataError):
    """Images that cannot be read; others may be readable.

    Args:
        lost: What is to be said of each.
    """

    def __init__(self, lost: Sequence[str]) -> None:
        more = f"; and {len(lost) - _NAMED} more" * (len(lost) > _NAMED)
        several = f"{len(lost)} images cannot be read: {'; '.join(lost[:_NAMED])}{more}"
        super().__init__(lost[0] if len(lost) == 1 else several)
        self.lost = tuple(lost)


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
