"""Signals that ask a run to stop: the running node gets to its next checkpoint first."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Turns the first SIGINT or SIGTERM into a request to stop at the next tick; the second one ends at once.

    Outside :meth:`deferred` blocks a signal raises KeyboardInterrupt immediately.

    Args:
        together_s: Signals that follow the first within so many seconds belong to it: Slurm sends one to all processes
            of a job, and a process that hears it asks those that it started, too.
    """

    def __init__(self, together_s: float = 0.0) -> None:
        self.requested = False
        self._together_s = together_s
        self._first = -math.inf
        self._deferring = 0
        self._installed = False

    def meant(self) -> bool:
        """Whether a KeyboardInterrupt that is raised now can be the user's, and not a plugin's own."""
        return self.requested or not self._installed or signal.getsignal(signal.SIGINT) != self._handle

    @contextlib.contextmanager
    def installed(self) -> Iterator[Interrupts]:
        """Handle signals in this block (main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        self._installed = True
        try:
            yield self
        finally:
            self._installed = False
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """A block that ticks regularly and wants to checkpoint before it stops."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        now = time.monotonic()
        if not again:
            self._first = now
        elif now - self._first < self._together_s:
            return
        if again or not self._deferring:
            raise KeyboardInterrupt
