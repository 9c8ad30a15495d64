"""What parameters say of a row: how far below its published recipe it was run, and which predictor it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, NamedTuple

from ddbench.core.errors import PluginError
from ddbench.core.infos import MethodInfo
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import active, params_class
from ddbench.core.records import is_number
from ddbench.core.specs import Budget, CellSpec
from ddbench.plan.presets import choose
from ddbench.results.tables.observations import Observation

PAPER, USUAL = "paper", "cifar10"
"""The profile of published recipes, and the data set whose recipe stands in where nobody published one."""

OWN = "its defaults"
"""Whose recipe it is where a plugin has no preset that names a source."""


class Recipe(NamedTuple):
    """The published values of a cell.

    Attributes:
        values: Parameter that says how much work is done → value, where that is a number.
        whose: Of which data set and budget these are, where not of the cell's own.
    """

    values: dict[str, float]
    whose: tuple[str, ...]


def below_published(observations: Sequence[Observation]) -> list[str]:
    """``below the published recipe (cifar10's): 100–200 of 10,000 iterations, 5 of 100 experts``; else nothing.

    ``below its defaults: …`` where there is no paper and no preset that names a source.

    Args:
        observations: Of one row.
    """
    first = observations[0]
    info = active().methods.find(first.method)
    if info is None or first.role.kind != "method" or first.kind != "distillation" or first.source != "measured":
        return []
    compared: dict[str, dict[tuple[float, float], None]] = {}
    whose: dict[str, None] = {}
    of_budget = {o.budget: o.made.cell.params for o in observations if o.made is not None and o.budget is not None}
    for budget in sorted(of_budget, key=attrgetter("place")):
        params = of_budget[budget]
        if not params:  # a row that was never planned does not know its parameters
            continue
        dataset = next(o.made.cell.data.name for o in observations if o.made is not None)
        recipe = _published(info, dataset, budget)
        if recipe is None:
            continue
        for name, theirs in recipe.values.items():
            ours = params.get(name)
            if is_number(ours) and ours < theirs:
                compared.setdefault(name, {})[ours, theirs] = None
                whose |= dict.fromkeys(recipe.whose)
    if not compared:
        return []
    of = f" ({', '.join(whose)})" if whose else ""
    parts = [
        f"{_range(o for o, _ in pairs)} of {_range(t for _, t in pairs)} {name}" for name, pairs in compared.items()
    ]
    measure = OWN if info.paper is None and list(whose) == [OWN] else f"the published recipe{of}"
    return [f"below {measure}: {', '.join(parts)}"]


def made_for(observations: Sequence[Observation]) -> list[str]:
    """``made for ntk-fc1``, if that is another predictor than the table's; else nothing.

    Args:
        observations: Of one row of a table in which no network is trained.
    """
    found: dict[str, None] = {}
    for cell in [o.made.cell for o in observations if o.made is not None]:
        with suppress(PluginError):  # a broken plugin: as in _published
            found[_made_for(cell)] = None
    others = [name for name in found if name and name != observations[0].setting.eval_arch]
    return [f"made for {', '.join(others)}"] if others else []


def _made_for(cell: CellSpec) -> str:
    info = active().methods.find(cell.method)
    if info is None:
        return ""
    cls = params_class(info)
    return asked(f"planning {info.name}", lambda: str(cls.model_validate(cell.params).made_for))


def _published(info: MethodInfo, dataset: str, budget: Budget) -> Recipe | None:
    """The preset of the paper for this data and budget, or for the nearest that it has; else the defaults.

    None where the plugin cannot say: planning tells what is wrong with it, and results stand without it.
    """
    try:
        chosen, whose = choose(info, dataset, budget, PAPER), []
        if not chosen.source:
            chosen = choose(info, USUAL, budget, PAPER)
            whose.append(f"{USUAL}'s" if chosen.source else OWN)
        cls = params_class(info)
        known = asked(f"planning {info.name}", lambda: cls.model_validate(dict(chosen.params)).model_dump())
    except PluginError:  # a broken plugin; one whose preset needs more than is known here
        return None
    if chosen.source and chosen.budget not in (None, budget):
        assert chosen.budget is not None
        whose.append(f"at {budget.label} that of {chosen.budget.label}")
    values = {name: known[name] for name in cls.effort if is_number(known[name])}
    return Recipe(values, tuple(whose))


def _range(values: Any) -> str:
    """``200``, ``100–200``, ``10,000``."""
    known = sorted(set(values))
    return "–".join(f"{value:,}" for value in dict.fromkeys((known[0], known[-1])))
