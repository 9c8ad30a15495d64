"""Whether two collections of records say the same: evaluation by evaluation, by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ddbench.core.records import Record
from ddbench.core.specs import Budget
from ddbench.results.audit.verify import SAME_TO_THE_BIT
from ddbench.results.stats import LEVEL
from ddbench.results.stats.prediction import prediction_interval
from ddbench.results.tables.observations import Observation, Setting, as_text, observe
from ddbench.results.tables.tables import standing

Outcome = Literal["equal", "inside", "outside", "status", "other key", "only in first", "only in second"]
OUTCOMES: dict[Outcome, str] = {
    "equal": "the same set, accuracy and right test images (or the same failure)",
    "inside": "the second accuracy lies in the prediction interval of the first's row",
    "outside": "it does not",
    "status": "one has a result, the other has none",
    "other key": "something that decides the result differs",
    "only in first": "",
    "only in second": "",
}
GOOD: frozenset[Outcome] = frozenset({"equal", "inside"})

_Row = tuple[Setting, str, Budget | None]


@dataclass(frozen=True, slots=True)
class Pair:
    """One place of a table in two collections.

    Attributes:
        row: Label of its row; ``setting`` its table, ``budget`` its column.
        first: What the first collection says there; None: nothing.
        second: The same of the second.
        outcome: What came of comparing them.
        why: What differs, in words.
        weak: Whether the interval behind inside and outside comes from fewer than three students.
    """

    row: str
    setting: Setting
    budget: Budget | None
    first: Observation | None
    second: Observation | None
    outcome: Outcome
    why: str = ""
    weak: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the two being the same; a weak interval does not."""
        return self.outcome in GOOD or (self.outcome == "outside" and self.weak)


def compare(first: Sequence[Record], second: Sequence[Record], *, level: float = LEVEL) -> list[Pair]:
    """All places of two collections, as the tables of the first have them, then those that only the second has.

    Args:
        first: Records that the second are held against; of equal keys the latest counts.
        second: Other records.
        level: Probability with which all second accuracies together lie in their intervals (Bonferroni).
    """
    ours, theirs = _places(first), _places(second)
    hashes = [{record.key: record.set_sha256 for record in records} for records in (first, second)]
    pairs = [_paired(ours.get(place), theirs.get(place), hashes) for place in dict.fromkeys([*ours, *theirs])]
    open_pairs = sum(pair.outcome == "outside" for pair in pairs)
    rows: dict[_Row, list[Observation]] = {}
    for one in ours.values():
        rows.setdefault((one.setting, one.row, one.budget), []).append(one)
    return [
        _judged(pair, rows[pair.setting, pair.row, pair.budget], 1 - (1 - level) / open_pairs)
        if pair.outcome == "outside"
        else pair
        for pair in pairs
    ]


def _places(records: Sequence[Record]) -> dict[tuple[Any, ...], Observation]:
    records = list({record.key: record for record in records}.values())
    latest = {(one.setting, one.row, one.budget, one.r, one.e): one for one in observe(records)}
    found = {place: one for place, one in latest.items() if one.key}
    tables = list(dict.fromkeys(one.setting for one in found.values()))

    def order(one: Observation) -> tuple[Any, ...]:
        size = one.budget.place if one.budget else ()
        return tables.index(one.setting), standing(one), one.row, size, one.r, one.e

    return dict(sorted(found.items(), key=lambda item: order(item[1])))


def _paired(first: Observation | None, second: Observation | None, hashes: Sequence[Mapping[str, str | None]]) -> Pair:
    """The pair of a place; "outside" stands for results that are not equal, until their interval is known."""
    known = first or second
    assert known is not None

    def pair(outcome: Outcome, why: str = "") -> Pair:
        return Pair(known.row, known.setting, known.budget, first, second, outcome, why)

    if first is None or second is None:
        return pair("only in second" if first is None else "only in first")
    if first.key != second.key:
        return pair("other key", "; ".join(_differences(first, second)))
    if first.status != second.status:
        return pair("status", f"{_said(first)} and {_said(second)}")
    if first.status != "ok":
        return pair("equal")
    same_set = hashes[0].get(first.key) == hashes[1].get(second.key)
    correct = [one.metrics.get("correct") for one in (first, second)]
    alike = first.top1 == second.top1 and (None in correct or correct[0] == correct[1])
    if same_set and alike:
        return pair("equal")
    return pair("outside", "the same set, another student" if same_set else "another set")


def _said(one: Observation) -> str:
    return "ok" if one.status == "ok" else f"{one.status}: {one.reason}" if one.reason else one.status


def _differences(first: Observation, second: Observation) -> Iterator[str]:
    """What the recipes of two results have that the other has not, or has otherwise."""
    for name in sorted({*first.recipe, *second.recipe}):
        values = [one.recipe.get(name) for one in (first, second)]
        if values[0] != values[1]:
            yield f"{name} {' and '.join('none' if value is None else _short(value) for value in values)}"
    if first.recipe == second.recipe:
        yield "seeds, artifacts or who registered a part"


def _short(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= 24 else f"{text[:20]}…"


def _judged(pair: Pair, row: Iterable[Observation], level: float) -> Pair:
    first, second = pair.first, pair.second
    assert first is not None and second is not None and first.top1 is not None and second.top1 is not None
    groups: dict[str, list[float]] = {first.set_key: []}
    for one in row:
        if one.top1 is not None:
            groups.setdefault(one.set_key, []).append(one.top1)
    interval = prediction_interval([*groups.values()], n_test=first.n_test or 1, level=level)
    outcome: Outcome = "inside" if interval.contains(second.top1) else "outside"
    where = f"{pair.why}; {first.top1:.2f} and {second.top1:.2f}, interval [{interval.low:.2f}, {interval.high:.2f}]"
    return Pair(pair.row, pair.setting, pair.budget, first, second, outcome, where, interval.weak)


def machines_differ(first: Sequence[Record], second: Sequence[Record]) -> list[str]:
    """What of the machines that made two collections differs, where that may change the last digits."""
    found = []
    for name in SAME_TO_THE_BIT:
        values = [
            {str(record.env[name]) for record in records if record.env.get(name) is not None}
            for records in (first, second)
        ]
        if values[0] != values[1] and all(values):
            called = "hashes of the compiled operations" if name == "compiled" else name
            found.append(f"{called}: {', '.join(sorted(values[0]))} and {', '.join(sorted(values[1]))}")
    return found
