"""Every error a user can meet, with the exit code it leads to; a message says what, where and the next command."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from ddbench.core.names import nearest


class DDBenchError(Exception):
    """Base of all errors that are shown as one message without a traceback."""

    exit_code = 1


class UsageError(DDBenchError):
    """The command, the suite or a name in them is wrong; nothing has been computed."""

    exit_code = 2


class DataError(UsageError):
    """A data set is missing, unreadable or not what its name promises."""


class PluginError(UsageError):
    """A plugin could not be loaded, or registers something impossible."""


class StoreError(DDBenchError):
    """The results folder cannot be written or read (full disk, wrong permissions)."""


class CorruptFileError(StoreError):
    """A stored file does not hold what its record says; it counts as missing."""


class NewerRecordError(UsageError):
    """A stored file knows more than this ddbench: it is left alone, and nothing is put in its place.

    Args:
        where: The file, of several records in one with the line.
        what: What tells it: ``schema 2``, ``unknown field energy_wh``.
    """

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"{where}: newer than this ddbench: written by a newer ddbench ({what}); it is left as it is: update "
            "ddbench to read it"
        )
        self.where = where
        self.what = what


FailureStatus = Literal["failed", "oom", "nan", "timeout"]


class NodeFailureError(DDBenchError):
    """A node failed in a way that is a result: the row shows ``status`` and the reason.

    Args:
        status: One of ``failed``, ``oom``, ``nan``, ``timeout``.
        reason: One line, shown in the table.
    """

    def __init__(self, status: FailureStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class InterruptedRunError(DDBenchError):
    """SIGINT or SIGTERM arrived; the running node was checkpointed."""

    exit_code = 130


def text_of(error: BaseException) -> str:
    """What an exception says, on one line of printable characters; exceptions of plugins may say anything."""
    try:
        text = " ".join(str(error).split())
    except BaseException as second:
        return f"its text cannot be shown ({type(second).__name__})"
    return printable(text)


def printable(text: str) -> str:
    """A text with codes in place of characters that no terminal and no file of records takes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parameter_problem(problem: Mapping[str, Any], known: Collection[str]) -> str:
    """What is wrong with a parameter, in words, with the nearest known one.

    Args:
        problem: The first of a pydantic ValidationError's ``errors()``.
        known: The parameters that exist.
    """
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"parameter {name}: {problem['msg'].removeprefix('Value error, ')}, got {problem.get('input')!r}"
    near = nearest(name, known)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown parameter {name!r}; {hint}"


def unknown(noun: str, name: str, known: Iterable[str], see: str) -> UsageError:
    """Make the error for a name that is not registered, with the nearest known names.

    Args:
        noun: What the name should have been, e.g. ``"method"``.
        name: What the user typed.
        known: The names that exist.
        see: The command that lists them.
    """
    candidates = sorted(set(known))
    near = nearest(name, candidates, n=2, cutoffs=(0.6, 0.5))
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(candidates) or 'none'}"
    return UsageError(f"unknown {noun} {name[:80]!r}{hint} (see `{see}`)")


def ambiguous(noun: str, name: str, meanings: Iterable[str]) -> UsageError:
    """Make the error for what is no name and could mean several.

    Args:
        noun: What the name should have been, e.g. ``"method"``.
        name: What the user typed.
        meanings: The names that it could mean.
    """
    return UsageError(
        f"{noun} {name!r} could mean {' or '.join(meanings)}: write the one that is meant as it stands here"
    )
