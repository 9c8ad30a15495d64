"""What the verdicts of a table decide, in words: a line for each column, or for columns of which the same is to say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ddbench.core.words import plural
from ddbench.results.stats import MARGIN, MOST_N
from ddbench.results.tables.cells import ONE_SET, in_common
from ddbench.results.tables.families import ColumnFamily, Pair
from ddbench.results.tables.tables import Table

MOST = 3
"""Rows or pairs that a line names of each kind; the view ``verdicts`` has all."""
OWN_ARTIFACTS: Mapping[str, str] = {"experts": "expert_seed=per_rep gives each repetition experts of its own"}
"""Name of a shared artifact → how not to share it."""


def verdict_lines(table: Table) -> list[str]:
    """What is decided about the methods of each column, and what would decide the rest."""
    texts: dict[str, list[str]] = {}
    for column, family in zip(table.columns, table.families, strict=True):
        if text := in_words(family):
            texts.setdefault(text, []).append(column.budget.label)
    apart = len(table.columns) > 1
    return [f"{', '.join(labels)}: {text}" if apart else text for text, labels in texts.items()]


def in_words(family: ColumnFamily) -> str:
    """The verdicts of one column; empty where there is nothing to compare."""
    parts = [_decided(family)] if len(family.rows) > 1 else []
    if family.conditional and len(family.rows) + len(family.conditional) > 1:
        alone = [row for row, names in family.conditional.items() if names == ONE_SET]
        sharing = [row for row in family.conditional if row not in alone]
        if sharing:
            kinds = sorted({name for row in sharing for name in family.conditional[row]})
            ways = [OWN_ARTIFACTS[name] for name in kinds if name in OWN_ARTIFACTS]
            parts.append("; ".join([_unclaimed(sharing, kinds), *ways]))
        if alone:
            parts.append(_unclaimed(alone, ONE_SET))
    return "; ".join(parts)


def _unclaimed(rows: Sequence[str], names: Collection[str]) -> str:
    return f"no significance is claimed for {', '.join(few(rows, 2 * MOST))}: {in_common(names)}"


def _decided(family: ColumnFamily) -> str:
    needed, pairs = family.family.needed, family.pairs()
    size = f"{plural(len(family.rows), 'method')}, {plural(len(pairs), 'pair')}"
    if not family.enough:
        return f"{size}: verdicts on pairs need n ≥ {needed}; n = {family.n}: nothing is bold"
    parts = [size, *few(_better(family))]
    equal = [pair for pair in pairs if pair.verdict == "equivalent"]
    if equal:
        parts.append(f"equivalent within {MARGIN:g} points: {', '.join(few([_equal(pair, family) for pair in equal]))}")
    left = sorted((pair for pair in pairs if pair.verdict == "undecided"), key=lambda pair: pair.wanted or MOST_N + 1)
    if left:
        parts.append(f"undecided: {', '.join(few([_open(pair, family) for pair in left]))}")
    return "; ".join(parts)


def _better(family: ColumnFamily) -> list[str]:
    """``datm, mtt better than dc, dm``: rows that are better than the same others, together."""
    beaten: dict[str, list[str]] = {}
    for pair in family.pairs():
        if pair.verdict == "better":
            beaten.setdefault(family.named(pair.row), []).append(family.named(pair.versus))
    alike: dict[tuple[str, ...], list[str]] = {}
    for row, others in beaten.items():
        alike.setdefault(tuple(others), []).append(row)
    return [f"{', '.join(rows)} better than {', '.join(others)}" for others, rows in alike.items()]


def _equal(pair: Pair, family: ColumnFamily) -> str:
    power = 0.0 if pair.comparison is None else pair.comparison.power
    return f"{family.named(pair.row)} ≈ {family.named(pair.versus)} (power {100 * power:.0f} %)"


def _open(pair: Pair, family: ColumnFamily) -> str:
    n = wanted_text(pair)
    return f"{family.named(pair.row)} – {family.named(pair.versus)}" + (f" (n {n} would do)" if n else "")


def wanted_text(pair: Pair) -> str:
    """``= 24``, ``> 100``: repetitions that would decide a pair; empty where that is not known, or it is decided."""
    if pair.comparison is None or pair.comparison.need is None:
        return ""
    return f"> {MOST_N}" if pair.wanted is None else f"= {pair.wanted}"


def few(texts: Sequence[str], most: int = MOST) -> list[str]:
    """The first texts, and how many there are besides."""
    rest = len(texts) - most
    return [*texts[:most], *([f"{rest} more"] if rest > 0 else [])]
