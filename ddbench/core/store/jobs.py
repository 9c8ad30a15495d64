"""Jobs: nodes that were handed together to an engine such as Slurm, and what these say; files below ``.jobs``.

A job has a handle ``NAME.json``, written by the run that submitted it, a report ``NAME.jsonl``, to which the job adds a
line for each node that is done, and perhaps ``NAME.cancel``, by which somebody asked for its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ddbench.core.errors import StoreError
from ddbench.core.specs import Frozen
from ddbench.core.store.claims import create, is_alive, namespace, process_start
from ddbench.core.store.files import atomic_write, store_error

FOLDER = ".jobs"
MARK = "mark"
DAY_S = 86400.0
_HANDLE = re.compile(r"[0-9a-f]{12}\.json")


class Handle(Frozen):
    """Nodes that were handed to an engine together.

    Attributes:
        name: Of the job, 12 hex digits.
        executor: Who runs it: ``slurm``, ``ray``.
        engine_id: What the engine calls the job: ``71_3``.
        nodes: Key → forecast [s] of each; None: not known.
        submitted: When [s since 1970].
        host: Of the run that submitted it.
        pid: Of that run.
        pid_namespace: In which that number means a process; empty: not known.
        started: When that process started, as the system counts; None: not known.
        resources: What was asked for, for people: ``{"cpus": 2, "mem": "8.0 GB"}``.
        state: What the engine said of it last, for people: ``PENDING (Resources)``; empty: nothing.
        outlives: Whether it goes on when the run that submitted it ends.
    """

    name: str
    executor: str
    engine_id: str
    nodes: dict[str, float | None]
    submitted: float
    host: str = ""
    pid: int = 0
    pid_namespace: str = ""
    started: int | None = None
    resources: dict[str, Any] = Field(default_factory=dict)
    state: str = ""
    outlives: bool = True

    @property
    def asked(self) -> str:
        """``cpus 2, mem 8.0 GB``."""
        return ", ".join(f"{name} {value}" for name, value in self.resources.items())


@dataclass
class Report:
    """What a job has said so far; reading goes on where it ended.

    Attributes:
        path: Its file.
        read: Bytes that were read.
    """

    path: Path
    read: int = field(default=0)

    def news(self) -> Iterator[Mapping[str, Any]]:
        """Lines that are new, as far as they are whole."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self.read:  # another file by now
                    self.read = 0
                file.seek(self.read)
                text = file.read()
        except OSError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # cut short by a kill; the next one stands on a line of its own
                said = json.loads(line)
                if isinstance(said, dict):
                    yield said

    def add(self, said: Mapping[str, Any]) -> None:
        """Write a line, and wait until other machines can read it.

        Raises:
            StoreError: If it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                start = b"" if file.tell() == 0 else b"\n"  # what was cut short ends here
                file.write(start + json.dumps(said).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise store_error(self.path, error) from error


def submitter() -> dict[str, Any]:
    """This process, as handles name the run that submitted a job."""
    me = {"host": socket.gethostname(), "pid_namespace": namespace(), "pid": os.getpid()}
    return me | {"started": process_start(os.getpid())}


def submitter_ended(handle: Handle) -> bool | None:
    """Whether the run that submitted a job has ended; None: another machine or container would have to tell."""
    here = handle.host == socket.gethostname() and handle.pid_namespace in ("", namespace())
    return not is_alive(handle.pid, handle.started) if here else None


def is_old(handle: Handle) -> bool:
    """Whether a job was submitted so long ago that nobody waits for it whose run cannot be asked."""
    return time.time() - handle.submitted >= DAY_S


def folder(out: Path) -> Path:
    """Where the jobs of a results folder lie."""
    return out / FOLDER


def report(out: Path, name: str) -> Report:
    """What a job says."""
    return Report(folder(out) / f"{name}.jsonl")


def write(out: Path, handle: Handle) -> None:
    """Keep a handle.

    Raises:
        StoreError: If it cannot be written.
    """
    atomic_write(folder(out) / f"{handle.name}.json", handle.model_dump_json(exclude={"state"}).encode())


def note(out: Path, name: str, state: str) -> None:
    """Let others read what an engine says of a job, beside its handle; what cannot be written is not there to read."""
    with contextlib.suppress(StoreError):
        atomic_write(folder(out) / f"{name}.state", state.encode(), durable=False)


def handles(out: Path) -> list[Handle]:
    """All handles of a results folder that can be read, with what was noted of them, the oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder(out).iterdir():
            if _HANDLE.fullmatch(path.name):
                with contextlib.suppress(OSError, ValidationError):
                    handle = Handle.model_validate_json(path.read_bytes())
                    with contextlib.suppress(OSError):
                        state = path.with_suffix(".state").read_text(errors="replace")
                        handle = handle.model_copy(update={"state": state})
                    found.append(handle)
    return sorted(found, key=lambda handle: (handle.submitted, handle.name))


def remove(out: Path, name: str) -> None:
    """Forget a job that is over; what cannot be removed stays."""
    for suffix in (".cancel", ".json", ".jsonl", ".state"):
        with contextlib.suppress(OSError):
            (folder(out) / f"{name}{suffix}").unlink()


def cancel(out: Path, name: str) -> None:
    """Note that somebody wants a job to end, for the run that waits for it.

    Raises:
        StoreError: If that cannot be written.
    """
    atomic_write(folder(out) / f"{name}.cancel", b"")


def is_known(out: Path, name: str) -> bool:
    """Whether a job has its handle still: whoever has heard all that it says removes it."""
    return (folder(out) / f"{name}.json").exists()


def mark(out: Path, *, make: bool = False) -> str:
    """8 hex digits by which an engine knows the jobs of a results folder, under whatever name machines see it.

    Args:
        out: The folder.
        make: Write them down where nobody has.

    Raises:
        StoreError: If they cannot be written.
    """
    path = folder(out) / MARK
    if make and not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            create(path, uuid.uuid4().hex[:8].encode())
        except OSError as error:
            raise store_error(path, error) from error
    with contextlib.suppress(OSError):
        return path.read_text()
    return "none"


def is_cancelled(out: Path, name: str) -> bool:
    """Whether somebody asked for its end."""
    return (folder(out) / f"{name}.cancel").exists()
