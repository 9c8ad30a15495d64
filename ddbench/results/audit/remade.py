"""Whether results that were made again from records alone are the recorded ones: the set first, then the accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from ddbench.core.correctness import unpack
from ddbench.core.documents import CellDocument
from ddbench.core.records import Record, said
from ddbench.core.store.folder import Store
from ddbench.plan.collect import cause
from ddbench.plan.graph import Plan
from ddbench.results.audit.verify import SAME_TO_THE_BIT, Case, Finding, Verdict, cases_of, rounded_otherwise
from ddbench.results.stats import LEVEL
from ddbench.results.stats.prediction import Interval, prediction_interval

MEANINGS: Mapping[tuple[Verdict, bool | None], str] = {
    ("same", True): "the same set to the bit, and the same test images right",
    ("inside", True): "the same set to the bit, other students; accuracy inside the interval",
    ("inside", False): "a set of other bits; accuracy inside the interval",
    ("outside", True): "the same set to the bit, other students; accuracy outside the interval",
    ("outside", False): "a set of other bits; accuracy outside the interval",
    ("failed", None): "failed",
    ("not made", None): "not made here",
}
"""What verdicts say of a set and its students that were made again; whether the set is the same to the bit."""


class Apart(Store):
    """A results folder that holds references as well: none of them is read from the shared folder, or written there."""

    __slots__ = ()

    def folder(self, document: CellDocument) -> Path:
        """As any other set's."""
        return super().folder(document.model_copy(update={"shared": False}))


def judge(
    records: Sequence[Record], wanted: Sequence[Record], plan: Plan, refused: Mapping[str, str]
) -> tuple[list[Finding], float]:
    """Hold what a plan made again against the records, a finding for each set under a protocol with a student network.

    Args:
        records: All that are known: others of a row say how much its accuracies spread.
        wanted: The evaluations to judge.
        plan: From :func:`ddbench.plan.remake.plan_again`, done.
        refused: Why others of them are not in it, by key.

    Returns:
        The findings, and the probability with which each interval holds: 95 % for those together that decide.
    """
    sets = {record.key: record for record in records if record.kind == "condense"}
    cases = cases_of(records, wanted)
    first = [_judged(case, sets, plan, refused, LEVEL) for case in cases]
    deciding = sum(finding.verdict in ("inside", "outside") for finding in first)
    level = 1 - (1 - LEVEL) / max(1, deciding)
    return [_judged(case, sets, plan, refused, level) for case in cases], level


def _judged(case: Case, sets: Mapping[str, Record], plan: Plan, refused: Mapping[str, str], level: float) -> Finding:
    """The finding of a case; its interval holds with probability ``level``."""

    def interval(*, same: bool) -> Interval:
        # Of other bits, the set is another draw of its row, and the mean over its students one draw of such means.
        row, fresh = (case.row, len(case.records)) if same else ([[fmean(group)] for group in case.row], 1)
        return prediction_interval(row, n_test=case.records[0].n_test or 1, fresh=fresh, level=level)

    if (why := next((refused[one.key] for one in case.records if one.key in refused), None)) is not None:
        return Finding(case, None, interval(same=True), "not made", why)
    found = []
    for record in case.records:
        node = plan.nodes[record.key]
        if node.record is None or node.record.status != "ok":
            status, reason = cause(plan, node) or ("failed", node.reason or "not run")
            return Finding(case, None, interval(same=True), "failed", said(status, reason))
        found.append((record, node.record))
    same = all(old.set_sha256 == new.set_sha256 for old, new in found)
    mean, changed = fmean(new.metrics["top1"] for _, new in found), sum(_changed(old, new) for old, new in found)
    if same and not changed and mean == case.recorded:
        return Finding(case, mean, interval(same=True), "same", same_set=True)
    made = plan.nodes[case.records[0].evaluation.eval.set].record
    pairs = [*found, (sets[made.key], made)] if made is not None and made.key in sets else found
    within = interval(same=same)
    total = sum(old.n_test or 0 for old, _ in found)
    why = f"{changed} of {total} test images come out otherwise; {_otherwise(pairs)}"
    return Finding(case, mean, within, "inside" if within.contains(mean) else "outside", why, same)


def _changed(old: Record, new: Record) -> int:
    """Test images that one of two students is right about and the other not; as far as older records tell."""
    n, correct = old.n_test or 0, [record.metrics.get("correct") for record in (old, new)]
    if None in correct or new.n_test != n:
        points: float = abs(old.metrics["top1"] - new.metrics["top1"])
        return round(points * n / 100)
    first, second = (unpack(str(text), n) for text in correct)
    return int(np.count_nonzero(first != second))


def _otherwise(pairs: Iterable[tuple[Record, Record]]) -> str:
    """What was recorded with and is not here, where that changes how sums are rounded."""
    known = [name for name in SAME_TO_THE_BIT if any(old.env.get(name) != new.env.get(name) for old, new in pairs)]
    if not known:
        return "of versions and machines, records tell no difference"
    return rounded_otherwise(known)
