"""Where in a plugin's own code an exception came from: ``dm/method.py:40``. No torch.

A place is made of the module's name and holds no path: it is the same wherever a plugin is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePath
from traceback import walk_tb
from types import FrameType

from ddbench.core.errors import PluginError, text_of

LIBRARIES = frozenset({"ddbench", "numpy", "scipy", "sklearn", "torch", "torchvision"})
"""Packages that are nobody's plugin, though a plugin may name a function of theirs."""
SHARED = "ddbench_plugins"
"""The package that holds ddbench's own methods, each in a package of its own."""

_known: set[str] = set()


def know(modules: Iterable[str]) -> None:
    """Count the packages of these modules among the plugins of this process.

    Args:
        modules: Dotted names, or targets ``"module:Name"``.
    """
    _known.update({name.partition(":")[0].partition(".")[0] for name in modules} - LIBRARIES)


def place_of(error: BaseException) -> str | None:
    """File and line of the last frame in a plugin's own code; None where no plugin took part.

    Where the traceback of an exception has none, that of its cause counts.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    with suppress(Exception):  # a plugin's exception may be anything
        while cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            found = [place for frame, line in walk_tb(cause.__traceback__) for place in _place(frame, line)]
            if found:
                return found[-1]
            cause = cause.__cause__
    return None


def one_line(error: BaseException) -> str:
    """What a plugin's code raised, or what it did, on one line, with the place in its code."""
    text = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {text_of(error)}".rstrip(": ")
    return placed(text, error)


def placed(text: str, error: BaseException) -> str:
    """What is said of an exception, with the place that it came from: ``ValueError: boom (f3.py:14)``."""
    place = place_of(error)
    return text if place is None or text.endswith(f"({place})") else f"{text} ({place})"


def _place(frame: FrameType, line: int) -> Iterator[str]:
    """A frame's place if it is one of a plugin; code that a plugin made of a string has none."""
    name = frame.f_globals.get("__name__")
    file = PurePath(frame.f_code.co_filename)
    if not isinstance(name, str) or file.suffix != ".py":
        return
    parts = name.split(".")
    if parts[0] in _known and file.stem in (parts[-1], "__init__"):
        inside = parts[1:] if parts[0] == SHARED and len(parts) > 1 else parts
        yield f"{'/'.join(inside)}{'/__init__' if file.stem == '__init__' else ''}.py:{line}"
