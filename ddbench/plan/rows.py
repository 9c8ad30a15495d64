"""The rows of a table: methods with their parameters. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ddbench.core.api import MethodInfo, Params
from ddbench.core.errors import UsageError, parameter_problem
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.profiles import Profile
from ddbench.core.roles import BUYERS, CONTROLS, RANDOM, REFERENCES, Role
from ddbench.core.specs import Budget, DatasetInfo
from ddbench.plan.presets import Chosen, choose
from ddbench.plan.suite import MethodEntry, Suite


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a method and the parameters in which it differs from its preset.

    A control stands beside another row and takes over the parameters that both have (see :mod:`ddbench.plan.controls`).
    The budget of one at equal bytes is what the sets of the rows of its role buy. A row may stand ``at`` one budget
    alone.
    """

    label: str
    method: MethodInfo
    origin: str
    overrides: Mapping[str, Any]
    requested: bool
    role: Role = field(default_factory=Role)
    control_of: Row | None = None
    at: Budget | None = None

    @property
    def names(self) -> frozenset[str]:
        """What a suite's exclusions may call it."""
        return frozenset((self.label, self.method.name, *([BUYERS[self.role.kind]] if self.role.buys else [])))

    @property
    def is_random(self) -> bool:
        """Whether it is the plain ``random`` that others are held against."""
        return self.method.name == RANDOM and self.role.kind == "reference"


def rows_of(suite: Suite, registries: Registries) -> list[Row]:
    """The rows that a suite names, references first.

    Raises:
        UsageError: If a method or a parameter is unknown, or two rows have one label.
    """
    entries = list(suite.methods)
    requested = {entry.name for entry in entries}
    for name in reversed(REFERENCES):
        plain = MethodEntry(name=name)
        if plain in entries:
            entries.remove(plain)
        if name in registries.methods:
            entries.insert(0, plain)
    rows: dict[str, Row] = {}
    for entry in entries:
        info = registries.methods.get(entry.name)
        overrides = {**entry.params, **suite.set.get(entry.name, {})}
        named = f"{entry.name} ({shown(overrides)})" if overrides else entry.name
        label = entry.label or named
        role = _role(info, plain=label == entry.name)
        row = Row(label, info, registries.methods.origin(entry.name).key, overrides, entry.name in requested, role)
        validated(row, overrides, partial=True)
        if label in rows and rows[label] != row:
            raise UsageError(f"two rows are both called {label!r}: give one of them another label")
        rows[label] = row
    return list(rows.values())


def _role(info: MethodInfo, *, plain: bool) -> Role:
    """The role of a row that a suite names; ``plain``: without parameters and without another label."""
    if info.kind == "reference" or (plain and info.name in REFERENCES):
        return Role("reference")
    return Role("control") if info.name in CONTROLS else Role()


def shown(params: Mapping[str, Any]) -> str:
    """Parameters for people: ``iterations=500, lr_img=1.0``."""
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items()))


def validated(row: Row, values: Mapping[str, Any], *, partial: bool = False) -> Params:
    """A row's params.

    Args:
        row: The row.
        values: Overrides of the defaults.
        partial: Whether missing required fields are fine (a preset will give them).

    Raises:
        UsageError: If a parameter is unknown or a value impossible; the message names the nearest parameter.
    """
    cls = params_class(row.method)
    try:
        params: Params = cls.model_validate(dict(values))
        return params
    except ValidationError as error:
        problems = [p for p in error.errors() if not (partial and p["type"] == "missing")]
        if not problems:
            return cls.model_construct(**values)  # type: ignore[no-any-return]
        what = parameter_problem(dict(problems[0]), cls.model_fields)
        raise UsageError(f"{row.label}: {what} (see `ddbench describe {row.method.name}`)") from None


def resolved(
    row: Row, data: DatasetInfo, budget: Budget, profile: Profile, per_class: int | None = None
) -> tuple[Params, Chosen]:
    """The params of a row for some data at one budget, and the preset that they start from; none if the row gives all.

    ``per_class``: images per class that a fraction comes to.

    Raises:
        UsageError: If a preset and the row's own values do not go together.
    """
    if params_class(row.method).model_fields.keys() <= row.overrides.keys():
        return validated(row, row.overrides), Chosen({})
    preset = choose(row.method, data.name, budget, profile.name, per_class=per_class, size=data.size, pool=data.pool)
    shared: dict[str, Any] = {}
    if row.control_of is not None:
        beside = resolved(row.control_of, data, budget, profile, per_class)[0]
        mine, its = params_class(row.method).model_fields, type(beside).model_fields
        shared = {name: getattr(beside, name) for name in mine if name in its}
    return validated(row, {**preset.params, **shared, **row.overrides}), preset
