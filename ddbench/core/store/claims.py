"""Claims: at most one live process works on a node. They only save work; publishing twice is harmless."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ddbench.core.store.files import store_error

BEAT_S = 10.0
"""Seconds between two writings of a counter."""
STALE_AFTER_S = 120.0
"""A counter that stands still for so long belongs to a holder that hangs, unless it declared to need longer."""
LONG_S = 3600.0
"""What a holder declares before a call that reports no steps: the first one, and what follows the last step [s]."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links say."""
PATIENCE = 10
"""A holder may take so many times the longest step so far."""
SEVERAL = 3
"""Steps after the first from which on their speed is told."""
SEEN_WITHIN_S = 90.0
"""A network folder may show what another machine wrote so much later."""


@dataclass(slots=True)
class Watch:
    """What a waiter has seen of other processes' claims: never their clocks, only whether the counter moves.

    Attributes:
        now: Monotonic seconds of this process.
        seen: Claim file → (counter, when it was first seen at that value).
        hidden: File that is listed and cannot be seen → since when.
    """

    now: Callable[[], float] = time.monotonic
    seen: dict[Path, tuple[Any, float]] = field(default_factory=dict)
    hidden: dict[Path, float] = field(default_factory=dict)

    def stale(self, path: Path) -> bool:
        """Whether the holder of ``path`` is gone, or hangs: its counter stood still for longer than it declared."""
        if not (path.exists() or _is_listed(path)):
            return True
        content = _read(path) or {}  # unreadable: judged by its counter, which then stands still
        if _is_gone(content):
            return True
        counter = content.get("counter")
        before = self.seen.get(path)
        if before is None or before[0] != counter:
            self.seen[path] = (counter, self.now())
            return False
        declared = content.get("within_s")
        within = declared if isinstance(declared, int | float) and declared > STALE_AFTER_S else STALE_AFTER_S
        return self.now() - before[1] >= within

    def hides(self, path: Path) -> bool:
        """Whether a file is there that this machine cannot see yet, because it remembers that there was none.

        Network folders remember so for up to a minute, and listings are newer. After ninety seconds it is given up.

        Args:
            path: The file; its folder is made, which a server is asked for whatever this machine remembers.

        Raises:
            StoreError: If the folder cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store_error(path.parent, error) from error
        if not _is_listed(path) or os.path.lexists(path):
            return False
        return self.now() - self.hidden.setdefault(path, self.now()) < SEEN_WITHIN_S


class Claim:
    """A held claim; use as a context manager. Its counter moves when the work reports a step, never by itself.

    Args:
        path: Its file.
        now: Monotonic clock.
        place: What people call the place where the work is done; empty: the process says enough.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic, place: str = "") -> None:
        self.path = path
        self._now = now
        self._facts: dict[str, Any] = {"since": round(time.time(), 3)} | ({"place": place} if place else {})
        self._counter = 0
        self._told: float | None = None
        self._written = -BEAT_S
        self._longest = 0.0
        self._within = LONG_S
        self._first = self._last = (0.0, (0, -1, ""))

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *exc_info: object) -> None:
        stem, _, generation = self.path.name.rpartition(".")
        for g in range(int(generation) + 1):  # own file last: until then nobody older seems to hold
            self.path.with_name(f"{stem}.{g}").unlink(missing_ok=True)

    def write_first(self) -> bool:
        """Create the file; False where there is one."""
        return create(self.path, _content(0, LONG_S, self._facts))

    def beat(self, *, last: bool = False, at: tuple[int, int, str] | None = None) -> None:
        """The work is a step further; the file says so every ten seconds.

        Args:
            last: Whether it reports no more steps, for now.
            at: Steps done, of how many, and of what, for people.
        """
        now = self._now()
        if at is not None:
            begun = self._last[1][1:] != at[1:] or at[0] < self._last[1][0]  # something else is counted, or again
            self._last = (now, at)
            self._first = self._last if begun else self._first
        if self._told is not None:
            self._longest = max(self._longest, now - self._told)
        self._told = now
        within = LONG_S if last else max(STALE_AFTER_S, PATIENCE * self._longest)
        if now - self._written < BEAT_S and within <= self._within:
            return
        self._within = within
        self._write({} if at is None else {"at": at, "left_s": self._left_s()})

    def _left_s(self) -> float | None:
        """How long what is counted goes on, by the steps since the first that was told, which has the start in it."""
        (begun, (first, _, _)), (now, (done, total, _)) = self._first, self._last
        if done >= total or done - first < SEVERAL:
            return 0.0 if 0 < total <= done else None
        return round((now - begun) / (done - first) * (total - done), 1)

    def move(self, place: str = "") -> None:
        """Say that the work is done at a place from now on that cannot hold the claim itself; empty: it waits for one.

        Args:
            place: What people call it.
        """
        self._facts = {"since": round(time.time(), 3), "elsewhere": place}
        self._told, self._within, self._last = None, LONG_S, (0.0, (0, -1, ""))
        self._write({})

    def _write(self, more: Mapping[str, Any]) -> None:
        """Write the file anew: its counter moves."""
        self._counter, self._written = self._counter + 1, self._now()
        with contextlib.suppress(OSError):  # a full disk must not kill the work; a waiter may redo it
            _replace(self.path, _content(self._counter, self._within, {**self._facts, **more}))


