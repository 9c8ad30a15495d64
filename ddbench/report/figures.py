"""Numbers as a table shows them: few characters, never an exponent."""

from __future__ import annotations

from collections.abc import Iterable

NONE = "–"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def compact(value: float) -> str:
    """``0``, ``<0.1``, ``1.2``, ``640``, ``6.4 k``, ``12 M`` (k = 10³)."""
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    for unit, suffix in _UNITS:
        if value >= 0.9995 * unit:
            return _digits(value / unit) + suffix
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


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


def plural(count: str, noun: str) -> str:
    """``1 student``, ``3 students``."""
    return f"{count} {noun}" + ("" if count == "1" else "s")


def marked(label: str, source: str) -> str:
    """Label of a row as people read it: with ``(imported)`` or ``(reported)`` unless it was measured here."""
    return label if source == "measured" else f"{label} ({source})"


def superscript(marks: Iterable[int]) -> str:
    """Footnote numbers, ``¹ ²``."""
    return " ".join(str(mark).translate(_SUPERSCRIPT) for mark in marks)
