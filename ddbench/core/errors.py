"""Every error a user can meet, with the exit code it leads to; a message says what, where and the next command."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ddbench.core.names import nearest

if TYPE_CHECKING:
    from pydantic import ValidationError


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
            f"{where}: newer than this ddbench ({what}); the file is left as it is: update ddbench to read it"
        )
        self.where = where
        self.what = what


def is_later(version: object, known: int) -> bool:
    """Whether a version in a stored file is one of a newer ddbench; of 0, -1, true and "1" there was none: damage.

    What later ones will look like nobody knows yet: 2.5 and "2" are later than 1, too.
    """
    try:
        number = float(version) if isinstance(version, int | float | str) and not isinstance(version, bool) else 0.0
    except (ValueError, OverflowError):
        return False
    return known < number < float("inf")


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


_JARGON = (
    (re.compile(r"^(Value|Assertion) error, "), ""),
    (re.compile(r"a valid dictionary( or .*)?$"), "a mapping (`key: value`)"),
    (re.compile(r"a valid (tuple|list|set|frozenset)\b"), "a list"),
    (re.compile(r"a valid string\b"), "text"),
    (re.compile(r", unable to parse string as an? (integer|number)$"), ""),
)
"""What pydantic says, and the words for people who write YAML."""


def in_words(problem: Mapping[str, Any]) -> str:
    """What is wrong with one value, without its place.

    Args:
        problem: One of a pydantic ValidationError's ``errors()``.
    """
    text = str(problem["msg"])
    for jargon, words in _JARGON:
        text = jargon.sub(words, text)
    return text


def first_problem(error: ValidationError) -> str:
    """The first problem of a document that is not as it should be: its place, and what is wrong with which value."""
    return with_value(error.errors()[0])


def with_value(problem: Mapping[str, Any]) -> str:
    """What is wrong with one value, behind its place (as :func:`in_words`), and which value, if it is short."""
    value = problem.get("input")
    ours = problem["type"] in ("value_error", "assertion_error", "extra_forbidden", "invalid_key")
    got = f", got {shown_value(value)}" if isinstance(value, str | int | float | None) and not ours else ""
    if isinstance(value, Mapping | list | tuple) and problem["type"].endswith("_type"):
        got = f", got a {'mapping' if isinstance(value, Mapping) else 'list'}"
    return f"{placed(problem)}{got}"


def placed(problem: Mapping[str, Any]) -> str:
    """What is wrong with one value, behind its place (as :func:`in_words`)."""
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {in_words(problem)}" if place else in_words(problem)


def shown_value(value: object) -> str:
    """A value as messages name it; integers of thousands of digits have no text."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def shown_count(n: int) -> str:
    """A number as messages name it: ``20,000``; from 10^15 on the power of ten that it has."""
    return f"{n:,}" if abs(n) < 10**15 else f"about {'-' * (n < 0)}10^{int((abs(n).bit_length() - 1) * math.log10(2))}"


MOST_SHOWN = 80
"""Characters of a value in a message."""


def parameter_problem(problem: Mapping[str, Any], known: Collection[str]) -> str:
    """What is wrong with a parameter, in words, with the nearest known one.

    Args:
        problem: The first of a pydantic ValidationError's ``errors()``.
        known: The parameters that exist.
    """
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"parameter {name}: {in_words(problem)}, got {shown_value(problem.get('input'))}"
    near = nearest(name, known)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown parameter {name!r}; {hint}"


MEMBERS = ("ddbench list ", "ddbench plugin list")
"""Commands that list what plugins can add to."""


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
    own = _own(name, near=bool(near)) if see.startswith(MEMBERS) else ""
    return UsageError(f"unknown {noun} {name[:80]!r}{hint} (see `{see}`){own}")


def _own(name: str, *, near: bool) -> str:
    """How a member of the user's own becomes known: the one that lies here, else any, unless another name is meant."""
    folder, file = Path(f"ddbench-{name}"), Path(f"{name}.py")
    if re.fullmatch(r"[A-Za-z]\w{0,79}", name) and (folder / "pyproject.toml").is_file():
        return f"; {folder} is here and not installed: `pip install -e {folder}`"
    if re.fullmatch(r"[A-Za-z]\w{0,79}", name) and file.is_file():
        return f"; {file} is here: add --plugin {file}"
    return "" if near else "; your own: `pip install -e FOLDER` of its package, or --plugin FILE.py"


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


class Notice(UserWarning):
    """What a user should know, where there is nothing to mend."""
