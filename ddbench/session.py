"""The clock around a running node: when to checkpoint, when to stop, and whom to tell how far it is."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

from ddbench.errors import InterruptedRunError, NodeFailureError

CHECKPOINT_S = float(os.environ.get("DDBENCH_CHECKPOINT_S", "60"))
"""Seconds between checkpoints."""


class Monitor(Protocol):
    """Who watches a run."""

    def progress(self, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The current node is at ``done`` of ``total`` steps."""
        ...


class Interrupts:
    """Turns the first SIGINT or SIGTERM into a request to stop at the next tick; the second one ends at once.

    Outside :meth:`deferred` blocks a signal raises KeyboardInterrupt immediately.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferring = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[Interrupts]:
        """Handle signals in this block (main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield self
        finally:
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
        if again or not self._deferring:
            raise KeyboardInterrupt


@dataclass(slots=True)
class Session:
    """Watches one node.

    Attributes:
        interrupts: Whether the user wants to stop.
        monitor: Who is told about progress.
        timeout_s: Seconds this attempt may take, None: no limit.
        now: Monotonic clock.
    """

    interrupts: Interrupts
    monitor: Monitor
    timeout_s: float | None = None
    now: Callable[[], float] = time.monotonic
    _started: float = field(default=0.0, init=False)
    _saved: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._started = self._saved = self.now()

    def tick(
        self,
        done: int,
        total: int,
        save: Callable[[], None],
        what: str = "",
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """After a step: report, checkpoint when it is time, stop when asked to or out of time.

        Raises:
            InterruptedRunError: If the user asked to stop; the checkpoint is written.
            NodeFailureError: With status ``timeout``; the checkpoint is written.
        """
        self.monitor.progress(done, total, what, metrics or {})
        out_of_time = self.timeout_s is not None and self.now() - self._started >= self.timeout_s and done < total
        if self.interrupts.requested or out_of_time or self.now() - self._saved >= CHECKPOINT_S:
            save()
            self._saved = self.now()
        if self.interrupts.requested:
            raise InterruptedRunError("interrupted")
        if out_of_time:
            raise NodeFailureError(
                "timeout", f"stopped by --timeout after {self.timeout_s:g} s at step {done} of {total}"
            )


class Silent:
    """A monitor that tells nobody."""

    def progress(self, done: int, total: int, what: str, metrics: Mapping[str, Any]) -> None:
        """Ignore it."""
