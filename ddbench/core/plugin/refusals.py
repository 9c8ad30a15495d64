"""Calls that would end, replace or double the process, refused to code of a plugin while it is asked something."""

from __future__ import annotations

import _thread as interpreter
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

EXIT_CODE = 2
"""Of a command that a plugin keeps from going on."""


class EndedError(BaseException):
    """Raised through code of a plugin that must not go on; no ``Exception``, which such code may catch.

    Whoever asked the plugin makes a PluginError of it.
    """


class _Thread(threading.local):
    def __init__(self) -> None:
        self.calls: list[list[str]] = []


_thread = _Thread()
_lock = threading.Lock()
_open: list[list[str]] = []
"""The calls of each block that is open, in any thread."""
_real: list[tuple[Any, str, Any]] = []
"""What stands elsewhere while a block is open: its module, its name, and what it is."""
_exit = os._exit
_ours = [False]


def process_is_ours() -> None:
    """Say that this process runs one command, and may be ended when code of a plugin cannot be."""
    _ours[0] = True


@contextlib.contextmanager
def refusing() -> Iterator[list[str]]:
    """A block that gives the calls that were refused in it, by this thread.

    Raises:
        EndedError: Where one is called.
    """
    calls: list[str] = []
    try:
        with _lock:
            _open.append(calls)
            if not _real:
                _put()
        _thread.calls.append(calls)
        yield calls
    finally:
        _without(_thread.calls, calls)
        with _lock:
            _without(_open, calls)
            while _real and not _open:
                setattr(*_real.pop())


def end(line: str) -> None:
    """End the process with a line; where it is not ours, as in a notebook, do nothing."""
    if not _ours[0]:
        return
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        with contextlib.suppress(BaseException):
            stream.flush()  # type: ignore[union-attr]
    with contextlib.suppress(BaseException):
        os.write(2, f"ddbench: {line}\n".encode(errors="backslashreplace"))
    _exit(EXIT_CODE)


def _without(blocks: list[list[str]], calls: list[str]) -> None:
    blocks[:] = [one for one in blocks if one is not calls]


def _put() -> None:
    """Put refusals in place of what this platform has."""
    for owner, name, is_refused in _REFUSED:
        if (real := getattr(owner, name, None)) is not None:
            _real.append((owner, name, real))
            setattr(owner, name, _refusal(f"{owner.__name__}.{name}", real, is_refused))


def _refusal(name: str, real: Callable[..., Any], is_refused: Callable[..., bool]) -> Callable[..., Any]:
    def refused(*given: Any, **named: Any) -> Any:
        if _thread.calls and is_refused(*given):
            _refuse(f"{name}({', '.join([*map(_shown, given), *(f'{k}={_shown(v)}' for k, v in named.items())])})")
        return real(*given, **named)  # of another thread, or kept by a library that was imported in a block

    return refused


def _shown(value: object) -> str:
    return f"signal.{value.name}" if isinstance(value, signal.Signals) else repr(value)


def _refuse(call: str) -> NoReturn:
    text = call if len(call) <= MOST_SHOWN else f"{call[:MOST_SHOWN]}…"
    _thread.calls[-1].append(text)
    raise EndedError(text)


MOST_SHOWN = 80
"""Characters of a call in a message."""


_ENDS = ("_exit", "abort", "fork", "forkpty", "execv", "execve")


def _always(*_: object) -> bool:
    return True


def _hits_us(pid: object = None, number: object = None, *_: object) -> bool:
    """Whether a signal would reach this process; 0 is none, and only asks whether a process exists."""
    group = os.getpgrp() if hasattr(os, "getpgrp") else 0
    return number != 0 and pid in (os.getpid(), 0, -1, -group)


def _hits_our_group(group: object = None, number: object = None, *_: object) -> bool:
    return number != 0 and group in (0, os.getpgrp())


def _is_signal(_: object = None, number: object = None, *__: object) -> bool:
    return number != 0


_SYSTEM = [module for name in ("os", "posix", "nt") if (module := sys.modules.get(name)) is not None]
"""``os``, and the module that it takes these calls from, whose names are others."""
_REFUSED: list[tuple[Any, str, Callable[..., bool]]] = [
    *((module, name, _always) for module in _SYSTEM for name in _ENDS),
    *((module, "kill", _hits_us) for module in _SYSTEM),
    *((module, "killpg", _hits_our_group) for module in _SYSTEM),
    (interpreter, "interrupt_main", _always),
    (signal, "raise_signal", _always),
    (signal, "pthread_kill", _is_signal),
]
"""Each call, and which arguments make it one that is refused."""
