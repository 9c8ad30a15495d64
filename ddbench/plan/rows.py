"""The rows of a table: methods with their parameters. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from ddbench.core.api import MethodInfo, Params
from ddbench.core.asked import mistaken
from ddbench.core.errors import PluginError, UsageError, parameter_problem, shown_value
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.profiles import Profile
from ddbench.core.roles import BUYERS, CONTROLS, RANDOM, REFERENCES, Role, name_from, name_in
from ddbench.core.specs import Budget, DatasetInfo
from ddbench.plan import derived
from ddbench.plan.presets import Chosen, choose
from ddbench.plan.suite import MethodEntry, Suite

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a method and the parameters in which it differs from its preset.

    A control stands beside another row and takes over the parameters that both have (see :mod:`ddbench.plan.controls`).
    The budget of one at equal bytes is what the sets of the rows of its role buy. A row may stand ``at`` one budget
    alone. Its sets may start from those of the row ``initial``; ``name`` is then what the suite calls it
    (:mod:`ddbench.plan.derived`).
    """

    label: str
    method: MethodInfo
    origin: str
    overrides: Mapping[str, Any]
    requested: bool
    role: Role = field(default_factory=Role)
    control_of: Row | None = None
    at: Budget | None = None
    initial: Row | None = None
    name: str = ""

    @property
    def names(self) -> frozenset[str]:
        """What a suite's exclusions may call it."""
        buyer = [BUYERS[self.role.kind]] if self.role.buys else []
        return frozenset((self.label, self.name or self.method.name, *buyer))

    @property
    def settings(self) -> frozenset[str]:
        """What ``--set`` may call it, and what it starts from."""
        start = frozenset[str]() if self.initial is None else self.initial.settings
        return start | {self.method.name, self.name or self.method.name}

    @property
    def is_random(self) -> bool:
        """Whether it is the plain ``random`` that others are held against."""
        return self.method.name == RANDOM and self.role.kind == "reference"


def rows_of(suite: Suite, registries: Registries) -> list[Row]:
    """The rows that a suite names, references first.

    Raises:
        UsageError: If a method or a parameter is unknown, two rows have one label, or one has another method's name.
    """
    entries = list(suite.methods)
    for name in reversed(REFERENCES):
        plain = MethodEntry(name=name)
        if plain in entries:
            entries.remove(plain)
        if name in registries.methods:
            entries.insert(0, plain)
    named = {entry.name for entry in suite.methods}
    known = {
        i: _row(entry, suite, registries, requested=entry.name in named)
        for i, entry in enumerate(entries)
        if entry.name in registries.methods
    }
    rows: dict[str, Row] = {}
    names = derived.all_names(registries)
    for i, entry in enumerate(entries):
        row = known[i] if i in known else _started(entry, suite, registries, list(known.values()))
        validated(row, row.overrides, partial=True)
        other = None if row.method.name == IMPORTED else name_in(row.label, (row.method.name, entry.name), names)
        if other is not None:
            raise UsageError(
                f"a row of {entry.name} is called {shown_value(row.label)}, by the name of {other}, another method: "
                "give the row another label"
            )
        if row.label in rows and rows[row.label] != row:
            raise UsageError(f"two rows are both called {row.label!r}: give one of them another label")
        rows[row.label] = row
    return list(rows.values())


def _row(entry: MethodEntry, suite: Suite, registries: Registries, *, requested: bool) -> Row:
    """The row of a method."""
    info = registries.methods.get(entry.name)
    overrides = {**entry.params, **suite.set.get(entry.name, {})}
    label = _label(entry, overrides)
    role = _role(info, plain=label == entry.name)
    return Row(label, info, registries.methods.origin(entry.name).key, overrides, requested, role)


def _label(entry: MethodEntry, overrides: Mapping[str, Any]) -> str:
    return entry.label or (f"{entry.name} ({shown(overrides)})" if overrides else entry.name)


def _started(entry: MethodEntry, suite: Suite, registries: Registries, known: Sequence[Row]) -> Row:
    """The row of a method that starts from the set of another one; ``known``: the rows of the suite's methods.

    It is no control, unless that one is: it is what selected images come to with the labels of the methods beside it.

    Raises:
        UsageError: If the entry means no method, or it is not clear whose set.
    """
    found = derived.taken_apart(entry.name, registries)
    if found is None:
        raise derived.not_known(entry.name, registries)
    info, start = found
    of_label = {row.label: row for row in known if row.label == start}
    rows = of_label or {row.label: row for row in known if row.method.name == start}
    if not rows and start not in registries.methods:
        raise derived.not_known(entry.name, registries)
    first = next(iter(rows.values()), None) or _row(MethodEntry(name=start), suite, registries, requested=False)
    derived.check(entry.name, info, first.method, registries)
    if len(rows) > 1:
        raise UsageError(
            f"{entry.name}: {start} has {len(rows)} rows ({', '.join(rows)}): give the one that is meant a label of "
            f"its own, `label: mine`, and name {name_from(info.name, 'mine')}"
        )
    validated(first, first.overrides, partial=True)
    overrides = {**entry.params, **suite.set.get(info.name, {}), **suite.set.get(entry.name, {})}
    aside = first.role.is_control or first.role.kind == "reference"
    return Row(
        _label(entry, overrides), info, registries.methods.origin(info.name).key, overrides, True,
        Role("control") if aside else Role(), initial=first, name=entry.name,
    )  # fmt: skip


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
        PluginError: If its validators or defaults do not come to an end, or raise what is no word about a value.
    """
    cls = params_class(row.method)

    def made() -> Params | str:
        fields = cls.model_fields
        for name, value in values.items():
            if name in fields and (why := mistaken(value, fields[name].annotation)):
                return f"parameter {name}: {why}"
        try:
            return cls.model_validate(dict(values))  # type: ignore[no-any-return]
        except ValidationError as error:
            problems = [p for p in error.errors() if not (partial and p["type"] == "missing")]
            if not problems:
                return cls.model_construct(**values)  # type: ignore[no-any-return]
            return parameter_problem(dict(problems[0]), cls.model_fields)

    found = answer(row.method, made)
    if isinstance(found, str):
        raise UsageError(f"{row.label}: {found} (see `ddbench describe {row.method.name}`)")
    return found


def answer(method: MethodInfo, question: Callable[[], T]) -> T:
    """What params of a method say, whose code may be anybody's.

    Raises:
        PluginError: If they do not, naming the method.
    """
    try:
        return asked(f"planning {method.name}", question)
    except PluginError as error:
        raise PluginError(f"method {method.name!r}: {error}") from error


def resolved(
    row: Row, data: DatasetInfo, budget: Budget, profile: Profile, per_class: int | None = None
) -> tuple[Params, Chosen]:
    """The params of a row for some data at one budget, and the preset that they start from; none if the row gives all.

    ``per_class``: images of the largest class that the budget comes to.

    Raises:
        UsageError: If a preset and the row's own values do not go together.
    """
    if params_class(row.method).model_fields.keys() <= row.overrides.keys():
        return validated(row, row.overrides), Chosen({})
    preset = choose(
        row.method, data.name, budget, profile.name, per_class=per_class,
        share=None if per_class is None else per_class / max(data.counts), size=data.size, pool=data.pool,
    )  # fmt: skip
    shared: dict[str, Any] = {}
    if row.control_of is not None:
        beside = resolved(row.control_of, data, budget, profile, per_class)[0]
        mine, its = params_class(row.method).model_fields, type(beside).model_fields
        shared = {name: getattr(beside, name) for name in mine if name in its}
    return validated(row, {**preset.params, **shared, **row.overrides}), preset
