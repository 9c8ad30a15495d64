"""Claims that were fixed beforehand: read from a file, and shown with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from operator import attrgetter
from pathlib import Path
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.core.specs import Frozen
from ddbench.core.words import plural
from ddbench.core.yaml import read_yaml
from ddbench.plan.mistakes import checked
from ddbench.publish.text.csv_json import view_csv, views_json
from ddbench.publish.text.latex import to_latex
from ddbench.publish.text.render import markdown
from ddbench.publish.text.terminal import Screen, terminal
from ddbench.publish.views.columns import COUNT, INTERVAL, P_VALUE, Column, column, decimals
from ddbench.publish.views.view import View
from ddbench.results.scores.claims_file import ClaimsFile, Contrast, FixedClaim, Term, Where
from ddbench.results.scores.fixed_claims import FACTOR, Finding, Measured, findings
from ddbench.results.stats import MARGIN, smallest_n
from ddbench.results.tables.conditions import place
from ddbench.results.tables.figures import NONE
from ddbench.results.tables.tables import Table

CAPTIONS = {True: "claims fixed beforehand", False: "questions that were asked after the results were seen"}
MEANING = (
    "holds: every contrast of the claim is above 0, by one-sided t-tests over repetitions, of which the largest p "
    "counts, adjusted for {claims} (Holm), with n ≥ {n}; refuted: some contrast is below 0, by a two-sided test "
    "adjusted for the contrasts of its claim (Bonferroni) and for the claims (Holm), whose p stands beside it; not "
    "shown is neither, and not the opposite"
)
CONTRASTS = (
    "contrast: in each repetition the mean over the rows and budgets before the minus sign, less that over the rows "
    "behind it, in points, with its plain 95 % interval; p: one-sided, not adjusted; power: the chance that a true "
    "contrast of {margin:g} points is found above 0 at the measured spread and at 0.05/{m}"
)
RATIOS = (
    "of CPU seconds and of peak memory: what one set took, as ratios ×, means of their logarithms; a ratio of 1 is the "
    "0 of other contrasts, and power is for a true one of {factor:g}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A contrast of a claim.

    Attributes:
        finding: What became of the claim.
        contrast: The contrast.
        measured: What was measured of it.
        first: Whether it is the first of its claim: there stands what is said of the claim.
    """

    finding: Finding
    contrast: Contrast
    measured: Measured | None
    first: bool


def read_claims(path: Path) -> ClaimsFile:
    """The claims in a file.

    Raises:
        UsageError: If it cannot be read or says something else.
    """
    content = read_yaml(path, "claims")
    if not isinstance(content, dict):
        raise UsageError(f"claims {path}: write `claims:` and below it a list of claims, each with name and holds_if")
    return checked(ClaimsFile, content, f"claims {path}", LEVELS)


LEVELS: dict[str, type[Frozen]] = {
    "claims": FixedClaim, "where": Where, "holds_if": Contrast, "plus": Term, "minus": Term,
}  # fmt: skip


def _of_first(value: Callable[[Finding], Any], written: Callable[[Any], str]) -> dict[str, Any]:
    """A value of the claim, which people read once."""

    def text(line: Line) -> str:
        found = value(line.finding)
        return written(found) if line.first and found is not None else ""

    return {"value": lambda line: value(line.finding), "text": text}


def _part(name: str) -> Callable[[Line], Any]:
    return lambda line: None if line.measured is None else getattr(line.measured, name)


def _judged(name: str) -> Callable[[Finding], Any]:
    return lambda finding: None if finding.judged is None else getattr(finding.judged, name)


def _verdict_text(line: Line) -> str:
    """What people read once: the verdict, of a refuted claim with the p of its opposite."""
    found = line.finding
    if not line.first:
        return ""
    if found.judged is None or found.judged.outcome != "refuted" or found.judged.p_opposite is None:
        return found.verdict
    return f"{found.verdict} (p {P_VALUE.text(found.judged.p_opposite)})"


_POINTS = decimals(2, sign=True)


