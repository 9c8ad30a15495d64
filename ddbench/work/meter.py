"""What a node costs: seconds per phase, peak memory, and who used the cores besides."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ddbench.core.records import Timer
from ddbench.core.store.files import atomic_write
from ddbench.work.allocator import give_back
from ddbench.work.timers import HOST, Gpu, Seconds, Timers, added

N = TypeVar("N", int, float)

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
    that earlier nodes left unused; of a GPU's memory likewise. Peaks, and whether others used the cores, are noted when
    a phase ends and with every checkpoint, so that a later attempt keeps what a killed one used. Of child processes no
    memory is seen, and CPU seconds as :func:`ddbench.work.timers.cpu_seconds` says.

    Args:
        base_mb: Level to subtract [MB]; None: the present one.
        timers: What seconds are read from.
        gpu: The GPU that the node runs on, a timer of its own; None: it runs on the CPU.
        others: Says how many other nodes run; asked when a phase begins or ends, and with every checkpoint.
    """

    def __init__(
        self,
        base_mb: float | None = None,
        *,
        timers: Timers = HOST,
        gpu: Gpu | None = None,
        others: Callable[[], int] | None = None,
    ) -> None:
        self.base_mb = _level_mb() if base_mb is None else base_mb
        self.seconds: Seconds = {}
        self.peak_mb = 0.0
        self.device_mb: float | None = None if gpu is None else 0.0
        self.peak_from: Literal["clear_refs", "sampled", ""] = (
            "clear_refs" if _reset_peak() else "sampled" if resident_mb() else ""
        )
        self.contended = False
        self.beside: int | None = None
        self._timers = timers if gpu is None else {**timers, "device": gpu.now}
        self._gpu, self._gpu_base = gpu, 0.0 if gpu is None else gpu.level_mb()
        self._others = others
        self._open: dict[str, dict[Timer, float]] = {}
        self._sampler: _Sampler | None = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and note its peak; seconds of equal names add up, a phase inside another resets no peak."""
        if not self._open:
            self._sampler = None if _reset_peak() else _Sampler()
            if self._gpu is not None:
                self._gpu.reset_peak()
        self._look()
        self._open[name] = self._read()
        try:
            yield
        finally:
            self.seconds = self._until_now({name: self._open[name]})
            self._look()
            del self._open[name]
            if self._sampler is not None and not self._open:
                self._sampler.stop()

    def running(self) -> Seconds:
        """Seconds per timer and phase so far, open phases included; notes their peaks, too."""
        self._look()
        return self._until_now(self._open)

    def _until_now(self, phases: Mapping[str, dict[Timer, float]]) -> Seconds:
        """Seconds of what was closed, and of these phases that began at these readings."""
        now = self._read()
        so_far: Seconds = {timer: dict(self.seconds.get(timer, {})) for timer in now}
        for name, start in phases.items():
            for timer, seconds in so_far.items():
                seconds[name] = seconds.get(name, 0.0) + now[timer] - start[timer]
        return so_far

    def _read(self) -> dict[Timer, float]:
        return {timer: read() for timer, read in self._timers.items()}

    def _look(self) -> None:
        """Note who runs besides, and the peaks of open phases so far."""
        if self._others is not None:
            self.beside = max(self.beside or 0, self._others())
        if not self._open:
            return
        peak = _field_mb("VmHWM") if self._sampler is None else self._sampler.peak()
        self.peak_mb = max(self.peak_mb, peak - self.base_mb)
        if self._gpu is not None:
            self.device_mb = max(self.device_mb or 0.0, self._gpu.peak_mb() - self._gpu_base)
        self.contended = self.contended or _busy()


@dataclass(frozen=True, slots=True)
class Spent:
    """What the attempts so far took.

    Attributes:
        seconds: By timer and phase, as :func:`ddbench.work.timers.added` adds them; None: there was no attempt.
        steps: Outer steps or updates.
        peak_mb: The largest peak.
        device_mb: The largest peak on the GPU; None on the CPU.
        contended: Whether other processes used the cores during one of them.
        beside: The most other nodes that were seen to run; None: nobody looked.
        attempts: How many.
    """

    seconds: Seconds | None = None
    steps: int = 0
    peak_mb: float = 0.0
    device_mb: float | None = None
    contended: bool = False
    beside: int | None = None
    attempts: int = 0

    def plus(self, meter: Meter, steps: int = 0) -> Spent:
        """The running attempt as well."""
        return Spent(
            seconds=added(self.seconds, meter.running()),
            steps=self.steps + steps,
            peak_mb=max(self.peak_mb, meter.peak_mb),
            device_mb=_larger(self.device_mb, meter.device_mb),
            contended=self.contended or meter.contended,
            beside=_larger(self.beside, meter.beside),
            attempts=self.attempts + 1,
        )

    @property
    def totals(self) -> dict[Timer, float]:
        """Seconds over all phases, by the timers that were read in every attempt."""
        return {timer: sum(phases.values()) for timer, phases in (self.seconds or {}).items()}

    @classmethod
    def load(cls, kept: Mapping[str, Any], phase: str) -> Spent:
        """What ``asdict`` gave.

        Args:
            kept: Where ``seconds`` is a number it is that of wall seconds (checkpoints of before).
            phase: In which these were spent.

        Raises:
            TypeError: If it is something else.
        """
        seconds = kept["seconds"]
        return cls(**{**kept, "seconds": {"wall": {phase: seconds}} if isinstance(seconds, float | int) else seconds})

    @classmethod
    def read(cls, folder: Path) -> Spent:
        """What :meth:`write` kept in an artifact's partial folder."""
        try:
            return cls.load(json.loads((folder / ATTEMPTS).read_bytes()), "artifact")
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep it for the next attempt."""
        if folder.is_dir():
            atomic_write(folder / ATTEMPTS, json.dumps(asdict(self)).encode())


def _larger(a: N | None, b: N | None) -> N | None:
    """The larger of those that are known."""
    return max((x for x in (a, b) if x is not None), default=None)


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

    def peak(self) -> float:
        return max(self._peak, resident_mb())

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def _busy() -> bool:
    """Whether more processes want to run than this machine has cores; False where the system does not count them."""
    if not hasattr(os, "getloadavg"):  # Windows
        return False
    with contextlib.suppress(OSError):
        return os.getloadavg()[0] > 1.25 * (os.cpu_count() or 1)
    return False


def _level_mb() -> float:
    """Resident memory without what the allocator merely keeps [MB]."""
    give_back()
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
