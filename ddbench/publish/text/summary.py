"""A main table in one sentence, for readers of a terminal: who is ahead of ``random``, and what is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ddbench.core.words import plural
from ddbench.publish.text.captions import decidable
from ddbench.publish.text.verdicts import MOST, few
from ddbench.results.stats import Comparison
from ddbench.results.tables.figures import fixed, span
from ddbench.results.tables.tables import Table


class _Found(NamedTuple):
    row: str
    budget: str
    comparison: Comparison


def summary(table: Table) -> str:
    """``dm is ahead of random at ipc 10 by 1.4 [1.0, 1.9] …; nothing is decided at n = 3: verdicts need n ≥ 8 …``.

    Before there are enough repetitions, rows are named whose plain 95 % interval is above 0; then those with a verdict.
    Empty where nothing is held against ``random``.
    """
    versus = table.versus_random
    if versus is None or not versus.comparisons():
        return ""
    budgets = [table.columns[place].budget.label for place in versus.columns]
    shown = {row.label: row.shown_label for row in table.rows}
    found = [
        _Found(shown[row.label], budget, one)
        for row in versus.rows if row.judged
        for budget, one in zip(budgets, row.comparisons, strict=True) if one is not None
    ]  # fmt: skip
    n = span(one.comparison.paired.n for one in found)
    if any(decidable(one.comparison) for one in found):
        return _decided(found, n)
    ahead = [one for one in found if one.comparison.paired.low > 0]
    needed = found[0].comparison.needed
    undecided = f"nothing is decided at n = {n}: verdicts need n ≥ {needed} (--seeds {needed})"
    if not ahead:
        return undecided
    adjusted = f", not adjusted for {plural(len(found), 'comparison')}" if len(found) > 1 else ""
    return f"{_clauses(ahead, _interval)}{adjusted}; {undecided}"


def _decided(found: list[_Found], n: str) -> str:
    parts = []
    for verdict, words in (("better", "ahead of"), ("worse", "behind"), ("equivalent", "as good as")):
        those = [one for one in found if decidable(one.comparison) and one.comparison.verdict == verdict]
        if those:
            parts.append(_clauses(those, _points if verdict != "equivalent" else lambda _: "", words))
    left = sum(one.comparison.verdict == "undecided" or not decidable(one.comparison) for one in found)
    if not parts:
        return f"no row is told apart from random at n = {n}"
    if left:
        parts.append(f"{plural(left, 'comparison')} with random left open at n = {n}")
    return "; ".join(parts)


def _clauses(found: Iterable[_Found], amount: Callable[[Comparison], str], words: str = "ahead of") -> str:
    """``dm is ahead of random at ipc 1 by 18.6, ipc 10 by 1.4, dc at ipc 1 by 17.8``, the largest difference first."""
    rows: dict[str, list[_Found]] = {}
    for one in found:
        rows.setdefault(one.row, []).append(one)
    largest = sorted(rows, key=lambda row: -max(abs(one.comparison.paired.difference) for one in rows[row]))
    first, *rest = [(row, ", ".join(f"{x.budget}{amount(x.comparison)}" for x in rows[row])) for row in largest]
    texts = [f"{first[0]} is {words} random at {first[1]}", *(f"{row} at {where}" for row, where in rest)]
    return ", ".join(few(texts, MOST))


def _points(comparison: Comparison) -> str:
    return f" by {fixed(abs(comparison.paired.difference), 1)}"


def _interval(comparison: Comparison) -> str:
    found = comparison.paired
    return f"{_points(comparison)} [{fixed(found.low, 1)}, {fixed(found.high, 1)}]"
