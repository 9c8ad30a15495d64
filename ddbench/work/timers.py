"""What seconds are read from: the clock on the wall, that of the process's threads, that of a GPU.

A timer is a function that gives seconds since some moment; only differences count. Nothing here imports torch before a
GPU is asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from ddbench.core.records import Timer

Timers = Mapping[Timer, Callable[[], float]]
Seconds = dict[Timer, dict[str, float]]
"""Timer → phase → seconds."""
PREPARE = "prepare"
"""The phase that every attempt does anew. A record has its seconds in the last one: the others are the price of
interruptions, or were charged to the shorter run that this one goes on from."""


def cpu_seconds() -> float:
    """Seconds that cores spent on this process: on all its threads, and on children that have ended [s].

    A child counts with all its seconds at the moment when it has ended and was waited for, before that with none: who
    starts processes ends them within the phase that they work for.
    """
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


HOST: Timers = {"wall": time.perf_counter, "cpu": cpu_seconds}
"""The timers that every machine has."""


class Gpu(Protocol):
    """What a meter asks a GPU."""

    def now(self) -> float:
        """Seconds on the device's own clock, read when it has done all that it was given."""
        ...

    def reset_peak(self) -> None:
        """Forget the largest memory so far."""
        ...

    def level_mb(self) -> float:
        """Memory of this process's tensors [MB]."""
        ...

    def peak_mb(self) -> float:
        """The largest memory of this process's tensors since :meth:`reset_peak` [MB]."""
        ...


class Cuda:
    """A CUDA device: seconds between events on its current stream, and what torch's allocator has counted."""

    def __init__(self) -> None:
        import torch

        self._cuda = torch.cuda
        self._began = self._event()

    def _event(self) -> object:
        event = self._cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        event.synchronize()
        return event

    def now(self) -> float:
        """As :class:`Gpu` says."""
        return float(self._began.elapsed_time(self._event())) / 1000  # type: ignore[attr-defined]

    def reset_peak(self) -> None:
        """As :class:`Gpu` says."""
        self._cuda.reset_peak_memory_stats()

    def level_mb(self) -> float:
        """As :class:`Gpu` says."""
        return float(self._cuda.memory_allocated()) / 2**20

    def peak_mb(self) -> float:
        """As :class:`Gpu` says."""
        return float(self._cuda.max_memory_allocated()) / 2**20


def gpu_of(device: str) -> Gpu | None:
    """The GPU that a node runs on; None on the CPU."""
    return Cuda() if device.startswith("cuda") else None


def added(earlier: Seconds | None, now: Seconds) -> Seconds:
    """Seconds of several attempts together, by the timers that all of them had; of :data:`PREPARE` those of the last.

    Args:
        earlier: Of those before; None: there were none.
        now: Of the running one.
    """
    if earlier is None:
        return now
    found: Seconds = {}
    for timer in now.keys() & earlier.keys():
        before = earlier[timer]
        more = {phase: s if phase == PREPARE else before.get(phase, 0.0) + s for phase, s in now[timer].items()}
        found[timer] = {**before, **more}
    return found
