"""The clock around a running node: when to checkpoint, when to stop, and when to tell how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ddbench.core.errors import InterruptedRunError, NodeFailureError
from ddbench.core.settings import checkpoint_s
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Monitor

CHECKPOINT_S = checkpoint_s()
"""Seconds between checkpoints."""


@dataclass(slots=True)
class Clock:
    """Watches one node.

    Attributes:
        interrupts: Whether the user wants to stop.
        monitor: Who is told about progress.
        key: The node's.
        timeout_s: Seconds this attempt may take, None: no limit.
        now: Monotonic clock.
    """

    interrupts: Interrupts
    monitor: Monitor
    key: str
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
        self.monitor.progress(self.key, done, total, what, metrics or {})
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
