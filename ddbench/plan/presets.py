"""Presets: (dataset, size of its images, budget, profile) → overrides of a method's defaults, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, PositiveInt, TypeAdapter, ValidationError

from ddbench.core.api import MethodInfo
from ddbench.core.asked import Asked
from ddbench.core.errors import PluginError, first_problem
from ddbench.core.specs import Budget, Frozen

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's own in C where it was built with it: all presets take 20 ms instead of 0.2 s."""


class Condition(Asked):
    """Where a preset applies; a field that is not given applies everywhere.

    Attributes:
        dataset: Its name, without a view.
        size: Height = width of the images under the view [pixels]; presets of a data set's own size name none.
        ipc: Budget.
        fraction: Budget.
        profile: Name of the profile.
    """

    dataset: str | None = None
    size: PositiveInt | None = None
    ipc: int | None = None
    fraction: float | None = None
    profile: str | None = None


class Preset(Frozen):
    """One entry of a ``presets.yaml``; ``preprocess``: that of its source, if it differs from the default."""

    where: Condition = Field(default=Condition(), alias="for")
    params: dict[str, Any]
    source: str
    preprocess: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The overrides a cell gets.

    Attributes:
        params: Overrides of the defaults.
        source: Where they come from, "" when there is no preset.
        note: Said in the plan when the preset is another budget's, else "".
        preprocess: The space that the source used; None when it does not say.
        resized: Said in the plan when the preset is for the data set's own size and the view pools pixels, else "".
        budget: The one that the preset is for; the cell's own where it is for every one, or where there is no preset.
    """

    params: Mapping[str, Any]
    source: str = ""
    note: str = ""
    preprocess: str | None = None
    resized: str = ""
    budget: Budget | None = None

    def notes(self, method: str, preprocess: str) -> tuple[str, ...]:
        """What the plan says about a cell of ``method`` in the space ``preprocess``."""
        other = self.preprocess not in (None, preprocess)
        space = f"{method}: its preset is for {self.preprocess}, this run is in {preprocess} (`--preprocess`)"
        return tuple(filter(None, (self.note, self.resized, space if other else "")))


@cache
def presets(info: MethodInfo) -> tuple[Preset, ...]:
    """A method's presets.

    Raises:
        PluginError: If the file is missing or malformed.
    """
    if info.presets is None:
        return ()
    package = info.target.partition(":")[0].rpartition(".")[0]
    if not package:
        raise PluginError(
            f"method {info.name!r}: a one-file plugin has no package to hold {info.presets}: start one with "
            "`ddbench plugin new`, or leave presets out"
        )
    try:
        text = (files(package) / info.presets).read_text(encoding="utf-8")
        return tuple(TypeAdapter(list[Preset]).validate_python(yaml.load(text, Loader=_Loader)))
    except ValidationError as error:
        raise PluginError(f"method {info.name!r}: {info.presets}: {first_problem(error)}") from None
    except (OSError, ModuleNotFoundError, yaml.YAMLError) as error:
        raise PluginError(f"method {info.name!r}: {info.presets}: {' '.join(str(error).split())}") from None


class Fit(IntEnum):
    """How well the size that a preset is for suits a budget."""

    NO = 0
    """Not for this budget: it is larger, or of another kind."""
    ALIKE = 1
    """Of another kind, and the budget comes to as many images, or more."""
    ANY = 2
    """For every budget."""
    SMALLER = 3
    """Of the budget's kind, as large or smaller."""


def choose(
    info: MethodInfo, dataset: str, budget: Budget, profile: str, *, per_class: int | None = None,
    share: float | None = None, size: int | None = None, pool: int = 1,
) -> Chosen:  # fmt: skip
    """The most specific preset that fits: this data set before any, then this size, this profile, this budget.

    Where a data set has presets for other budgets only, the nearest smaller budget's is taken, and the note says so; so
    it does where there are presets and none that fits. What is for larger budgets alone fits none. Of equally specific
    presets the first is taken.

    Args:
        info: The method.
        dataset: Name of the data set.
        budget: The budget.
        profile: Name of the profile.
        per_class: Images per class that a fraction comes to: its size where presets know ipcs alone.
        share: Of the training images of a class that an ipc comes to: its size where presets know fractions alone.
        size: Height = width of the images under the view [pixels]; None: the data set's own.
        pool: k, where a pixel is the mean of k × k of the data set's own.
    """
    found: tuple[tuple[bool, bool, bool, Fit, float], Preset] | None = None
    for preset in presets(info):
        where = preset.where
        if where.dataset in (None, dataset) and where.size in (None, size) and where.profile in (None, profile):
            known = where.dataset is not None, where.size is not None, where.profile is not None
            specificity = *known, *_fit(where, budget, per_class, share)
            if specificity[-2] is not Fit.NO and (found is None or specificity > found[0]):
                found = specificity, preset
    if found is None:
        missing = f"{info.name}: no preset of profile {profile} for {dataset}, {budget.label}: defaults"
        return Chosen({}, note=missing if presets(info) else "", budget=budget)
    (*_, fit, amount), preset = found
    own = budget
    if fit is not Fit.ANY:
        in_ipc = (budget.ipc is not None) == (fit is Fit.SMALLER)
        own = Budget(ipc=int(amount)) if in_ipc else Budget(fraction=amount)
    note = "" if own == budget else f"{info.name}: no preset for {budget.label}, using that of {own.label}"
    resized = ""
    if pool > 1 and size is not None and preset.where.dataset is not None and preset.where.size is None:
        of, here = (f"{side} × {side}" for side in (size * pool, size))
        resized = f"{info.name}: its preset is for {dataset} of {of} pixels, this view has {here}"
    return Chosen(preset.params, preset.source, note, preset.preprocess, resized, own)


def _fit(where: Condition, budget: Budget, per_class: int | None, share: float | None) -> tuple[Fit, float]:
    """How well a preset's size suits, and that size where it decides between presets."""
    own, wanted = (where.ipc, budget.ipc) if budget.ipc is not None else (where.fraction, budget.fraction)
    assert wanted is not None
    if own is not None:
        return (Fit.SMALLER, own) if own <= wanted else (Fit.NO, 0)
    if where.ipc is None and where.fraction is None:
        return Fit.ANY, 0
    other, size = (where.ipc, per_class) if where.ipc is not None else (where.fraction, share)
    return (Fit.ALIKE, other) if other is not None and size is not None and other <= size else (Fit.NO, 0)
