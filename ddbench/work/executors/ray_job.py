"""What a worker of Ray runs: one node, by :mod:`ddbench.work.executors.agent`. No torch.

Where it shares no folder with the run that wants the node, it works in a scratch folder: what the node reads is put
there, what it leaves is sent back. Data and artifacts stay, for the next node on the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ddbench.core.documents import parse
from ddbench.core.errors import DDBenchError, StoreError
from ddbench.core.store.files import machine, sha256_file, store_error
from ddbench.work.executors import carried
from ddbench.work.executors.agent import Job, Steps, run_job

SMALL = 1 << 16
"""Bytes of a file that crosses with the task itself, and not as an object of its own."""
TELL_S = 1.0
"""Seconds between two reports of a node's steps."""
DAY_S = 86400.0
WEEK_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class File:
    """A file that crosses.

    Attributes:
        name: See :mod:`ddbench.work.executors.carried`.
        sha256: Of its bytes.
        changed: Its time [ns since 1970].
        fixed: Whether a machine keeps it.
        pieces: Its bytes, or what Ray has for them.
    """

    name: str
    sha256: str
    changed: int
    fixed: bool
    pieces: carried.Pieces

    @property
    def kept_as(self) -> str:
        """What it is called on a machine that keeps it."""
        return f"{self.sha256}-{self.changed}"

    @property
    def crossing(self) -> tuple[Any, ...]:
        """Plain values: no class of ours is pickled."""
        return (self.name, self.sha256, self.changed, self.fixed, self.pieces)

    def bytes(self) -> Iterator[bytes]:
        """Its bytes, fetched."""
        for piece in self.pieces:
            yield piece if isinstance(piece, bytes) else _ray().get(piece)


def _ray() -> Any:
    import ray

    return ray


def sent(name: str, path: Path, *, fixed: bool = False) -> File:
    """A file as it crosses; a large one as objects of Ray.

    Raises:
        OSError: If it cannot be read.
    """
    facts, content, found = path.stat(), sha256(), []
    for piece in carried.pieces(path):
        content.update(piece)
        found.append(piece if facts.st_size <= SMALL else _ray().put(piece))
    return File(name, content.hexdigest(), facts.st_mtime_ns, fixed, found)


