"""Tuning files: the YAML that says which configurations are tried, and the grid that they are. No torch.

A configuration is a method's defaults, what all configurations of its method share (``base``), and what it changes
itself. Presets take no part: a ledger stays what it was when they move on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue, NonNegativeInt, model_validator

from ddbench.core.asked import Asked
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.plugin.loader import Registries
from ddbench.core.profiles import profile
from ddbench.core.roles import CONTROLS, RANDOM, SCORING
from ddbench.core.specs import TUNE, Budget, Frozen
from ddbench.plan import suite as suites
from ddbench.plan import typed
from ddbench.plan.grid import Grid, build
from ddbench.plan.mistakes import checked
from ddbench.plan.rows import Row, answer, shown, validated
from ddbench.plan.suite import BudgetAxis, DatasetEntry, DataSets, Names, SomeNames, Suite
from ddbench.plan.wordings import TUNING

REPETITIONS = (-1, -2)
"""Repetitions that are tuned on; results are of r ≥ 0."""

SHARED = ("schema", "datasets", "budget", "archs", "preprocess", "profile", "master_seed")
"""Keys that mean what they mean in a suite."""
_ONE: dict[str, JsonValue] = {"maxItems": 1}
"""A ledger is of one."""


class Section(Frozen):
    """Which methods, at which budgets, something is said of.

    Attributes:
        methods: Names.
        budget: Some of the file's; None: all of them.
    """

    methods: tuple[str, ...] = Field(min_length=1)
    budget: BudgetAxis | None = None

    def covers(self, method: str, budget: Budget) -> bool:
        """Whether it speaks of a method at a budget."""
        return method in self.methods and (self.budget is None or budget in self.budget.budgets())


class Base(Section):
    """Parameters that all configurations of its methods share; of two sections that cover one, the later counts.

    Attributes:
        params: By name.
    """

    params: dict[str, Any]


class Tried(Section):
    """Configurations; those of several sections that cover a method add up.

    Attributes:
        try_: What each changes on top of the base.
        before: One that stands beside them, without the base: the preset that there was before. It is measured alike,
            and neither counted nor chosen.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"try": {"minItems": 1}}, "required": ["try"]},
                {"properties": {"before": {"type": "object"}}, "required": ["before"]},
            ]
        }
    )

    try_: tuple[dict[str, Any], ...] = Field(default=(), alias="try")
    before: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Tried:
        if not self.try_ and self.before is None:
            raise ValueError("a section of configurations needs `try: [{…}, …]` or `before: {…}`")
        return self


class TuningFile(Asked):
    """What is tried: configurations of methods, where no result is reported.

    Attributes:
        schema_version: Version of this schema, written ``schema``.
        datasets: The one data set, a list of its name or a :class:`ddbench.plan.suite.DatasetEntry`.
        budget: Sizes.
        archs: The one condensing architecture; empty: the data set's default.
        preprocess: The one preprocessing id.
        protocol: The evaluation protocol that configurations are scored under.
        profile: ``smoke``, ``short`` or ``paper``.
        master_seed: The seed that all others derive from.
        base: What configurations share.
        configurations: What is tried, as many configurations of every method at every budget.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    datasets: DataSets = Field(default=(DatasetEntry(name="digits"),), json_schema_extra=_ONE)
    budget: BudgetAxis
    archs: Names = Field(default=(), json_schema_extra=_ONE)
    preprocess: SomeNames = Field(default=("meanstd",), json_schema_extra=_ONE)
    protocol: str = "hard"
    profile: str = "short"
    master_seed: NonNegativeInt = 0
    base: tuple[Base, ...] = ()
    configurations: tuple[Tried, ...] = Field(min_length=1)


LEVELS: dict[str, type[Frozen]] = {
    "datasets": DatasetEntry, "budget": BudgetAxis, "base": Base, "configurations": Tried,
}  # fmt: skip


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration of a method at one budget.

    Attributes:
        method: Name of the method.
        budget: The budget.
        given: All in which it differs from the method's defaults, as the file says it.
        own: What is its own of that: what is tuned.
        params: All parameters, validated, as JSON.
        before: Whether it is the preset that there was before.
    """

    method: str
    budget: Budget
    given: Mapping[str, Any]
    own: Mapping[str, Any]
    params: Mapping[str, Any]
    before: bool = False

    @property
    def name(self) -> str:
        """What tells it from the others of its method and budget."""
        return "preset before" if self.before else shown(self.own) or "base"

    @property
    def label(self) -> str:
        """Of its row."""
        return f"{self.method} ({self.name})"