def _sized(line: Line, value: float) -> str:
    """Points, or the ratio whose logarithm it is."""
    return _POINTS.text(value) if line.contrast.measure == "accuracy" else f"×{exp(value):.3g}"


def _difference_text(line: Line) -> str:
    return NONE if line.measured is None else _sized(line, line.measured.difference)


def _interval_text(line: Line) -> str:
    found = None if line.measured is None else line.measured.interval
    return NONE if found is None else f"[{', '.join(_sized(line, end) for end in found)}]"


def _side(name: str) -> Callable[[Line], list[str]]:
    """A side of a contrast: labels where they are all, else its terms in words."""

    def parts(line: Line) -> list[str]:
        terms = getattr(line.contrast, name)
        plain = all(term.budgets is None and not term.where.given for term in terms)
        return [label for term in terms for label in term.rows] if plain else [term.text(None) for term in terms]

    return parts


LINES: tuple[Column[Line], ...] = (
    column("claim", header="claim", **_of_first(attrgetter("claim.name"), str)),
    *(column(name, value=_side(name)) for name in ("plus", "minus")),
    *(column(name, value=attrgetter(f"contrast.{name}")) for name in ("budgets", "measure")),
    column("contrast", header="contrast", value=attrgetter("contrast.text")),
    column("n", COUNT, value=_part("n")),
    column("difference", _POINTS, "difference", value=_part("difference"), text=_difference_text),
    column("interval", INTERVAL, "95 % interval", value=_part("interval"), text=_interval_text),
    column("p", P_VALUE, "p", value=_part("p")),
    column("power", decimals(2), "power", value=_part("power")),
    column("p_holm", P_VALUE, "p (Holm)", **_of_first(_judged("p"), P_VALUE.text)),
    column("p_opposite", value=lambda line: _judged("p_opposite")(line.finding)),
    column("n_needed", value=attrgetter("finding.needed")),
    column("outcome", value=lambda line: _judged("outcome")(line.finding)),
    column("verdict", header="verdict", value=attrgetter("finding.verdict"), text=_verdict_text),
)  # fmt: skip


def claims_view(path: Path, tables: Sequence[Table]) -> View:
    """What became of the claims of a file, a line for each contrast.

    Args:
        path: The file.
        tables: The tables of all records that may speak of them.

    Raises:
        UsageError: If the file is malformed, or a claim fits several tables.
    """
    try:
        found = findings(file := read_claims(path), tables)
    except UsageError as error:
        raise error if str(path) in str(error) else UsageError(f"claims {path}: {error}") from None
    used = [table for one in found for table in one.tables]
    places = list(dict.fromkeys(map(place, used)))
    notes = [
        MEANING.format(claims=plural(len(found), "claim"), n=smallest_n(len(found))),
        CONTRASTS.format(margin=MARGIN, m=len(found)),
    ]
    if any(contrast.measure != "accuracy" for one in found for contrast in one.claim.holds_if):
        notes.append(RATIOS.format(factor=FACTOR))
    if len(places) > 1:
        names = [(place(table), one.claim.name) for one in found for table in one.tables]
        notes += [f"{where}: {', '.join(name for at, name in names if at == where)}" for where in places]
    notes += dict.fromkeys(line for table in used for line in table.outdated)
    caption = CAPTIONS[file.beforehand] + (f" · {places[0]}" if len(places) == 1 else "")
    lines = [
        Line(one, contrast, measured, first=i == 0)
        for one in found
        for i, (contrast, measured) in enumerate(zip(one.claim.holds_if, one.measured, strict=True))
    ]
    where = {one.claim.name: "; ".join(map(place, one.tables)) or None for one in found}
    return View("claims", caption, notes, LINES, lines, {"where": where})


FORMATS: dict[str, Callable[[View, Screen], str]] = {
    "table": lambda view, screen: terminal([view], screen),
    "markdown": lambda view, _: markdown([view]),
    "latex": lambda view, _: to_latex([view]),
    "csv": lambda view, _: view_csv(view),
    "json": lambda view, _: views_json([view]),
}
