"""Text of methods, files and records that stands in a page or a spreadsheet, and is nothing but text there."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

_BOLD = re.compile(r"\*\*([^*]+)\*\*([^*]*)")
"""How a cell is bold, or its number: the only markup that views write themselves."""
_BLOCK = re.compile(r"(?=#{1,6}\s|>|[-+]\s|(?:=+|-{3,}|_{3,})\s*$|~~~|\[[^\]]*\]:)")
"""What at the beginning of a line makes it a heading, a quotation, a list, a rule, code, or the target of links."""
_FORMULA = tuple("=+-@\t\r")
"""How a cell begins that spreadsheets take for a formula."""


def escaped(text: str) -> str:
    """Text for a markdown page that becomes no markup there: no link, picture, HTML, marker, code, or end of a cell."""
    text = "".join(char if char.isprintable() else " " for char in text)  # line ends, too
    text = re.sub(r"([\\`*])", r"\\\1", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # an underscore between letters is only an underscore
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    text = re.sub(r"!(?=\[)", r"\\!", text)
    text = re.sub(r"\](?=[(\[])", r"\\]", text)
    text = text.replace("~~", r"\~\~").replace("|", r"\|")
    return _BLOCK.sub(r"\\", text, count=1) if _BLOCK.match(text) else text


def escaped_cell(text: str) -> str:
    """The same for a cell that a view may have made bold."""
    bold = _BOLD.fullmatch(text)
    return escaped(text) if bold is None else f"**{escaped(bold[1])}**{escaped(bold[2])}"


def plain_value(value: Any) -> Any:
    """A value for CSV: text that a spreadsheet would take for a formula begins with an apostrophe; numbers stay."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        [float(part) for part in value.split()]  # an interval has two
    except ValueError:
        return f"'{value}"
    return value


def write_csv(out: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A header and a line for each row; what a row lacks is empty."""
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain_value(value) for name, value in row.items()} for row in rows)