@dataclass(frozen=True, slots=True)
class Tuning:
    """A tuning file, validated.

    Attributes:
        where: The file's name, for messages.
        suite: Data, networks, budgets, protocol, profile and master seed; its methods are those that are tuned.
        own: The file.
        configurations: Of every method at every budget, in the order of the file.
    """

    where: str
    suite: Suite
    own: TuningFile
    configurations: tuple[Configuration, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that are tuned."""
        return tuple(entry.name for entry in self.suite.methods)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Those of the file."""
        return tuple(self.suite.budget.budgets())

    @property
    def count(self) -> int:
        """Configurations of each method at each budget."""
        return len(self.tried(self.methods[0], self.budgets[0]))

    def of(self, method: str, budget: Budget) -> list[Configuration]:
        """The configurations of a method at a budget, and the preset before."""
        return [one for one in self.configurations if (one.method, one.budget) == (method, budget)]

    def tried(self, method: str, budget: Budget) -> list[Configuration]:
        """Those that are chosen from."""
        return [one for one in self.of(method, budget) if not one.before]


def load(name: str, registries: Registries) -> Tuning:
    """Read a tuning file: a path, else a name as suites have.

    Raises:
        UsageError: If there is none, or it breaks a rule of :func:`parse`.
    """
    return parse(suites.load(name, "tuning file", "tune-*"), name, registries)


def parse(content: Mapping[str, Any], where: str, registries: Registries) -> Tuning:
    """Validate a tuning file's content.

    Args:
        content: The mapping.
        where: File name, for messages.
        registries: Loaded plugins.

    Raises:
        UsageError: If a key, a method or a parameter is unknown, the methods do not get equally many configurations, or
            one of them, or the protocol, stands for no results of a method.
    """
    own = checked(TuningFile, content, where, LEVELS, TUNING)
    own = own.model_copy(
        update={
            "protocol": typed.protocol_named(own.protocol, registries),
            "base": tuple(_named(section, registries) for section in own.base),
            "configurations": tuple(_named(section, registries) for section in own.configurations),
        }
    )
    if own.protocol.partition("@")[0] == SCORING:
        raise UsageError(
            f"{where}: protocol: {own.protocol} is what methods score their own sets by: tune under one that results "
            "are reported under (see `ddbench list protocols`)"
        )
    methods = list(dict.fromkeys(name for section in own.configurations for name in section.methods))
    shared = {key: content[key] for key in SHARED if key in content}
    suite = suites.parse({**shared, "methods": methods, "protocols": [own.protocol]}, where)
    suite = typed.canonical(suite, registries).model_copy(update={"split": TUNE})
    for several in ("datasets", "archs", "preprocess"):
        if len(getattr(suite, several)) > 1:
            raise UsageError(f"{where}: {several}: a ledger is of one: write a file for each")
    for name in methods:
        info, why = registries.methods.get(name), None
        if name == RANDOM:
            why = "has nothing to tune: it is always there, with its one configuration"
        elif name in CONTROLS:
            why = "is a control: it stands beside a method and takes over that method's parameters; leave it out"
        elif info.kind == "reference":
            why = "is a reference"
        if why is not None:
            raise UsageError(f"{where}: configurations: {name} {why}")
    _check_sections(own, methods, suite.budget, where, registries)
    found = tuple(
        one
        for name in methods
        for budget in suite.budget.budgets()
        for one in _configurations(own, name, budget, where, registries)
    )
    tuning = Tuning(where, suite, own, found)
    _check_counts(tuning)
    return tuning


def _named(section: S, registries: Registries) -> S:
    """A section with the names of methods in place of what was typed."""
    names = (typed.method_named(name, registries) for name in section.methods)
    return section.model_copy(update={"methods": tuple(names)})


def _check_sections(
    own: TuningFile, methods: Sequence[str], axis: BudgetAxis, where: str, registries: Registries
) -> None:
    """Refuse sections of what is not tuned: they would say nothing.

    Raises:
        UsageError: If there is one.
    """
    for kind, sections in (("base", own.base), ("configurations", own.configurations)):
        for section in sections:
            for budget in section.budget.budgets() if section.budget else ():
                if budget not in axis.budgets():
                    raise UsageError(f"{where}: {kind}: {budget.label} is not among the file's budgets")
            for name in section.methods:
                if name not in methods:
                    registries.methods.get(name)
                    raise UsageError(f"{where}: {kind}: method {name!r} has no configurations")


def _configurations(
    own: TuningFile, method: str, budget: Budget, where: str, registries: Registries
) -> Iterator[Configuration]:
    """Those of one method at one budget.

    Raises:
        UsageError: If a parameter is wrong, or two configurations are the same.
    """
    base: dict[str, Any] = {}
    for section in own.base:
        base |= section.params if section.covers(method, budget) else {}
    wanted: list[tuple[dict[str, Any], dict[str, Any], bool]] = []
    for tried in own.configurations:
        if tried.covers(method, budget):
            wanted += [({**base, **change}, change, False) for change in tried.try_]
            wanted += [(tried.before, tried.before, True)] if tried.before is not None else []
    known: dict[str, str] = {}
    row = _row(method, registries)
    for given, change, before in wanted:
        try:
            made = validated(row, given)
            params = answer(row.method, partial(made.model_dump, mode="json"))
        except UsageError as error:
            raise UsageError(f"{where}: {budget.label}: {error}") from None
        one = Configuration(method, budget, given, change, params, before)
        if (twin := known.get(canonical(params))) is not None:
            raise UsageError(f"{where}: {method} at {budget.label}: {twin} and {one.name} are the same configuration")
        known[canonical(params)] = one.name
        yield one


def _check_counts(tuning: Tuning) -> None:
    """Hold the rule that makes tuning fair: the same number for every method at every budget.

    Raises:
        UsageError: Naming the counts.
    """
    counts = {
        (name, budget.label): len(tuning.tried(name, budget)) for name in tuning.methods for budget in tuning.budgets
    }
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count} at {label}" for (name, label), count in counts.items())
        raise UsageError(
            f"{tuning.where}: configurations: every method gets the same number at every budget, here {told}"
        )
    if not tuning.count:
        raise UsageError(f"{tuning.where}: configurations: there are none")


