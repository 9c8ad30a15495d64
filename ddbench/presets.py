"""Presets: (dataset, budget, profile) → overrides of a method's defaults, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from ddbench.api import MethodInfo
from ddbench.errors import PluginError
from ddbench.specs import Budget, Frozen


class Condition(Frozen):
    """Where a preset applies; a field that is not given applies everywhere."""

    dataset: str | None = None
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
    """

    params: Mapping[str, Any]
    source: str = ""
    note: str = ""
    preprocess: str | None = None

    def notes(self, method: str, preprocess: str) -> tuple[str, ...]:
        """What the plan says about a cell of ``method`` in the space ``preprocess``."""
        other = self.preprocess not in (None, preprocess)
        space = f"{method}: its preset is for {self.preprocess}, this run is in {preprocess} (`--preprocess`)"
        return tuple(filter(None, (self.note, space if other else "")))


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
        return tuple(TypeAdapter(list[Preset]).validate_python(yaml.safe_load(text)))
    except (OSError, ModuleNotFoundError, yaml.YAMLError, ValidationError) as error:
        raise PluginError(f"method {info.name!r}: {info.presets}: {' '.join(str(error).split())}") from None


def choose(info: MethodInfo, dataset: str, budget: Budget, profile: str, *, per_class: int | None = None) -> Chosen:
    """The most specific preset: this data set before any, this profile before any, this budget before any.

    Where a data set has presets for other budgets only, the nearest smaller budget's is taken, and the note says so; so
    it does where there are presets and none that fits.

    Args:
        info: The method.
        dataset: Name of the data set.
        budget: The budget.
        profile: Name of the profile.
        per_class: Images per class that a fraction comes to: its size where presets know ipcs alone.
    """
    defaults = Chosen({}, note=f"{info.name}: no preset of profile {profile} for {dataset}, {budget.label}: defaults")
    fitting = [
        preset
        for preset in presets(info)
        if preset.where.dataset in (None, dataset) and preset.where.profile in (None, profile)
    ]
    if not fitting:
        return defaults if presets(info) else Chosen({})

    def specific(preset: Preset) -> tuple[bool, bool]:
        return (preset.where.dataset is not None, preset.where.profile is not None)

    best = max(specific(preset) for preset in fitting)
    group = [preset for preset in fitting if specific(preset) == best]
    size = budget.ipc if budget.ipc is not None else budget.fraction
    assert size is not None

    ipc, sizes = budget.ipc is not None, [preset.where.fraction for preset in group]
    general = [preset for preset in group if preset.where.ipc is None and preset.where.fraction is None]
    if not (ipc or general or any(sizes)) and per_class is not None:
        ipc, size = True, per_class
    if ipc:
        sizes = [preset.where.ipc for preset in group]
    sized = sorted((value, i) for i, value in enumerate(sizes) if value is not None and value <= size)
    if sized:
        value, i = sized[-1]
        other = Budget(ipc=int(value)) if ipc else Budget(fraction=value)
        note = "" if other == budget else f"{info.name}: no preset for {budget.label}, using that of {other.label}"
        return _chosen(group[i], note)
    return _chosen(general[0]) if general else defaults


def _chosen(preset: Preset, note: str = "") -> Chosen:
    return Chosen(preset.params, preset.source, note, preset.preprocess)
