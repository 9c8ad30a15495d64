"""What a node costs: seconds per phase, peak memory, and whether other processes used the cores."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ddbench.core.store.files import atomic_write

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
SAMPLE_S = 0.05
ATTEMPTS = ".attempts.json"
"""File of an artifact's partial folder: what the attempts so far took."""


class Meter:
    """Measures phases of one node.

    Peak memory is the resident set's high-water mark, reset at the start of each phase where the kernel allows it, else
    the largest of samples taken by a thread, and not known (0, ``peak_from`` empty) where the system has no ``/proc``.
    The level at the start of the node is subtracted, after giving back memory
    that earlier nodes left unused.

    Args:
        base_mb: Level to subtract [MB]; None: the present one.
    """

    def __init__(self, base_mb: float | None = None) -> None:
        self.base_mb = _level_mb() if base_mb is None else base_mb
        self.seconds: dict[str, float] = {}
        self._open: dict[str, float] = {}
        self.peak_mb = 0.0
        self.peak_from: Literal["clear_refs", "sampled", ""] = (
            "clear_refs" if _reset_peak() else "sampled" if resident_mb() else ""
        )
        self.contended = False

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and note its peak; seconds of equal names add up."""
        sampler = _Sampler() if not _reset_peak() else None
        self._open[name] = time.perf_counter()
        try:
            yield
        finally:
            self.seconds = self.running()
            del self._open[name]
            peak = sampler.stop() if sampler is not None else _field_mb("VmHWM")
            self.peak_mb = max(self.peak_mb, peak - self.base_mb, 0.0)
            self.contended = self.contended or _busy()

    def running(self) -> dict[str, float]:
        """Seconds per phase so far, open phases included."""
        now = time.perf_counter()
        so_far = dict(self.seconds)
        for name, start in self._open.items():
            so_far[name] = so_far.get(name, 0.0) + now - start
        return so_far


@dataclass
class Spent:
    """What the attempts so far took.

    Attributes:
        seconds: Over all phases.
        steps: Outer steps or updates.
        peak_mb: The largest peak.
        attempts: How many.
    """

    seconds: float = 0.0
    steps: int = 0
    peak_mb: float = 0.0
    attempts: int = 0

    def add(self, meter: Meter, steps: int = 0) -> Spent:
        """Count the running attempt as well."""
        self.seconds += sum(meter.running().values())
        self.steps += steps
        self.peak_mb = max(self.peak_mb, meter.peak_mb)
        self.attempts += 1
        return self

    @classmethod
    def read(cls, folder: Path) -> Spent:
        """What :meth:`write` kept in an artifact's partial folder."""
        try:
            return cls(**json.loads((folder / ATTEMPTS).read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep it for the next attempt."""
        if folder.is_dir():
            atomic_write(folder / ATTEMPTS, json.dumps(asdict(self)).encode())


class _Sampler:
    """Largest resident memory seen by a thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._peak = resident_mb()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._peak = max(self._peak, resident_mb())

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return max(self._peak, resident_mb())


def _busy() -> bool:
    """Whether more processes want to run than this machine has cores; False where the system does not count them."""
    if not hasattr(os, "getloadavg"):  # Windows
        return False
    with contextlib.suppress(OSError):
        return os.getloadavg()[0] > 1.25 * (os.cpu_count() or 1)
    return False


def _level_mb() -> float:
    """Resident memory without what the allocator merely keeps [MB]."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no "this process" library
        ctypes.CDLL(None).malloc_trim(0)  # glibc
    return resident_mb()


def resident_mb() -> float:
    """Resident memory of this process [MB]; 0 where /proc does not exist."""
    return _field_mb("VmRSS")


def _field_mb(name: str) -> float:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0


def _reset_peak() -> bool:
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True
