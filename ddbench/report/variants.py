"""Rows that share a label but not their parameters: a folder that saw several runs must not average over them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ddbench.keys import canonical

if TYPE_CHECKING:
    from ddbench.report.observations import Observation


def told_apart(observations: list[Observation]) -> list[Observation]:
    """Give each variant of a row its own label, and keep one observation per place.

    Parameters may differ between budgets (presets do); where they differ within one cell, the row is split by the
    parameters that do, e.g. ``dm`` into ``dm [iterations=100]`` and ``dm [iterations=1000]``.
    """
    differing: dict[tuple[Any, ...], dict[str, None]] = {}
    cells: dict[tuple[Any, ...], list[Observation]] = {}
    for observation in observations:
        cells.setdefault((*_row(observation), observation.budget), []).append(observation)
    for members in cells.values():
        differing.setdefault(_row(members[0]), {}).update(dict.fromkeys(_differing(o.recipe for o in members)))
    return _unique(_labelled(o, list(differing[_row(o)])) for o in observations)


def _row(observation: Observation) -> tuple[Any, ...]:
    return observation.setting, observation.row


def _differing(recipes: Iterable[dict[str, Any]]) -> list[str]:
    """Names of the parameters that two recipes both have, with different values."""
    values: dict[str, set[str]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            values.setdefault(name, set()).add(canonical(value))
    return sorted(name for name, seen in values.items() if len(seen) > 1)


def _labelled(observation: Observation, names: list[str]) -> Observation:
    shown = [f"{name}={_shown(observation.recipe[name])}" for name in names if name in observation.recipe]
    return replace(observation, row=f"{observation.row} [{', '.join(shown)}]") if shown else observation


def _shown(value: Any) -> str:
    """As text; of hashes the beginning."""
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{8,}\b", r"\1", text)


def _unique(observations: Iterable[Observation]) -> list[Observation]:
    """One observation per place: rather a measured than a planned one, then the latest."""
    places: dict[tuple[Any, ...], list[Observation]] = {}
    for observation in observations:
        place = (*_row(observation), observation.budget, observation.r, observation.e)
        places.setdefault(place, []).append(observation)
    return [_latest(claims) for claims in places.values()]


def _latest(claims: list[Observation]) -> Observation:
    latest = max(claims, key=lambda o: (bool(o.key), o.finished, o.key))
    if len({o.key for o in claims if o.key}) > 1:
        return replace(latest, warning="made more than once, from different artifacts; the latest result is shown")
    return latest
