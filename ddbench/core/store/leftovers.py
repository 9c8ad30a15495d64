"""What killed processes left: temporary files and claims, removed when a run begins."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ddbench.core.store.claims import holder_is_gone, is_alive
from ddbench.core.store.files import home, machine

DAY_S, HOUR_S = 86400.0, 3600.0
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d{1,10})\.(?P<token>[0-9a-f]{8}|[0-9a-f]{16})\.tmp")
_CLAIM = re.compile(r"(?P<node>[0-9a-f]{16})\.\d+")
_CLAIMING = re.compile(r"\.[0-9a-f]{16}\.\d+\.[0-9a-f]{32}")


def sweep(out: Path) -> int:
    """Remove temporary files and claims of processes that are gone, in a results folder and in the shared one.

    Whether a process of another machine is gone, nobody here can tell: what it left goes after a day. Nothing that
    finished is touched, and what cannot be removed stays.

    Args:
        out: The results folder.

    Returns:
        How many files went.
    """
    gone = 0
    for root in (out, home() / "artifacts"):
        for path in (*_temporary(root), *_claims(root / ".claims")):
            with contextlib.suppress(OSError):
                path.unlink()
                gone += 1
    return gone


def _temporary(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            found = _TEMPORARY.fullmatch(name) if name.endswith(".tmp") else None
            if found is None:
                continue
            path, here = Path(folder, name), found["token"].startswith(machine())
            known = here or len(found["token"]) == 8  # older names do not say on which machine
            alive = is_alive(int(found["pid"]))
            if _older_than(path, DAY_S) or (known and not alive and (here or _older_than(path, HOUR_S))):
                yield path


def _claims(folder: Path) -> Iterator[Path]:
    """Claims on nodes of which the newest one is of a process that is gone, and halves of claims."""
    groups: dict[str, list[Path]] = {}
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if (found := _CLAIM.fullmatch(path.name)) is not None:
                groups.setdefault(found["node"], []).append(path)
            elif _CLAIMING.fullmatch(path.name) and _older_than(path, HOUR_S):
                yield path
    for paths in groups.values():
        newest = max(paths, key=lambda path: int(path.suffix[1:]))
        if holder_is_gone(newest) or _older_than(newest, DAY_S):
            yield from paths


def _older_than(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > seconds
    except OSError:
        return False
