"""A worker and all that it started: how many there are, and the end of them. No torch."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "DDBENCH_WORKER"
"""Environment variable of a worker, and so of what it starts: a process that left the worker's session still has it."""
PROC = Path("/proc")
STATE, SESSION, THREADS = 0, 3, 17
"""Where a process's ``stat`` says these, behind its name."""
ROUNDS, ROUND_S = 200, 0.02
"""How often the rest of a tree is looked for, and how long it then has to end [s]: it may go on starting more."""


def members(pid: int, mark: str) -> Iterator[int]:
    """Process numbers of a worker and of what it started; none where there is no /proc.

    Args:
        pid: Of the worker, which leads a session.
        mark: Its value of :data:`MARK`.
    """
    wanted = f"{MARK}={mark}".encode()
    for entry, fields in _processes():
        with contextlib.suppress(OSError):  # it ended meanwhile, or it is another user's
            own = int(fields[SESSION]) == pid or wanted in (entry / "environ").read_bytes().split(b"\0")
            if own and int(entry.name) != os.getpid() and fields[STATE] not in "ZX":
                yield int(entry.name)


def threads_of(pid: int) -> int:
    """Threads of the processes of a worker's session; 0 where there is no /proc."""
    return sum(int(fields[THREADS]) for _, fields in _processes() if int(fields[SESSION]) == pid)


def _processes() -> Iterator[tuple[Path, list[str]]]:
    """The folder of each process, and what its ``stat`` says behind its name."""
    for entry in PROC.iterdir() if PROC.exists() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if len(fields) > THREADS:
                    yield entry, fields


def end(pid: int, mark: str) -> None:
    """End a worker and what it started, at once; where there is no /proc, those of its process group."""
    for _ in range(ROUNDS):
        with contextlib.suppress(OSError, AttributeError):  # AttributeError: a system without process groups
            os.killpg(pid, signal.SIGKILL)
        left = list(members(pid, mark))
        for one in left:
            with contextlib.suppress(OSError):
                os.kill(one, signal.SIGKILL)
        if not left:
            return
        time.sleep(ROUND_S)
