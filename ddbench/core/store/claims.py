"""Claims: at most one live process works on a node. They only save work; publishing twice is harmless."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddbench.core.store.files import store_error

BEAT_S = 10.0
STALE_AFTER_S = 120.0


@dataclass(slots=True)
class Watch:
    """What a waiter has seen of other processes' claims: never their clocks, only whether the counter moves.

    Attributes:
        now: Monotonic seconds of this process.
        seen: Claim file → (counter, when it was first seen at that value).
    """

    now: Callable[[], float] = time.monotonic
    seen: dict[Path, tuple[Any, float]] = field(default_factory=dict)

    def stale(self, path: Path) -> bool:
        """Whether the holder of ``path`` is gone: on this boot its process, else its counter stood still for 120 s."""
        if not path.exists():
            return True
        content = _read(path) or {}  # unreadable: judged by its counter, which then stands still
        boot = _boot_id()
        here = boot and content.get("boot") == boot and content.get("host") == socket.gethostname()
        if here and content.get("started") is not None:  # None: its /proc showed no processes
            return _process_start(int(content.get("pid", -1))) != content.get("started")
        counter = content.get("counter")
        before = self.seen.get(path)
        if before is None or before[0] != counter:
            self.seen[path] = (counter, self.now())
            return False
        return self.now() - before[1] >= STALE_AFTER_S


class Claim:
    """A held claim; use as a context manager. A thread rewrites its counter every ten seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._counter = 0
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"claim-{path.name}")

    def __enter__(self) -> Claim:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._released.set()
        self._thread.join()
        stem, _, generation = self.path.name.rpartition(".")
        for g in range(int(generation) + 1):  # own file last: until then nobody older seems to hold
            self.path.with_name(f"{stem}.{g}").unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            self._counter += 1
            try:
                _replace(self.path, _content(self._counter))
            except OSError:
                continue  # a full disk must not kill the work; a waiter may redo it


def acquire(folder: Path, key16: str, watch: Watch) -> Claim | None:
    """Claim a node, or take over a stale claim; None while another live process holds it.

    Args:
        folder: Where claims lie.
        key16: The node's short key.
        watch: This process's memory of other claims.

    Raises:
        StoreError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = [int(path.name.rpartition(".")[2]) for path in folder.glob(f"{key16}.*") if path.suffix[1:].isdigit()]
        generation = max(held, default=-1)
        if generation >= 0 and not watch.stale(folder / f"{key16}.{generation}"):
            return None
        path = folder / f"{key16}.{generation + 1}"
        return Claim(path) if _create(path, _content(0)) else None
    except OSError as error:
        raise store_error(folder, error) from error


def holder_is_gone(path: Path) -> bool:
    """Whether a claim is of a process of this boot of this machine that has ended; False where that cannot be told."""
    content = _read(path)
    if content is None or not _boot_id() or content.get("boot") != _boot_id():
        return False
    pid, started = content.get("pid"), content.get("started")
    if content.get("host") != socket.gethostname() or not isinstance(pid, int) or started is None:
        return False
    return bool(_process_start(pid) != started)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs here; True where that cannot be told."""
    return not Path("/proc/self/stat").exists() or _process_start(pid) is not None


def held_here(folder: Path) -> set[str]:
    """Short keys of the nodes that live processes of this machine hold claims on; other machines use no core of it."""
    held = set()
    for path in folder.glob("*.*"):
        content = _read(path) if path.suffix[1:].isdigit() else None
        if content is None or content.get("host") != socket.gethostname() or content.get("boot") != _boot_id():
            continue
        if content.get("started") is None or _process_start(int(content.get("pid", -1))) == content["started"]:
            held.add(path.stem)
    return held


def _create(path: Path, content: bytes) -> bool:
    """Create ``path`` exclusively and with its content in one step (a link never shows an empty claim).

    The disk need not have it: a claim that a power failure cut short goes stale like any other of a boot before.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    if path.exists():
        temporary.replace(path)
    else:
        temporary.unlink()


def _content(counter: int) -> bytes:
    pid = os.getpid()
    holder = {
        "host": socket.gethostname(),
        "boot": _boot_id(),
        "pid": pid,
        "started": _process_start(pid),
        "counter": counter,
    }
    return json.dumps(holder).encode()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # no /proc: every holder is then judged by its counter


def _process_start(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None when there is none (a zombie counts as gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])
