"""The view ``lossless``: which sets do as well as all the data, a row per ranked cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from ddbench.core.words import plural
from ddbench.publish.views.columns import COUNT, P_VALUE, Column, column, decimals
from ddbench.publish.views.view import View, empty_view
from ddbench.results.scores.lossless import LEAST_N, NEEDED, Claim, claims, fulls_of
from ddbench.results.stats import MARGIN, Against
from ddbench.results.stats.noninferior import ERROR_SHARE
from ddbench.results.tables.conditions import place
from ddbench.results.tables.figures import NONE
from ddbench.results.tables.tables import Table

CAPTION = "lossless?"
MEANING = (
    "lossless: not worse than full by δ = min({margin:g} points, {share:.0f} % of full's error), against each of: full "
    "under {fulls}; one-sided, over repetitions and test images at once, adjusted for the {claims} of this report "
    "(Holm), {n} repetitions or more; otherwise not shown, which is not the opposite"
)
COLUMNS = (
    "full: the one that decides; lower end: of the one-sided 95 % interval, before the adjustment; power: the chance "
    "of the verdict for a set that equals every full, at the measured spread"
)
_POINTS = decimals(2, sign=True)


def _hardest(value: Callable[[Against], Any]) -> Callable[[Claim], Any]:
    return lambda claim: None if (name := claim.hardest) is None else value(claim.against[name])


def _found(name: str) -> Callable[[Claim], Any]:
    return lambda claim: None if claim.found is None else getattr(claim.found, name)


def _against(claim: Claim) -> dict[str, dict[str, float]] | None:
    """Every full, for programs."""
    return {
        name: {"difference": one.crossed.difference, "lower": one.low, "margin": one.margin, "p": one.p}
        for name, one in claim.against.items()
    } or None


def _against_text(claim: Claim) -> str:
    return ", ".join(f"{_POINTS.text(one.crossed.difference)} to {name}" for name, one in claim.against.items())


def _verdict(claim: Claim) -> str:
    """``lossless (as run)`` where that is said of these runs alone."""
    return f"{claim.verdict or NONE}{' (as run)' if claim.as_run and claim.claimed else ''}"


LOSSLESS: tuple[Column[Claim], ...] = (
    column("row"), column("budget"), column("accuracy", decimals(1)), column("n", COUNT),
    column("full", header="full", value=attrgetter("hardest")),
    column("difference", _POINTS, "minus full", value=_hardest(lambda found: found.crossed.difference)),
    column("lower", _POINTS, "lower end", value=_hardest(lambda found: found.low)),
    column("margin", decimals(2), "δ", value=_hardest(lambda found: found.margin)),
    column("p_holm", P_VALUE, "p (Holm)", value=_found("p")),
    column("power", decimals(2), "power", value=_found("power")),
    column("verdict", header="verdict", text=_verdict),
    column("why", header="why", value=lambda claim: claim.why or None, optional=True),
    column("against", value=_against, text=_against_text),
)  # fmt: skip


def lossless_views(tables: Sequence[Table]) -> list[View]:
    """The verdicts about every table under a protocol that makes the claim."""
    found = claims(tables)
    if not found:
        return [empty_view("lossless", CAPTION, f"the claim needs full under {NEEDED} (suite lossless)")]
    count = plural(sum(claim.claimed for _, members in found for claim in members), "claim")
    return [_view(table, fulls_of(table, tables), members, count) for table, members in found]


def _view(table: Table, fulls: Sequence[str], members: Sequence[Claim], count: str) -> View:
    share, both = 100 * ERROR_SHARE, " and ".join(fulls)
    notes = [MEANING.format(margin=MARGIN, share=share, fulls=both, claims=count, n=LEAST_N), COLUMNS]
    if any(claim.beside for claim in members):
        notes.append("claims are about methods: real images and controls are shown beside them, without a verdict")
    if table.follows_recipe and not any(row.role.kind == "control" for row in table.rows):
        notes.append("no control with labels of its own stands beside them: --controls adds random_soft")
    known = {mark for row in table.rows if row.competes for mark in row.marks}
    notes += [table.footnotes[mark - 1] for mark in sorted(known)]
    return View("lossless", f"{CAPTION} · {place(table)}", notes, LOSSLESS, members, {"where": place(table)})
