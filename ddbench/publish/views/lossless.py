"""The view ``lossless``: which sets do as well as all the data, a row per ranked cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from ddbench.publish.views.columns import COUNT, Column, Style, column, decimals
from ddbench.publish.views.view import View, caution, empty_view
from ddbench.results.scores.lossless import NEEDED, Claim, best_suited, claims_of
from ddbench.results.scores.scores import siblings
from ddbench.results.tables.conditions import place
from ddbench.results.tables.tables import Table

CAPTION = "lossless?"
MEANING = (
    "lossless: the lower end of the 95 % interval of accuracy − best full lies above −margin, margin = min(0.5 points, "
    "10 % of full's error); best full: the better of {both}; the interval is a bootstrap over repetitions "
    "and test images, 6 repetitions or more; otherwise not shown, which is not the opposite"
)
_POINTS = decimals(2, sign=True)
_INTERVAL = Style(lambda ends: f"[{', '.join(map(_POINTS.text, ends))}]", lambda ends: None)


def _of_interval(value: Callable[[Any], Any]) -> Callable[[Claim], Any]:
    return lambda claim: None if (found := claim.verdict.interval) is None else value(found)


LOSSLESS: tuple[Column[Claim], ...] = (
    column("row"), column("budget"), column("accuracy", decimals(1)), column("n", COUNT),
    column("difference", _POINTS, "minus best full", value=_of_interval(lambda found: found.estimate)),
    column("interval", _INTERVAL, "95 % interval", value=_of_interval(lambda found: (found.low, found.high))),
    column("margin", decimals(2), "margin", value=attrgetter("verdict.margin")),
    column("verdict", header="verdict", value=lambda claim: asdict(claim.verdict), text=attrgetter("verdict.verdict")),
    column("why", header="why", value=lambda claim: None if claim.verdict.interval else claim.verdict.why),
)  # fmt: skip


def lossless_views(tables: Sequence[Table]) -> list[View]:
    """The verdicts about every table under the protocol of the claim."""
    judged = [table for table in tables if table.standing.full_under is not None]
    if not judged:
        return [empty_view("lossless", CAPTION, f"the claim needs {NEEDED} for full (suite lossless)")]
    return [_view(table, tables, claims_of(table, tables)) for table in judged]


def _view(table: Table, tables: Sequence[Table], claims: Sequence[Claim]) -> View:
    both = f"{table.setting.protocol} and {best_suited(table, siblings(table, tables, 'arch'))}"
    best = next((claim.verdict.best_full for claim in claims if claim.verdict.best_full is not None), None)
    notes = [
        MEANING.format(both=both),
        *([f"best full here: under {best}"] if best else []),
        *caution(claim.n for claim in claims),
    ]
    return View("lossless", f"{CAPTION} · {place(table)}", notes, LOSSLESS, claims, {"where": place(table)})
