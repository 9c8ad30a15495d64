"""The rows of a table: methods with their parameters, and the controls that stand beside them. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ddbench.api import MethodInfo, Params
from ddbench.errors import UsageError
from ddbench.plugins import Registries, params_class
from ddbench.presets import choose
from ddbench.profiles import Profile
from ddbench.specs import Budget
from ddbench.suite import MethodEntry, Suite

REFERENCES = ("full", "random")
ZERO_STEPS = " (0 steps)"
STEPS = "iterations"
"""The parameter that every distiller has; at 0 the set is its initialisation."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a method and the parameters in which it differs from its preset.

    A control stands beside another row and takes over the parameters that both have.
    """

    label: str
    method: MethodInfo
    origin: str
    overrides: Mapping[str, Any]
    requested: bool
    control_of: Row | None = None


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
    for method in suite.set:
        if method not in {entry.name for entry in entries} | _control_names(entries, suite, registries):
            registries.methods.get(method)
            raise UsageError(f"--set {method}.…: {method!r} is not among the methods of this run")
    rows: dict[str, Row] = {}
    for entry in entries:
        info = registries.methods.get(entry.name)
        overrides = {**entry.params, **suite.set.get(entry.name, {})}
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(overrides.items()))
        label = entry.label or (f"{entry.name} ({shown})" if shown else entry.name)
        row = Row(label, info, registries.methods.origin(entry.name).key, overrides, entry.name in requested)
        validated(row, overrides, partial=True)
        if label in rows and rows[label] != row:
            raise UsageError(f"two rows are both called {label!r}: give one of them another label")
        rows[label] = row
    return list(rows.values())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


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
        first = problems[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = get_close_matches(name, cls.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(cls.model_fields) or 'none'}"
            what = f"unknown parameter {name!r}; {hint}"
        else:
            what = f"parameter {name}: {first['msg']}, got {first.get('input')!r}"
        raise UsageError(f"{row.label}: {what} (see `ddbench describe {row.method.name}`)") from None


def _control_names(entries: Iterable[MethodEntry], suite: Suite, registries: Registries) -> set[str]:
    """The methods that ``--controls`` adds."""
    if not suite.controls:
        return set()
    return {name for entry in entries for name in registries.methods.get(entry.name).controls}


def with_controls(
    rows: Sequence[Row],
    suite: Suite,
    registries: Registries,
    profile: Profile,
    places: Sequence[tuple[str, Budget]],
) -> list[Row]:
    """The rows with their controls: after each distiller its initialisation, after ``random`` the named controls.

    Controls of several rows that come to the same parameters are one row.

    Args:
        rows: The rows of the suite.
        suite: For ``--set`` on controls.
        registries: Loaded plugins.
        profile: The profile.
        places: Data sets × budgets of the run, which decide what parameters come to.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for name in row.method.controls:
            info, origin = registries.methods.get(name), registries.methods.origin(name).key
            control = Row(name, info, origin, suite.set.get(name, {}), requested=False, control_of=row)
            values = [resolved(control, *place, profile)[0].model_dump_json() for place in places]
            groups.setdefault((name, json.dumps(values)), []).append(control)
    taken = {row.label for row in rows}
    named = []
    for (name, _), members in groups.items():
        alone = name not in taken and sum(other == name for other, _ in groups) == 1
        of = ", ".join(member.control_of.label for member in members if member.control_of is not None)
        named.append(members[0] if alone else replace(members[0], label=f"{name} (for {of})"))
    references = [row for row in rows if row.label in REFERENCES]
    found = [*references, *named]
    for row in rows:
        if row not in references:
            found += [row, *_zero_steps(row)]
    labels = [row.label for row in found]
    twice = next((label for i, label in enumerate(labels) if label in labels[:i]), None)
    if twice is not None:
        raise UsageError(f"two rows are both called {twice!r}, one of them a control: give the other another label")
    return found


def _zero_steps(row: Row) -> list[Row]:
    """What a distiller starts from, as a row of its own; none for distillers that cannot stop before the first step."""
    known = params_class(row.method).model_fields
    if row.method.kind != "distillation" or STEPS not in known or row.overrides.get(STEPS) == 0:
        return []
    zero = replace(row, label=row.label + ZERO_STEPS, overrides={**row.overrides, STEPS: 0}, requested=False)
    try:
        validated(zero, zero.overrides, partial=True)
    except UsageError:
        return []
    return [zero]


def resolved(
    row: Row, dataset: str, budget: Budget, profile: Profile, per_class: int | None = None
) -> tuple[Params, str]:
    """The params of a row at one budget, and where they come from, when that needs saying.

    ``per_class``: images per class that a fraction comes to.

    Raises:
        UsageError: If a preset and the row's own values do not go together.
    """
    preset = choose(row.method, dataset, budget, profile.name, per_class=per_class)
    shared: dict[str, Any] = {}
    if row.control_of is not None:
        beside = resolved(row.control_of, dataset, budget, profile, per_class)[0]
        mine, its = params_class(row.method).model_fields, type(beside).model_fields
        shared = {name: getattr(beside, name) for name in mine if name in its}
    return validated(row, {**preset.params, **shared, **row.overrides}), preset.note
