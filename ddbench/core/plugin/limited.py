"""A time limit around what plugins do while a command is planned. No torch."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from ddbench.core.errors import PluginError

PLAN_S = 60.0
"""Seconds that a plugin may take to be imported, or to answer one question while a run is planned."""


@contextlib.contextmanager
def limited(what: str, seconds: float = PLAN_S) -> Iterator[None]:
    """A block that ends after ``seconds``; code that never comes back to Python is not ended.

    Signals keep the time, so that there is no limit outside the main thread and where there is no SIGALRM.

    Raises:
        PluginError: If time is up; again and again each second, for code that catches everything.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise PluginError(f"{what} took longer than {seconds:g} s")

    began, before = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's alarm, which is still to come
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), every)