def acquire(folder: Path, key16: str, watch: Watch, place: str = "") -> Claim | None:
    """Claim a node, or take over a stale claim; None while another live process holds it.

    Args:
        folder: Where claims lie.
        key16: The node's short key.
        watch: This process's memory of other claims.
        place: What people call the place where the work is done.

    Raises:
        StoreError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        generation = max(map(_generation, _files(folder, key16)), default=-1)
        if generation >= 0 and not watch.stale(folder / f"{key16}.{generation}"):
            return None
        claim = Claim(folder / f"{key16}.{generation + 1}", place=place)
        return claim if claim.write_first() else None
    except OSError as error:
        raise store_error(folder, error) from error


def release(folder: Path, key16: str, place: str) -> None:
    """Remove the claim that a place holds which is known to be gone, wherever it was: nobody needs to wait for it.

    Args:
        folder: Where claims lie.
        key16: The node's short key.
        place: As it was given to :func:`acquire`; a claim of any other place stays.
    """
    paths = sorted(_files(folder, key16), key=_generation)
    if place and paths and (_read(paths[-1]) or {}).get("place") == place:
        for path in paths:
            path.unlink(missing_ok=True)


def _files(folder: Path, key16: str = "*") -> Iterator[Path]:
    """Files of claims on a node, or on all; not those that are being written."""
    return (path for path in folder.glob(f"{key16}.*") if path.suffix[1:].isdigit() and path.name[0] != ".")


def _is_listed(path: Path) -> bool:
    """Whether a name stands in its folder, which may be so before the file can be opened, and after it is removed."""
    try:
        return path in path.parent.iterdir()
    except OSError:
        return False


def _generation(path: Path) -> int:
    return int(path.suffix[1:])


def holder_is_gone(path: Path) -> bool:
    """Whether a claim is of a process of this boot of this machine that has ended; False where that cannot be told."""
    content = _read(path)
    return content is not None and _is_gone(content)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on a node, as its claim says.

    Attributes:
        where: For people: ``process 71 on host-3``, ``slurm job 12_0, process 71 on host-3``.
        since: When that began [s since 1970]; None: not known.
        at: Steps done, of how many, and of what; None: none was told yet.
        left_s: How long these went on when the claim was written last, by their own speed [s]; None: not known.
        silent_s: Seconds since the claim was written last, by the clocks of the disk and of this machine.
        gone: Whether it is known that the process has ended.
        waits: Whether the node waits for a place where the work is done.
    """

    where: str
    since: float | None
    at: tuple[int, int, str] | None
    silent_s: float
    gone: bool
    waits: bool = False
    left_s: float | None = None


