"""Rows that a protocol has no place for, and what to say of each. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.roles import EQUALS, RANDOM
from ddbench.plan import derived
from ddbench.plan.answers import Answers
from ddbench.plan.rows import Row, shown

NO_RECIPE = (
    "its labels are centred, so no probabilities, and its files say no recipe that learns them (mean squared error):"
    " use a protocol with hard labels"
)
LEARNED = {"soft": "soft labels", "own": "each set's own labels"}
"""What a protocol learns whose labels are not hard."""


def why_left_out(row: Row, protocol: Protocol, rows: Sequence[Row], registries: Registries) -> str | None:
    """Why a row does not stand under a protocol; None where it does.

    A selection without labels of its own has no recipe to follow, and beside sets that teach more than classes it would
    be judged by its labels, not by its images. A set that differs from its start in labels alone equals it where these
    are not learned.

    Args:
        row: The row.
        protocol: The protocol.
        rows: All rows of the run.
        registries: Loaded plugins.
    """
    info, method = protocol.info, row.method
    begins = f"{row.label} is left out under {protocol.id}"
    if method.labels_only:
        return None  # see equal_to
    if method.own_labels:
        if row.initial is None or method.kind != "selection" or info.labels != "hard":
            return None
        return f"{begins}, which learns hard labels: there it equals {row.initial.label}"
    if info.follows_recipe and method.kind != "distillation":
        return f"{begins}: it has no recipe of its own{_instead(row, rows, registries)}"
    if info.labels != "hard" and method.kind == "selection" and row.role.kind == "method":
        return f"{begins}, which learns {LEARNED[info.labels]}: it has hard ones{_instead(row, rows, registries)}"
    return None


def equal_to(row: Row, protocol: Protocol) -> str | None:
    """What a row equals that has labels of its own and nothing else, where a protocol does not learn them; else None.

    Its sets are not trained on again: the text stands in its cells.
    """
    if not row.method.labels_only or protocol.info.labels != "hard":
        return None
    return f"{EQUALS}{RANDOM if row.initial is None else row.initial.label} (labels only)"


def no_probabilities(said: Answers, protocol: Protocol) -> str | None:
    """Why the labels of a method's sets cannot be learned as a protocol does; None where they can, or need not be."""
    if not said.centred:
        return None
    if protocol.info.follows_recipe:
        return None if said.learns_centred else NO_RECIPE
    if protocol.info.labels != "soft":
        return None
    if not said.learns_centred:
        return "its labels are centred, so no probabilities: use a protocol with hard labels"
    return "its labels are centred, so no probabilities: use native, or a protocol with hard labels"


def _instead(row: Row, rows: Sequence[Row], registries: Registries) -> str:
    """In brackets, what a suite would call its images with other labels; nothing where there is no such name."""
    start = row.label
    if row.overrides and start == f"{row.method.name} ({shown(row.overrides)})":
        named = [other for other in rows if other.requested and other.method.name == row.method.name]
        start = row.method.name if len(named) == 1 else ""
    names = derived.relabelled(row.method, start, registries) if start else []
    if not names:
        return ""
    return f" ({', '.join(names)} {'has' if len(names) == 1 else 'have'} its images with experts' labels)"
