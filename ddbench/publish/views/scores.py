"""The view ``scores``: what is derived from accuracies, a row per cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ddbench.publish.views.columns import COUNT, Column, Style, column, decimals, label_of
from ddbench.publish.views.view import View, caution
from ddbench.results.scores.scores import Score, scores_of
from ddbench.results.tables.conditions import place
from ddbench.results.tables.figures import NONE
from ddbench.results.tables.tables import Table

_derived = partial(column, optional=True)
_ONE, _POINTS, _INDEX = decimals(1), decimals(1, sign=True), decimals(3)
_QUARTERS = Style(lambda quarters: " / ".join(map(_ONE.text, quarters)), lambda quarters: _ONE.shown(quarters[0]))


def _worst(score: Score) -> str:
    return NONE if score.worst_class is None else f"{_ONE.text(score.worst_class)} (class {score.worst_class_index})"


SCORES: tuple[Column[Score], ...] = (
    column("row", text=label_of), column("source"), column("budget"), column("n", COUNT), column("accuracy", _ONE),
    _derived("recovery", decimals(2), "recovery",
             note="share of the gap closed, (accuracy − random) / (full − random): 0 is random, 1 is full"),
    column("unrecovered"),
    _derived("ior", _POINTS, "IOR", note="improvement over random, in points"),
    _derived("hlr", _POINTS, "HLR",
             note="hard-label recovery, full − accuracy under hard labels, in points: lower is better"),
    _derived("lrs", _INDEX, "LRS",
             note="label-robust score, (e^α − e⁻¹)/(e − e⁻¹) with α = ½·IOR under the set's own recipe − ½·HLR as "
                  "fractions of 1: 0.269 at α = 0, higher is better"),
    _derived("ars", _INDEX, "ARS",
             note="augmentation-robust score, the same of ½·IOR with augmentation + ½·IOR without"),
    _derived("over_bytes", _POINTS, "− random@bytes",
             note="accuracy minus that of as many real images as the set's bytes buy, in points"),
    _derived("worst_class", _ONE, "worst class", text=_worst,
             note="lowest of the classes' mean accuracies [%], and which class (from 0)"),
    column("worst_class_index"),
    _derived("quartiles", _QUARTERS, "quartiles",
             note="accuracy on each quarter of the test images, easiest first [%]"),
    column("unquartered"),
)  # fmt: skip
"""Derived scores, each with its meaning."""


def scores_view(table: Table, tables: Sequence[Table]) -> View:
    """The scores of a table; LRS and ARS need those under other protocols, among all ``tables``."""
    scores = scores_of(table, tables)
    caption = f"derived scores · {place(table)} · means over repetitions, differences over those that both have"
    notes: list[str] = []
    view = View("scores", caption, notes, SCORES, scores, {"where": place(table)})
    notes += [f"{column.header}: {column.note}" for column in view.shown if column.note]
    reasons = _reasons(scores, lambda score: score.unrecovered)
    if len(reasons) == 1 and not any(score.recovery is not None for score in scores):
        notes.append(f"no recovery: {next(iter(reasons))}")
    else:
        notes += [f"no recovery for {', '.join(where)}: {why}" for why, where in reasons.items()]
    missing = _reasons(scores, lambda score: score.unquartered)
    notes += [f"no quartiles for {', '.join(where)}: {why}" for why, where in missing.items()]
    notes += caution(score.n for score in scores)
    return view


def _reasons(scores: Sequence[Score], why_of: Callable[[Score], str]) -> dict[str, list[str]]:
    """Reason → rows that lack something for it."""
    found: dict[str, list[str]] = {}
    for score in scores:
        if why := why_of(score):
            found.setdefault(why, []).append(f"{label_of(score)} at {score.budget}")
    return found
