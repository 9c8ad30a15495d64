"""Walk folders that may hold anything: links, loops, pipes, locked folders, names that are no text. No torch.

What is passed over is counted, because nothing may be left out of a data set in silence.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ddbench.core.errors import DataError

FolderId: TypeAlias = tuple[int, int]
"""Device and inode: two paths with one id are one folder."""

_SYSTEM = frozenset({"@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found"})
"""Folders of file servers and systems, in lower case, whose copies and thumbnails are nobody's images."""

_QUIET_SUFFIXES = frozenset({".txt", ".json", ".csv", ".tsv", ".xml", ".md", ".yaml", ".yml"})
_QUIET_NAMES = frozenset({"thumbs.db", "desktop.ini", "icon\r", "readme", "licence", "license", "copying", "notice"})
"""What stands beside images and is no image; it needs no word."""


def shown(path: Path | str) -> str:
    r"""A path as text that any file can hold: bytes of a name that are not UTF-8 become ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    """Whether a name is UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out, with all below it."""
    return name.startswith(".") or name.lower() in _SYSTEM


@dataclass(slots=True)
class Passed:
    """What was not read of a data set's folders.

    Attributes:
        suffixes: How many files had which suffix that is not read; "" for none.
        loose: Images that lie outside of class folders.
        hidden: Images below hidden names, and those names.
        links: Links that lead back, or to what is read anyway.
        broken: Links that lead nowhere.
        special: Named pipes, sockets and devices.
        folders: Images in folders beside the parts, by the folder's name.
        empty: Folders called like a part that hold nothing to read.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    loose: int = 0
    hidden: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    folders: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)

    def file(self, path: Path) -> None:
        """Count a file of a suffix that is not read."""
        suffix = path.suffix.lower()
        if suffix not in _QUIET_SUFFIXES and path.name.lower() not in _QUIET_NAMES:
            self.suffixes[suffix] += 1

    def notes(self) -> tuple[str, ...]:
        """A line for each kind."""
        lines = []
        if total := sum(self.suffixes.values()):
            kinds = sorted(self.suffixes.items(), key=lambda item: (-item[1], item[0]))
            found = [f"{count} {shown(suffix) or 'without suffix'}" for suffix, count in kinds]
            lines.append(f"{_files(total)} not read: {', '.join(found)}")
        if self.loose:
            lines.append(f"{_images(self.loose)} outside class folders not read")
        if total := sum(self.hidden.values()):
            lines.append(f"{_images(total)} below hidden names not read: {_some(sorted(self.hidden))}")
        if total := sum(self.folders.values()):
            found = [f"{name}/ ({_images(count)})" for name, count in sorted(self.folders.items())]
            lines.append(f"folders not read: {_some(found)}")
        if self.empty:
            lines.append(f"empty, so not read: {_some(self.empty)}")
        if self.links:
            lines.append(
                f"{_links(self.links)} to folders above, or to what is read anyway, not followed: {_some(self.links)}"
            )
        if self.broken:
            lines.append(f"{_links(self.broken)} to nowhere not read: {_some(self.broken)}")
        if self.special:
            what = (
                "a named pipe, socket or device"
                if len(self.special) == 1
                else (f"{len(self.special)} named pipes, sockets or devices")
            )
            lines.append(f"{what} not read: {_some(self.special)}")
        return tuple(lines)


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _links(found: Sequence[str]) -> str:
    return f"{len(found)} link{'s' * (len(found) != 1)}"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(shown(name) for name in names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, in the order of names.

    Raises:
        DataError: If it cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{shown(folder)}: cannot be listed ({error.strerror}): change its permissions, or move it away"
        ) from error


def kind_of(entry: os.DirEntry[str]) -> str:
    """``folder``, ``file``, ``special`` (a pipe, a socket, a device) or ``broken`` (a link that leads nowhere)."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "broken"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "special"


def lineage(folder: Path) -> frozenset[FolderId]:
    """The ids of a folder and of all folders above it."""
    real = Path(os.path.realpath(folder))
    return frozenset(found for place in (real, *real.parents) if (found := folder_id(place)) is not None)


def folder_id(folder: Path | str) -> FolderId | None:
    """None where it cannot be looked at."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(slots=True)
