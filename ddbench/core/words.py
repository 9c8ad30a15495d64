"""Counts as people read them."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """``1 job``, ``3 jobs``: for nouns whose plural ends in s.

    Args:
        n: How many.
        noun: Of what, one of them.
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"
