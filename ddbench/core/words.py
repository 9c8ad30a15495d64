"""Counts as people read them."""

from __future__ import annotations


def plural(count: int | str, noun: str) -> str:
    """``1 student``, ``3 students``, ``3–6 students``: for nouns whose plural ends in s.

    Args:
        count: How many, or a text that says so.
        noun: Of what, one of them.
    """
    return f"{count} {noun}" + ("" if str(count) == "1" else "s")
