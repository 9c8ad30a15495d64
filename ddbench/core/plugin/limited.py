"""What surrounds plugins while they are loaded and asked: a time limit, and the state of the process. No torch."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from types import FrameType

from ddbench.core.errors import PluginError
from ddbench.core.process_state import kept

PLAN_S = 60.0
"""Seconds that a plugin may take to be imported, or to answer one question while a run is planned."""


class PluginWarning(UserWarning):
    """A plugin did not load, or changed its process while it was loaded."""


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


@contextlib.contextmanager
def loading(what: str, *, own: bool = False) -> Iterator[None]:
    """A block in which a plugin is imported and asked for its members."""
    with contextlib.redirect_stdout(sys.stderr), limited(f"loading {what}"):
        if own:
            yield
            return
        with kept() as changes:
            yield
    if changes.names:
        warnings.warn(f"{what}, while it was loaded, {changes.text}", PluginWarning, stacklevel=2)
