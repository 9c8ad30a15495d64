"""How far below its published recipe a row was run: parameters that say how much work is done, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from ddbench.core.infos import MethodInfo
from ddbench.core.plugin.loader import active, params_class
from ddbench.core.specs import Budget
from ddbench.plan.presets import choose
from ddbench.results.tables.observations import Observation

PAPER, USUAL = "paper", "cifar10"
"""The profile of published recipes, and the data set whose recipe stands in where nobody published one."""


class Recipe(NamedTuple):
    """The published values of a cell.

    Attributes:
        values: Parameter → value.
        whose: Of which data set and budget these are, where not of the cell's own.
    """

    values: dict[str, Any]
    whose: tuple[str, ...]


def below_published(observations: Sequence[Observation]) -> list[str]:
    """``below the published recipe (cifar10's): 100–200 of 10,000 iterations, 5 of 100 experts``; else nothing.

    Args:
        observations: Of one row.
    """
    first = observations[0]
    info = active().methods.find(first.method)
    if info is None or first.role.kind != "method" or first.kind != "distillation" or first.source != "measured":
        return []
    compared: dict[str, dict[tuple[int, int], None]] = {}
    whose: dict[str, None] = {}
    for budget, params in {o.budget: o.made.cell.params for o in observations if o.made is not None}.items():
        if budget is None or not params:  # a row that was never planned does not know its parameters
            continue
        dataset = next(o.made.cell.data.name for o in observations if o.made is not None)
        recipe = _published(info, dataset, budget)
        for name in params_class(info).effort if recipe is not None else ():
            assert recipe is not None
            ours, theirs = params.get(name), recipe.values[name]
            if isinstance(ours, int) and ours < theirs:
                compared.setdefault(name, {})[ours, theirs] = None
                whose |= dict.fromkeys(recipe.whose)
    if not compared:
        return []
    of = f" ({', '.join(whose)})" if whose else ""
    parts = [
        f"{_range(o for o, _ in pairs)} of {_range(t for _, t in pairs)} {name}" for name, pairs in compared.items()
    ]
    return [f"below the published recipe{of}: {', '.join(parts)}"]


def _published(info: MethodInfo, dataset: str, budget: Budget) -> Recipe | None:
    """The preset of the paper for this data and budget, or for the nearest that it has; else the defaults."""
    chosen, whose = choose(info, dataset, budget, PAPER), []
    if not chosen.source:
        chosen = choose(info, USUAL, budget, PAPER)
        whose.append(f"{USUAL}'s" if chosen.source else "its defaults")
    if chosen.source and chosen.budget not in (None, budget):
        assert chosen.budget is not None
        whose.append(f"at {budget.label} that of {chosen.budget.label}")
    try:
        values = params_class(info).model_validate(dict(chosen.params)).model_dump()
    except ValidationError:  # a plugin whose preset needs more than is known here
        return None
    return Recipe(values, tuple(whose))


def _range(values: Any) -> str:
    """``200``, ``100–200``, ``10,000``."""
    known = sorted(set(values))
    return "–".join(f"{value:,}" for value in dict.fromkeys((known[0], known[-1])))
