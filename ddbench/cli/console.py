"""Stdout and stderr that take every character and outlive their readers; what cannot be written there is told apart.

Consoles lack characters (cp1252, gbk, KOI8-R …), pipes are closed, disks below ``>`` are full: none of this may cost a
run its results, or look like a defect.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata

ERRORS = "ddbench.console"
"""Name of the error handler that writes what a console lacks in other characters."""

ALIKE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "…": "...", "·": ".", "×": "x", "±": "+-", "≈": "~", "≠": "!=", "≥": ">=",
    "≤": "<=", "→": "->", "←": "<-", "∪": "+", "∞": "inf", "√": "sqrt", "†": "#", "‡": "##", "✓": "ok", "✗": "no",
    "‖": "||", "∈": "in", "⁄": "/", "µ": "u", "∗": "*", "⋆": "*", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
}  # fmt: skip
"""ASCII for characters that tables and messages hold, each with its own: footnotes stay apart."""


class OutputError(Exception):
    """Stdout takes no more: its reader left, its disk is full, or it is closed.

    It is no OSError, of which click has its own opinion.

    Args:
        problem: What the system says.

    Attributes:
        unread: Whether its reader left, which is nobody's error.
    """

    def __init__(self, problem: OSError) -> None:
        self.unread = isinstance(problem, BrokenPipeError)
        what = "was cut short by its reader" if self.unread else f"cannot be written: {problem.strerror}"
        super().__init__(f"the output {what}; what was computed is kept, and the same command prints it again")


def replaced(text: str) -> str:
    r"""ASCII for a text that a console lacks: ``>=`` for ``≥``, ``^2`` for ``²``, ``\xe9`` for a byte of a file's name.

    What has no likeness becomes ``?``.
    """
    return "".join(map(_replaced, text))


def _replaced(character: str) -> str:
    code = ord(character)
    if character in ALIKE:
        return ALIKE[character]
    if 0xD800 <= code <= 0xDFFF:  # a byte of a name that is not text, or half of a pair
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
    name = unicodedata.name(character, "")
    if name.startswith("GREEK "):
        return name.rpartition(" ")[2].lower()
    raised = "^" if unicodedata.decomposition(character).startswith("<super>") else ""
    plain = [part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)]
    text = "".join(ALIKE.get(part, part) for part in plain)
    return raised + text if text and text.isascii() else "?"


def _handle(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return replaced(error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, _handle)


class _Pipe(io.RawIOBase):
    """A file descriptor, of which failed writes are known as such, or are nobody's business.

    Args:
        number: The descriptor.
        needed: Whether a write that fails is an error; else it is dropped.
        gone: Whether it was closed before we came.
    """

    def __init__(self, number: int, *, needed: bool, gone: bool) -> None:
        self._number = number
        self._needed = needed
        self._gone = gone

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Whether somebody looks."""
        return os.isatty(self._number)

    def write(self, content: object) -> int:
        """Write some of the content; the number of bytes."""
        data = memoryview(content)  # type: ignore[arg-type]
        try:
            if self._gone:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return os.write(self._number, data)
        except OSError as error:
            if not self._needed:
                return data.nbytes
            silence(self._number)
            self._needed = False
            raise OutputError(error) from None


def silence(number: int) -> None:
    """What is written to a descriptor from now on goes nowhere; what is buffered is no error at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)


def prepare() -> None:
    """Make this process's stdout and stderr such streams; call it once, at its start."""
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:  # else the next file that is opened takes their place, and what is printed lands there
        os.open(os.devnull, os.O_RDWR)
    for name, number, needed in (("stdout", 1, True), ("stderr", 2, False)):
        stream = getattr(sys, name)
        if os.name == "nt" and stream is not None and stream.isatty():
            stream.reconfigure(errors=ERRORS)
            continue
        raw = _Pipe(number, needed=needed, gone=number in closed)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        whole = io.BufferedWriter(raw)
        lines = needed is False or raw.isatty()
        setattr(sys, name, io.TextIOWrapper(whole, encoding=encoding, errors=ERRORS, line_buffering=lines))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def flushed(code: int) -> int:
    """Write what is left for stdout; the exit code."""
    try:
        sys.stdout.flush()
    except OutputError as error:
        print(f"ddbench: {error}", file=sys.stderr)
        return code or (0 if error.unread else 1)
    return code


def tables(text: str, style: str) -> str:
    r"""Tables for stdout: in JSON, characters that it lacks are written ``\u2192``, so that readers get them back."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "".join(map(_escaped, text)) if style == "json" else text
    return text


def _escaped(character: str) -> str:
    if character.isascii():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