def _row(method: str, registries: Registries) -> Row:
    info = registries.methods.get(method)
    return Row(method, info, registries.methods.origin(method).key, {}, True)


def grid_of(
    tuning: Tuning, registries: Registries, *, methods: Sequence[str] = (), budgets: Sequence[Budget] = ()
) -> Grid:
    """The grid of all configurations and of ``random``, or of a part of it.

    Args:
        tuning: The file.
        registries: Loaded plugins.
        methods: Which methods to keep; empty: all. ``random`` always stays.
        budgets: Which budgets to keep; empty: all.

    Raises:
        UsageError: If the part names what the file does not tune, or the view leaves no images out to score on.
    """
    methods = [typed.method_named(name, registries) for name in methods]
    if odd := [name for name in methods if name not in (*tuning.methods, RANDOM)]:
        raise UsageError(f"{tuning.where} has no configurations of {odd[0]!r}: it tunes {', '.join(tuning.methods)}")
    if away := [budget.label for budget in budgets if budget not in tuning.budgets]:
        known = ", ".join(budget.label for budget in tuning.budgets)
        raise UsageError(f"{tuning.where} does not tune {away[0]}: its budgets are {known}")
    whole = build(tuning.suite, registries, profile(tuning.suite.profile))
    rows = [row for row in whole.rows if row.method.name == RANDOM]
    rows += [
        replace(_row(one.method, registries), label=one.label, overrides=one.params, at=one.budget)
        for one in tuning.configurations
        if not methods or one.method in methods
    ]
    kept = [budget for budget in whole.budgets if not budgets or budget in budgets]
    return replace(whole, rows=rows, budgets=kept, repetitions=REPETITIONS, eval_seeds=1)
