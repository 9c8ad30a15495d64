"""Condensed sets as pictures: tiles in one row per class, PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbench.core.errors import DataError, UsageError
from ddbench.core.store.files import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from ddbench.core.api import CondensedSet
    from ddbench.core.records import Record

    Tiles = NDArray[np.uint8]
    """[rows, columns, H, W, C], a row per class; white where a class has fewer images than another."""

SIDE = 64
"""Smallest side of one image in a picture [pixels]; small images are enlarged by whole factors."""

GAP = 2
"""White pixels between images."""

TEXT = 13
"""Size of class names and titles [pixels]."""


def picture(condensed: CondensedSet, record: Record, target: Path, per_class: int = 20) -> None:
    """Write a PNG with the first ``per_class`` images of each class, and the classes' names if the data is at hand.

    Raises:
        UsageError: If ``target`` does not end in ``.png``.
        StoreError: If it cannot be written.
    """
    check_png(target)
    shown = tiles(condensed, record, per_class=per_class)
    atomic_write(target, png(shown, names=row_names(condensed, record)))


def check_png(target: Path) -> None:
    """Refuse a file whose name promises another format.

    Raises:
        UsageError: If ``target`` does not end in ``.png``.
    """
    if target.suffix != ".png":
        raise UsageError(f"--to {target}: a picture's name ends in .png")


# ------------------------------------------------------------------------------------------------------------- tiles


def slots(condensed: CondensedSet, *, stored: bool = False) -> NDArray[np.int64]:
    """Which class each image stands for, [n] (``stored``: [m], each decodes to n / m images in a row)."""
    import numpy as np

    labels = np.asarray(condensed.labels)
    found = np.asarray(condensed.aux.get("classes", labels if labels.ndim == 1 else labels.argmax(1)))
    return found[:: len(found) // len(condensed.aux["codes"])] if stored else found


def tiles(condensed: CondensedSet, record: Record, *, per_class: int = 20, stored: bool = False) -> Tiles:
    """The first ``per_class`` images of each class, uint8 [rows, columns, H, W, C].

    Rows are the classes that the set has, ascending (:func:`row_names` says which); arguments, warnings and errors as
    :func:`~ddbench.data.space.visible.visible_pixels`.
    """
    import numpy as np

    from ddbench.data.space.visible import visible_pixels

    shown = visible_pixels(condensed, record, stored=stored)
    values = (shown * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    classes = slots(condensed, stored=stored)
    rows = [np.flatnonzero(classes == c)[:per_class] for c in np.unique(classes)]
    grid = np.full((len(rows), max(map(len, rows)), *values.shape[1:]), 255, dtype=np.uint8)
    for place, row in zip(grid, rows, strict=True):
        place[: len(row)] = values[row]
    return grid


def row_names(condensed: CondensedSet, record: Record) -> list[str]:
    """The class of each row of :func:`tiles`; its number when the data is not prepared here."""
    from ddbench.data.prepared.on_disk import find

    data = record.document.cell.data
    classes = sorted(set(slots(condensed).tolist()))
    try:
        names: Sequence[str] = find(data.name, data.revision).meta.class_names
    except DataError:
        return [str(c) for c in classes]
    return [names[c] if c < len(names) else str(c) for c in classes]


# --------------------------------------------------------------------------------------------------------------- PNG


def png(*grids: Tiles, titles: Sequence[str] = (), names: Sequence[str] = (), side: int = SIDE) -> bytes:
    """Grids next to each other as the bytes of a PNG: equal tiles give equal bytes.

    Args:
        grids: As :func:`tiles` makes them, all with as many rows; more than three channels, or two, become their mean.
        titles: Above the grids, one each.
        names: At the rows.
        side: Smallest side of one image [pixels].
    """
    from PIL import Image

    sheets = [_sheet(grid, side) for grid in grids]
    font = _font()
    margin = max((round(font.getlength(name)) for name in names), default=-3 * GAP) + 3 * GAP
    top = TEXT + 3 * GAP if any(titles) else 0
    spaces = 6 * GAP * (len(sheets) - 1)
    width = margin + sum(max(sheet.width, round(font.getlength(t))) for sheet, t in _titled(sheets, titles)) + spaces
    whole = Image.new("RGB" if any(s.mode == "RGB" for s in sheets) else "L", (width, top + sheets[0].height), "white")
    _write_names(whole, names, top, sheets[0].height)
    left = margin
    for sheet, title in _titled(sheets, titles):
        _text(whole, (left, GAP), title)
        whole.paste(sheet, (left, top))
        left += max(sheet.width, round(font.getlength(title))) + 6 * GAP
    content = io.BytesIO()
    whole.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _titled(sheets: Sequence[Image], titles: Sequence[str]) -> list[tuple[Image, str]]:
    return list(zip(sheets, titles or [""] * len(sheets), strict=True))


def _sheet(grid: Tiles, side: int) -> Image:
    """One grid, its images enlarged and apart by a white gap."""
    import numpy as np
    from PIL import Image

    rows, columns, _, width, channels = grid.shape
    if channels not in (1, 3):
        grid = grid.mean(-1, keepdims=True).round().astype(np.uint8)
    factor = max(1, side // width)
    grid = grid.repeat(factor, 2).repeat(factor, 3)
    padding = [(0, 0), (0, 0), (GAP, 0), (GAP, 0), (0, 0)]
    cells = np.pad(grid, padding, constant_values=255).transpose(0, 2, 1, 3, 4)
    sheet = cells.reshape(rows * cells.shape[1], columns * cells.shape[3], -1)
    sheet = np.pad(sheet, [(0, GAP), (0, GAP), (0, 0)], constant_values=255)
    return Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet)


def _write_names(whole: Image, names: Sequence[str], top: int, height: int) -> None:
    for i, name in enumerate(names):
        _text(whole, (GAP, top + round((i + 0.5) * height / len(names)) - TEXT // 2 - GAP), name)


def _text(whole: Image, place: tuple[int, int], text: str) -> None:
    from PIL import ImageDraw

    if text:
        ImageDraw.Draw(whole).text(place, text, fill="black", font=_font())


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(TEXT)
