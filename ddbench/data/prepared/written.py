"""Whether the arrays of a prepared folder are still those that were written: a stat for each, a hash where it differs.

``written.json`` beside them keeps the size, the time of the last change and the SHA-256 of every array. A copy that was
prepared before there was such a file is read whole once, against its revision, and gets one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError, StoreError
from ddbench.core.keys import canonical, short
from ddbench.core.store.files import atomic_write, sha256_file

WRITTEN = "written.json"
_PIECE = 1 << 12
_sound: set[tuple[str, int, int]] = set()
"""(path, size, mtime) of arrays that this process has hashed and found right, for homes that cannot be written."""


class AlteredError(DataError):
    """An array of a prepared folder is another one than was written."""


def keep(folder: Path, arrays: tuple[str, ...]) -> None:
    """Remember what the arrays of a folder are now.

    Raises:
        OSError: If one cannot be read.
        StoreError: If the folder cannot be written.
    """
    facts = {name: [*_state(folder / name), sha256_file(folder / name)] for name in arrays}
    atomic_write(folder / WRITTEN, json.dumps(facts, indent=1).encode())


def altered(folder: Path, arrays: tuple[str, ...], revision: str, facts: Mapping[str, Any]) -> str | None:
    """The first array that is not what was written, None where all are.

    Args:
        folder: The folder.
        arrays: Names of its files of numbers.
        revision: Hash of ``facts``, ``images.npy`` and ``labels.npy``.
        facts: What the revision holds besides (:func:`hashed_facts`).

    Raises:
        OSError: If one cannot be read.
    """
    known = _kept(folder)
    if known is None:
        return _of_before(folder, arrays, revision, facts)
    moved = False
    for name in arrays:
        state = _state(folder / name)
        size, changed, content = known.get(name, (-1, -1, ""))
        if state == (size, changed) or (str(folder / name), *state) in _sound:
            continue
        if state[0] != size or sha256_file(folder / name) != content:
            return name
        _sound.add((str(folder / name), *state))
        moved = True
    if moved:  # copied, or touched: the next one need not hash it again
        now = {name: [*_state(folder / name), known[name][2]] for name in arrays}
        with suppress(StoreError):
            atomic_write(folder / WRITTEN, json.dumps(now, indent=1).encode())
    return None


def hashed_facts(shape: tuple[int, ...], parts: Mapping[Any, int], class_names: tuple[str, ...], levels: int) -> bytes:
    """The first bytes of what a revision is the hash of; pixels and labels follow."""
    facts = {"shape": shape, "parts": dict(parts), "class_names": class_names, "levels": levels}
    return canonical(facts).encode()


def revisions(content: hashlib._Hash) -> tuple[str, str]:
    """The revision of data, and that of the same data whose copies are kept on one side of a drawn split."""
    together = content.copy()
    together.update(b"copies on one side")
    return short(content.hexdigest()), short(together.hexdigest())


def _of_before(folder: Path, arrays: tuple[str, ...], revision: str, facts: Mapping[str, Any]) -> str | None:
    """As :func:`altered`, of a folder without ``written.json``: its revision cannot tell images from labels."""
    if not os.access(folder, os.W_OK):  # what is found could not be remembered, and every command would read all
        return None
    content = hashlib.sha256(hashed_facts(**facts))
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    for start in range(0, len(images), _PIECE):
        content.update(np.ascontiguousarray(images[start : start + _PIECE]).data)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    content.update(np.ascontiguousarray(labels, dtype="<i8").data)
    if revision not in revisions(content):
        return "images.npy or labels.npy"
    with suppress(StoreError):
        keep(folder, arrays)
    return None


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _kept(folder: Path) -> dict[str, tuple[int, int, str]] | None:
    """What is remembered; None where that is missing or damaged."""
    try:
        held = json.loads((folder / WRITTEN).read_bytes())
        return {name: (int(size), int(changed), str(content)) for name, (size, changed, content) in held.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