class Level:
    """What lies directly in a folder of classes, or of parts.

    Attributes:
        folders: Folders, linked ones included, in the order of names.
        files: Regular files.
    """

    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def level(folder: Path, passed: Passed | None = None, suffixes: Collection[str] = ()) -> Level:
    """Look into a folder of classes or parts.

    Args:
        folder: The folder.
        passed: Where to count what is passed over; None: nowhere.
        suffixes: Suffixes of images, to count hidden ones.

    Raises:
        DataError: If it cannot be listed.
    """
    found, passed, above = Level(), passed or Passed(), lineage(folder)
    for entry in entries(folder):
        kind, path = kind_of(entry), Path(entry.path)
        if is_hidden(entry.name):
            _hide(path, kind, entry.is_symlink(), passed, suffixes)
        elif kind == "folder" and folder_id(path) in above:
            passed.links.append(shown(path))
        elif kind == "folder":
            found.folders.append(path)
        elif kind == "file":
            found.files.append(path)
        else:
            (passed.broken if kind == "broken" else passed.special).append(shown(path))
    return found


def files_below(tops: Sequence[Path], passed: Passed, suffixes: Collection[str]) -> list[list[Path]]:
    """The regular files of some suffixes below each of some folders, sorted; links to folders are followed.

    A link is not followed to a folder above, and not to a folder that is read without it: no file is read twice below
    one of ``tops``. What links of several ``tops`` share is read below each.

    Args:
        tops: Folders, which may be links themselves.
        passed: Where to count what is passed over.
        suffixes: Which files to take, in lower case.

    Raises:
        DataError: If a folder cannot be listed.
    """
    own: set[FolderId | None] = set()
    below = [_Tree(passed, suffixes) for _ in tops]
    for top, tree in zip(tops, below, strict=True):
        tree.take(top, own)
    for top, tree in zip(tops, below, strict=True):
        tree.follow(own, lineage(top))
    return [sorted(tree.files) for tree in below]


class _Tree:
    """Files and links below one folder."""

    def __init__(self, passed: Passed, suffixes: Collection[str]) -> None:
        self.passed, self.suffixes = passed, suffixes
        self.files: list[Path] = []
        self.links: list[Path] = []

    def take(self, top: Path, seen: set[FolderId | None], barred: Collection[FolderId | None] = ()) -> None:
        """All below ``top`` that is no link to a folder; adds the ids of its folders to ``seen``."""
        pending = [top]
        seen.add(folder_id(top))
        while pending:
            for entry in entries(pending.pop()):
                kind, path = kind_of(entry), Path(entry.path)
                if is_hidden(entry.name):
                    _hide(path, kind, entry.is_symlink(), self.passed, self.suffixes)
                elif kind == "file" and path.suffix.lower() in self.suffixes:
                    self.files.append(path)
                elif kind == "file":
                    self.passed.file(path)
                elif kind != "folder":
                    (self.passed.broken if kind == "broken" else self.passed.special).append(shown(path))
                elif entry.is_symlink():
                    self.links.append(path)
                elif (found := folder_id(path)) in barred or found in seen:
                    self.passed.links.append(shown(path))
                else:
                    seen.add(found)
                    pending.append(path)

    def follow(self, own: set[FolderId | None], above: frozenset[FolderId]) -> None:
        """All that links lead to, once."""
        seen: set[FolderId | None] = set()
        while self.links:
            link = self.links.pop(0)
            target = folder_id(link)
            if target is None or target in own or target in above or target in seen:
                self.passed.links.append(shown(link))
                continue
            above |= lineage(link)
            self.take(link, seen, own)


def _hide(path: Path, kind: str, linked: bool, passed: Passed, suffixes: Collection[str]) -> None:
    """Count the images of a hidden name; what cannot be listed there is nobody's loss."""
    if kind == "file":
        passed.hidden[path.name] += path.suffix.lower() in suffixes
    elif kind == "folder" and not linked:
        for _, _, names in os.walk(path):
            passed.hidden[path.name] += sum(Path(name).suffix.lower() in suffixes for name in names)
    passed.hidden += Counter()  # drops names without images


def regular_files(place: Path) -> Iterator[os.DirEntry[str]]:
    """Every regular file below a folder that is not hidden, in no order; each folder once, wherever links lead.

    Raises:
        DataError: If a folder cannot be listed.
    """
    pending, seen = [place], {folder_id(place)}
    while pending:
        for entry in entries(pending.pop()):
            kind = "hidden" if is_hidden(entry.name) else kind_of(entry)
            if kind == "file":
                yield entry
            elif kind == "folder" and (found := folder_id(entry.path)) not in seen:
                seen.add(found)
                pending.append(Path(entry.path))
