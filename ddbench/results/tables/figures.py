"""Numbers as a table shows them: few characters, never an exponent."""

from __future__ import annotations

import math
from collections.abc import Iterable

NONE = "–"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def fixed(value: float, digits: int, *, sign: bool = False) -> str:
    """A number with so many decimals, and with a sign where that is asked for; what rounds to zero is not negative."""
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"


def compact(value: float) -> str:
    """``0``, ``<0.1``, ``1.2``, ``640``, ``6.4 k``, ``12 M`` (k = 10³)."""
    if 0 != value < 0.05:
        return "<0.1"
    number, digits, _, suffix = _scaled(value)
    return f"{number:.{digits}f}{suffix}"


def rounded(value: float) -> float:
    """The number that :func:`compact` shows: 6400 for ``6.4 k``, half of a tenth for ``<0.1``."""
    number, _, unit, _ = _scaled(value)
    return 0.05 if 0 != value < 0.05 else number * unit


def significant(value: float, digits: int) -> float:
    """A number rounded to so many significant digits."""
    return round(value, digits - 1 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else value


def _scaled(value: float) -> tuple[float, int, float, str]:
    """Number as shown, its decimals, its unit and what that is called."""
    unit, suffix = next((known for known in _UNITS if value >= 0.9995 * known[0]), (1.0, ""))
    digits = 1 if 0 != value / unit < 9.95 else 0
    return round(value / unit, digits) + 0.0, digits, unit, suffix


def spread(values: Iterable[float | None], *, apart: float = 1.0) -> str:
    """One number, or ``1.2–14`` when the largest is more than ``apart`` times the smallest (else the largest)."""
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    low, high = compact(min(known)), compact(max(known))
    near = max(known) <= apart * max(min(known), 0.1)  # below a tenth nothing is shown, so nothing is told apart
    return high if low == high or near else f"{low}–{high}"


def span(values: Iterable[int]) -> str:
    """``3`` or ``3–6``; nothing for no values."""
    known = sorted(set(values))
    return "" if not known else str(known[0]) if len(known) == 1 else f"{known[0]}–{known[-1]}"


def mark_source(label: str, source: str) -> str:
    """Label of a row as people read it: with ``(imported)`` or ``(reported)`` unless it was measured here."""
    return label if source == "measured" else f"{label} ({source})"


def superscript(marks: Iterable[int]) -> str:
    """Footnote numbers, ``¹ ²``."""
    return " ".join(str(mark).translate(_SUPERSCRIPT) for mark in marks)