class Reporter:
    """Hears where nodes begin, and of their steps, and hands that on when it is asked."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}
        self._said: dict[str, Steps] = {}

    def begin(self, key: str, place: str) -> None:
        """A node has begun, perhaps once more."""
        self._begun[key] = place
        self._said.pop(key, None)

    def tell(self, steps: Steps) -> None:
        """A node is a step further."""
        self._said[steps[0]] = steps

    def news(self) -> tuple[dict[str, str], list[Steps]]:
        """Where nodes have begun, and the last step of each, since this was asked before."""
        begun, self._begun = self._begun, {}
        said, self._said = self._said, {}
        return begun, list(said.values())


def run_ray_job(
    name: str, text: str, files: Sequence[tuple[Any, ...]] | None = None, reporter: Any = None
) -> tuple[str, list[tuple[Any, ...]], list[str]]:
    """Run the node of a job.

    Args:
        name: Of the job; another try of Ray has the same.
        text: A :class:`ddbench.work.executors.agent.Job` as JSON.
        files: What the node may read; None: the folders of the job can be seen here.
        reporter: An actor to tell of steps.

    Returns:
        What :func:`ddbench.work.executors.agent.run_job` says, or ``{"error": {"kind", "text"}}``; files that the node
        left; names of those that it removed.
    """
    try:
        if files is None:
            return run_job(text, place_of(name), keep=True), [], []
        if reporter is not None:
            (node,) = Job.model_validate_json(text).nodes
            reporter.begin.remote(parse(node.document).key, f"{place_of(name)} on {socket.gethostname()}")
        return _Scratch(name, [File(*file) for file in files]).run(text, _telling(reporter))
    except DDBenchError as error:
        return json.dumps({"error": {"kind": type(error).__name__, "text": str(error)}}), [], []


def _telling(reporter: Any) -> Callable[[Steps], None]:
    """Reports steps, if none were just now, and the last ones."""
    last = 0.0

    def tell(steps: Steps) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_S or steps[1] >= steps[2]:
            last = now
            reporter.tell.remote(steps)

    return tell


def place_of(name: str) -> str:
    """What people call a task as a place; Ray runs no task twice at once, so that its next try has its claim."""
    return f"ray task {name}"


def scratch() -> Path:
    """Where nodes work on a machine that shares no folder: below ``TMPDIR``, for this user alone.

    Raises:
        StoreError: If it is another's.
    """
    path = Path(tempfile.gettempdir()) / f"ddbench-ray-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise store_error(path, error) from error
    if path.is_symlink() or path.stat().st_uid != os.getuid():
        raise StoreError(f"{path} is another user's: set TMPDIR for the workers of Ray")
    return path


@dataclass
class _Scratch:
    """A node in a folder of its own.

    The process that runs nodes sees that folder always under one name, so that it can be kept.
    """

    name: str
    files: list[File]

    def run(self, text: str, tell: Callable[[Steps], None]) -> tuple[str, list[tuple[Any, ...]], list[str]]:
        """Run it; as :func:`run_ray_job`."""
        top = scratch()
        folder, here = top / "tasks" / self.name, top / "at" / f"{machine()}-{os.getpid()}"
        try:
            for name in ("files", "claims", "compiled", "at", "tasks"):
                (top / name).mkdir(exist_ok=True)
            _sweep(top)
            self._fill(top, folder)
            with contextlib.suppress(FileNotFoundError):
                here.unlink()
            here.symlink_to(folder)
            job = json.loads(text) | {"out": f"{here}/out", "home": f"{here}/home"}
            job["plugins"] = [f"{here}/plugins/{n}/{Path(file).name}" for n, file in enumerate(job["plugins"])]

            def told(steps: Steps) -> None:
                os.utime(folder)  # it lives, whatever its age
                tell(steps)

            said = run_job(json.dumps(job), place_of(self.name), keep=True, tell=told)
            if '"damaged"' in said:
                self._drop_rotten(top / "files")
            left, gone = self._left(folder)
            shutil.rmtree(folder)
        except OSError as error:
            raise store_error(folder, error) from error
        return said, left, gone

    def _fill(self, top: Path, folder: Path) -> None:
        """Put files in their places; what an earlier try on this machine left is newer than what was sent."""
        links = {"out/.claims": "claims", "home/artifacts/.claims": "claims", "home/compiled": "compiled"}
        for name, target in links.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                (folder / name).symlink_to(top / target)
        done = folder / "filled"
        for file in self.files:
            path = folder / file.name
            if ".." in path.parts:
                raise StoreError(f"a file is named {file.name!r}")
            if file.fixed:
                path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    path.symlink_to(self._kept(top / "files", file))
            elif not done.exists():
                carried.write(path, file.bytes(), file.sha256)
        done.touch()

    @staticmethod
    def _kept(folder: Path, file: File) -> Path:
        """A file that this machine has by now; one process fetches it, the others wait."""
        from filelock import FileLock

        path = folder / file.kept_as
        lock = Path(f"{path}.lock")
        lock.touch()  # the file is still wanted
        if not path.exists():
            with FileLock(lock):
                if not path.exists():
                    carried.write(path, file.bytes(), file.sha256)
                    os.utime(path, ns=(file.changed, file.changed))
        return path

    def _drop_rotten(self, folder: Path) -> None:
        """Forget what was kept and is no longer what was sent."""
        for path in (folder / file.kept_as for file in self.files if file.fixed):
            if path.exists() and sha256_file(path) != path.name.partition("-")[0]:
                path.unlink()

    def _left(self, folder: Path) -> tuple[list[tuple[Any, ...]], list[str]]:
        """What is new or another one than was sent, and what is no longer there."""
        before = {file.name: file.sha256 for file in self.files if not file.fixed}
        found = dict(carried.found({word: folder / word for word in ("out", "home")}))
        left = [sent(name, path) for name, path in found.items() if before.get(name) != sha256_file(path)]
        gone = [name for name in before if name not in found and not name.startswith("plugins/")]
        return [file.crossing for file in left], gone


def _sweep(top: Path) -> None:
    """Remove what tries left that never came back, and files that no node has wanted for a week."""
    now = time.time()
    for path in (top / "tasks").iterdir():
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > DAY_S:
                shutil.rmtree(path)
    for path in (top / "at").iterdir():
        with contextlib.suppress(OSError):
            if not path.exists() and now - path.lstat().st_mtime > DAY_S:
                path.unlink()
    for lock in (top / "files").glob("*.lock"):
        with contextlib.suppress(OSError):
            if now - lock.stat().st_mtime > WEEK_S:
                lock.with_suffix("").unlink(missing_ok=True)
                lock.unlink()
