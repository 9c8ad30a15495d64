"""Views → text for a terminal: no wider than it where columns and words can be broken, bold type where it has any."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ddbench.publish.text.grid import plain_grid, widths
from ddbench.publish.views.view import View

_BOLD = re.compile(r"(\s*)\*\*(.+?)\*\*")
_ON, _OFF = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Screen:
    """Where text is read.

    Attributes:
        width: Characters of a line; None: lines may be of any length, as in a file.
        bold: Whether it shows bold type; else ``**58.3**`` stands for it.
    """

    width: int | None = None
    bold: bool = False


FILE = Screen()


def terminal(parts: Sequence[View], screen: Screen = FILE) -> str:
    """Views as text: each its caption, a grid and notes."""
    blocks = (_block(part, screen) for view in parts for part in fitting(view, screen.width))
    return "\n\n".join(blocks) + "\n"


def fitting(view: View, width: int | None) -> Iterator[View]:
    """A view, or several that are no wider than ``width``, each with the first column; the last has the notes.

    A single column beside the first may be wider: no cell is broken.
    """
    if width is None or not view.rows or view.width <= width:
        yield view
        return
    (first, *columns), (label, *wide) = view.shown, widths(view.grid)
    groups: list[list[int]] = [[]]
    for place, own in enumerate(wide):
        if groups[-1] and label + 4 + sum(wide[i] + 3 for i in groups[-1]) + own + 3 > width:
            groups.append([])
        groups[-1].append(place)
    for number, group in enumerate(groups):
        caption = f"{view.caption} (continued)" if number else view.caption
        notes = view.notes if number == len(groups) - 1 else []
        yield replace(view, caption=caption, columns=[first, *(columns[i] for i in group)], notes=notes)


def _block(view: View, screen: Screen) -> str:
    grid = plain_grid(view.grid)
    if screen.bold:  # stars are as wide in every line of a column as the widest needs: they go to its left as blanks
        grid = [_BOLD.sub(rf"    \1{_ON}\2{_OFF}", line) for line in grid]
    lines = [_wrapped(view.caption, screen), "", *grid, *(_wrapped(note, screen) for note in view.notes)]
    return "\n".join(lines)


def _wrapped(text: str, screen: Screen) -> str:
    if screen.width is None:
        return text
    return textwrap.fill(text, screen.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
