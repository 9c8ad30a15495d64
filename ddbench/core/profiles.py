"""Profiles: named sets of overrides (how long students train, how many seeds); only resolved values enter keys."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files

import yaml
from pydantic import PositiveInt

from ddbench.core.errors import unknown
from ddbench.core.names import meant
from ddbench.core.specs import Frozen

DEFAULT = "short"


class Profile(Frozen):
    """What a profile sets.

    Attributes:
        name: ``paper``, ``short`` or ``smoke``.
        condense_seeds: Repetitions of condensation.
        eval_seeds: Students per repetition.
        updates_min: Lower bound of a student's updates.
        updates_max: Upper bound of a student's updates.
        lr_grid: Learning rates tried on val.
    """

    name: str
    condense_seeds: PositiveInt
    eval_seeds: PositiveInt
    updates_min: PositiveInt
    updates_max: PositiveInt
    lr_grid: tuple[float, ...]

    @property
    def tabulated(self) -> bool:
        """Whether its results may stand in a leaderboard (1000 updates or more)."""
        return self.updates_min >= 1000

    def updates(self, n: int, *, capped: bool = True) -> int:
        """U, the number of updates of a student on a budget of ``n`` images."""
        wanted = max(self.updates_min, 1000 * math.ceil(n / 256))
        return min(self.updates_max, wanted) if capped or not self.tabulated else wanted


@cache
def profiles() -> dict[str, Profile]:
    """All profiles by name."""
    text = (files("ddbench.core") / "profiles.yaml").read_text(encoding="utf-8")
    return {name: Profile(name=name, **values) for name, values in yaml.safe_load(text).items()}


def profile(name: str) -> Profile:
    """The profile that ``name`` means, in any case.

    Raises:
        UsageError: If there is none.
    """
    found = meant(name, dict.fromkeys(profiles(), ()))
    if not found:
        raise unknown("profile", name, profiles(), "ddbench run --help")
    return profiles()[found[0]]


def for_tests_only(name: str | None) -> bool:
    """Whether a profile is too short for its results to mean anything."""
    known = profiles().get(name or "")
    return known is not None and not known.tabulated
