"""What surrounds plugins while they are loaded and asked: a time limit, and the state of the process. No torch."""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TypeVar

from ddbench.core.cpu import cores
from ddbench.core.errors import PluginError
from ddbench.core.plugin.places import one_line
from ddbench.core.plugin.refusals import EndedError, end, refusing
from ddbench.core.process_state import kept

PLAN_S = 60.0
"""Seconds that a plugin may take to be imported, or to answer one question while a run is planned."""
MORE = 3
"""How often a limit that ends on a busy machine is extended, each time by itself."""
WAITED = 0.25
"""Share of its time that a thread waits for a core on a busy machine."""
AGAIN_S = 1.0
"""Seconds from one attempt to end code that catches everything to the next one."""
ATTEMPTS = 5
"""Attempts to end such code before the process is ended."""
EARLY_S = 0.01
"""Seconds before its time at which our alarm may ring."""
MOMENT_S = 0.05
"""Within so many seconds the system is not asked again how long a thread has waited."""
T = TypeVar("T")
_lately = threading.local()


class PluginWarning(UserWarning):
    """A plugin did not load, or changed its process while it was loaded."""


@contextlib.contextmanager
def limited(what: str, seconds: float = PLAN_S) -> Iterator[None]:
    """A block of a plugin's code, which ends after ``seconds`` and leaves the process alive.

    Code that never comes back to Python is not ended. Signals keep the time, so that there is no limit outside the
    main thread and where there is no SIGALRM. If the process crashes, the traceback of all that is going on is shown.

    Args:
        what: What its code does, beginning with a word like ``loading``.
        seconds: Several times as many on a busy machine.

    Raises:
        PluginError: If time is up, or if the code calls what would end or double the process, or raises
            KeyboardInterrupt by itself. Code that catches everything is ended again and again each second, and at
            last with the process, where that is a command's.
        KeyboardInterrupt: If the user interrupts, whatever the code makes of it.
    """
    with _crashes_shown(), _interrupts() as interrupts, refusing() as refused:
        try:
            with _clock(what, seconds):
                yield
        except BaseException as error:
            told = _told(error, what, interrupts, refused)
            if told is error:
                raise
            raise told from error
        if interrupts or refused:  # its code caught what was raised
            raise _told(None, what, interrupts, refused)


def asked(what: str, question: Callable[[], T]) -> T:
    """What code of a plugin answers; what it prints does not reach stdout, which is for the table.

    Args:
        what: As for :func:`limited`.
        question: Calls that code.

    Raises:
        PluginError: If there is no answer in time, or in its place whatever its code may raise, on one line.
        KeyboardInterrupt: If the user interrupts.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr), limited(what):
            return question()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit included
        raise PluginError(one_line(error)) from error


def _told(error: BaseException | None, what: str, interrupts: list[int], refused: list[str]) -> BaseException:
    """What to raise for what came out of a plugin's code, or was caught there."""
    doing = what.partition(" ")[0]
    if interrupts:
        return error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt()
    if refused:
        return PluginError(f"its code called {refused[0]} while {doing}")
    if isinstance(error, EndedError):
        return PluginError(str(error))
    if error is None or isinstance(error, KeyboardInterrupt):
        return PluginError(f"its code raised KeyboardInterrupt while {doing}")
    return error


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A block that gives the signals in it by which the user's KeyboardInterrupt came."""
    found: list[int] = []
    before: dict[int, Callable[[int, FrameType | None], object]] = {}

    def note(number: int, frame: FrameType | None) -> None:
        try:
            before[number](number, frame)
        except KeyboardInterrupt:
            found.append(number)
            raise

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, note)
    try:
        yield found
    finally:
        for changed, was in before.items():
            signal.signal(changed, was)


@contextlib.contextmanager
def _clock(what: str, seconds: float) -> Iterator[None]:
    """A block in which time runs."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    clock = _Clock(what, seconds)
    began, before = time.monotonic(), signal.signal(signal.SIGALRM, clock.ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        clock.over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's alarm, which is still to come
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), every)


class _Clock:
    """What happens when an alarm rings."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds, self.over = what, seconds, False
        self._ends, self._waited = time.monotonic() + seconds, _waited()
        self._extended = self._attempts = 0

    def ring(self, number: int, frame: FrameType | None) -> None:
        """Extend the limit, or end the code."""
        left = self._ends - time.monotonic()
        if self.over:
            return
        if left > EARLY_S:
            signal.setitimer(signal.ITIMER_REAL, left, AGAIN_S)
            raise EndedError(f"its code set an alarm of its own, which rang while {self.what.partition(' ')[0]}")
        if not self._attempts and self._extended < MORE and self._is_busy():
            self._extended += 1
            self._ends = time.monotonic() + self.seconds
            signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN_S)
            return
        self._attempts += 1
        if self._attempts > ATTEMPTS:
            end(f"{self._text()}, and its code catches all that is raised to end it: the command is ended")
        raise EndedError(self._text())

    def _is_busy(self) -> bool:
        before, self._waited = self._waited, _waited()
        return busy((self._waited - before) / self.seconds)

    def _text(self) -> str:
        more = f", the limit of {self.seconds:g} s on a busy machine" if self._extended else ""
        return f"{self.what} took longer than {self.seconds * (1 + self._extended):g} s{more}"


def busy(waited: float) -> bool:
    """Whether the machine has more to do than its cores can: a healthy plugin may take several times as long.

    Args:
        waited: Share of the time that this thread waited for a core.
    """
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # not on Windows
        load = 0.0
    return load > cores() or waited > WAITED


def _waited() -> float:
    """Seconds that this thread has waited for a core, a moment ago; 0 where the system does not say."""
    last, found = getattr(_lately, "found", (-math.inf, 0.0))
    now = time.monotonic()
    if now - last > MOMENT_S:
        try:
            found = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            found = 0.0
        _lately.found = now, found
    return found


@contextlib.contextmanager
def _crashes_shown() -> Iterator[None]:
    """A block in which a crash of the process shows where its code was."""
    if faulthandler.is_enabled() or threading.current_thread() is not threading.main_thread():
        yield
        return
    faulthandler.enable(2, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()


def called(what: str, function: Callable[[], T]) -> T:
    """Call a function from a frame that is called ``what``, so that a line of a crash's traceback says that."""

    def here() -> T:
        return function()

    here.__code__ = here.__code__.replace(co_filename="ddbench", co_name=what)
    return here()


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