def holders(folder: Path, key16: str = "*") -> dict[str, Holder]:
    """Who works on nodes, by their short keys; claims that cannot be read are left out.

    Args:
        folder: Where claims lie.
        key16: One node's; all nodes unless given.
    """
    newest: dict[str, Path] = {}
    for path in sorted(_files(folder, key16), key=_generation):
        newest[path.stem] = path
    found = {}
    for node, path in newest.items():
        if (content := _read(path)) is not None:
            with contextlib.suppress(OSError):
                found[node] = _holder(content, time.time() - path.stat().st_mtime)
    return found


def _holder(content: dict[str, Any], silent_s: float) -> Holder:
    where = f"process {content.get('pid', '?')} on {content.get('host', '?')}"
    if content.get("place"):
        where = f"{content['place']}, {where}"
    elsewhere = content.get("elsewhere")
    if elsewhere:
        where = f"{elsewhere}, for {where}"
    since, at = content.get("since"), content.get("at")
    told = (int(at[0]), int(at[1]), str(at[2])) if isinstance(at, list) and len(at) == 3 else None
    since = since if isinstance(since, int | float) else None
    left = content.get("left_s")
    left = left if isinstance(left, int | float) and told is not None else None
    return Holder(where, since, told, silent_s, _is_gone(content), elsewhere == "", left)


def holder_of(folder: Path, key16: str) -> str | None:
    """Who works on a node, for people; None where nobody does, or that cannot be told."""
    found = holders(folder, key16).get(key16)
    return None if found is None else found.where


def _is_here(content: dict[str, Any]) -> bool:
    """Whether a holder's number means a process here: of this boot of this machine, and of this container."""
    boot = _boot_id()
    same = content.get("host") == socket.gethostname() and content.get("pid_namespace", namespace()) == namespace()
    return bool(boot) and content.get("boot") == boot and same and isinstance(content.get("pid"), int)


def _is_gone(content: dict[str, Any]) -> bool:
    """Whether a holder is a process of this machine that has ended; False where that cannot be told."""
    started = content.get("started")  # None: its /proc showed no processes
    return _is_here(content) and started is not None and process_start(content["pid"]) != started


def is_alive(pid: int, started: int | None = None) -> bool:
    """Whether a process of this number runs here; True where that cannot be told.

    Args:
        pid: The number.
        started: When it started (:func:`process_start`): another process may have the number by now.
    """
    found = process_start(pid)
    return not Path("/proc/self/stat").exists() or (found is not None and started in (None, found))


def held_here(folder: Path) -> set[str]:
    """Short keys of the nodes that live processes of this machine hold claims on; other machines use no core of it."""
    held = set()
    for path in _files(folder):
        content = _read(path)
        if content is not None and _is_here(content) and not _is_gone(content):
            held.add(path.stem)
    return held


def create(path: Path, content: bytes) -> bool:
    """Create ``path`` exclusively and with its content in one step (a link never shows an empty claim).

    A server of NFS whose answer was lost is asked again, and finds the link that it has made: then there are two names.
    Where there are no hard links, an exclusive file does, which may be seen empty for a moment.
    The disk need not have it: a claim that a power failure cut short goes stale like any other of a boot before.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            with path.open("xb") as file:
                file.write(content)
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


def _content(counter: int, within_s: float, facts: Mapping[str, Any]) -> bytes:
    pid = os.getpid()
    holder = {
        "host": socket.gethostname(),
        "boot": _boot_id(),
        "pid_namespace": namespace(),
        "pid": pid,
        "started": process_start(pid),
        "counter": counter,
        "within_s": within_s,
        **facts,
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


@cache
def namespace() -> str:
    """In which a process number means a process; empty where there is no /proc."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def process_start(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None when there is none (a zombie counts as gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])
