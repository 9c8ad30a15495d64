"""How often the process of a node was lost, kept beside the results until the node has an outcome. No torch."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ddbench.core.keys import short
from ddbench.core.store.files import atomic_write
from ddbench.core.store.folder import Store

FOLDER = ".lost"


def losses(store: Store, key: str) -> int:
    """How often the process of a node was lost since it last had an outcome, whichever command ran it."""
    with contextlib.suppress(OSError, ValueError):
        return int(_file(store, key).read_text())
    return 0


def count_loss(store: Store, key: str, lost: int) -> None:
    """Note how often it was lost by now; where nothing can be written, that is not what the run stops for."""
    with contextlib.suppress(Exception):
        path = _file(store, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, str(lost).encode(), durable=False)


def forget(store: Store, key: str) -> None:
    """The node has an outcome."""
    with contextlib.suppress(OSError):
        _file(store, key).unlink()
        _file(store, key).parent.rmdir()


def _file(store: Store, key: str) -> Path:
    return store.out / FOLDER / short(key)
