"""From a suite to the grid: which rows, cells and evaluations it names, everything resolved. No torch, no look-ups."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ddbench.api import MethodInfo, Params, ProtocolInfo
from ddbench.data import describe as data_describe
from ddbench.data import prepared as data_prepared
from ddbench.data.sources import parse_source
from ddbench.data.views import canonical_view
from ddbench.errors import UsageError
from ddbench.models import names as arch_names
from ddbench.plugins import Registries, import_target, params_class
from ddbench.presets import choose
from ddbench.profiles import Profile
from ddbench.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo, DataSpec
from ddbench.suite import Exclusion, MethodEntry, Suite

REFERENCES = ("full", "random")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a method and the parameters in which it differs from its preset."""

    label: str
    method: MethodInfo
    origin: str
    overrides: Mapping[str, Any]
    requested: bool


@dataclass(frozen=True, slots=True)
class Data:
    """One data set under one view and one preprocessing."""

    spec: DataSpec
    info: DatasetInfo
    label: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol with its params type imported."""

    info: ProtocolInfo
    params: type[Any]

    @property
    def id(self) -> str:
        """Id with version, ``hard@1``."""
        return f"{self.info.name}@{self.info.version}"


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell with what is needed to key, run and show it.

    Attributes:
        row: Its row.
        data: Its data.
        spec: The cell.
        params: Validated params.
        artifacts: What its params declare, by name.
        per_class: Images of each class under the budget.
        skip: Why it cannot run, or None.
        broken: How its params failed while planning, or None; such a cell is a failure.
        note: Where its params come from, when that needs saying.
    """

    row: Row
    data: Data
    spec: CellSpec
    params: Params
    artifacts: dict[str, ArtifactSpec]
    per_class: tuple[int, ...]
    skip: str | None
    broken: str | None
    note: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything a suite names, in table order."""

    suite: Suite
    profile: Profile
    registries: Registries
    rows: list[Row]
    data: list[Data]
    protocols: list[Protocol]
    budgets: list[Budget]
    condense_seeds: int
    eval_seeds: int
    exclusions: list[Exclusion]

    def archs(self, data: Data) -> list[str]:
        """Canonical condensing architectures for a data set."""
        return [self.canonical(name) for name in self.suite.archs or (data.info.default_arch,)]

    def eval_archs(self, arch: str) -> list[str]:
        """Canonical student architectures for sets condensed with ``arch``."""
        return [self.canonical(name) for name in self.suite.eval_archs] or [arch]

    def canonical(self, arch: str) -> str:
        """Canonical form of an architecture name."""
        return arch_names.parse(arch, self.registries.architectures).canonical

    def cells(self, row: Row, data: Data, budget: Budget, arch: str) -> Iterator[GridCell]:
        """The repetitions of one row × data × budget × arch that are not excluded."""
        if self.excluded(row, data, budget, arch):
            return
        preset = choose(row.method, data.spec.name, budget, self.profile.name)
        params = validated(row, {**preset.params, **row.overrides})
        per_class = budget.resolve(data.info.counts)
        values = params.model_dump(mode="json")
        for r in range(self.condense_seeds):
            spec = CellSpec(
                method=row.method.name,
                method_version=row.method.version,
                origin=row.origin,
                params=values,
                data=data.spec,
                budget=budget,
                arch=arch,
                master=self.suite.master_seed,
                r=r,
            )
            broken = None
            skip = too_large(row, data.info, per_class)
            artifacts: dict[str, ArtifactSpec] = {}
            if skip is None:
                try:
                    skip, artifacts = ask(params, spec, data.info)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # a plugin's code: its cell fails, the run goes on
                    broken = f"{type(error).__name__}: {error}"
            yield GridCell(row, data, spec, params, artifacts, per_class, skip, broken, preset.note)

    def excluded(self, row: Row, data: Data, budget: Budget, arch: str, **more: str) -> bool:
        """Whether the suite leaves this out."""
        fields = {"dataset": data.spec.name, "ipc": budget.ipc, "fraction": budget.fraction, "arch": arch, **more}
        known = {name: value for name, value in fields.items() if value is not None}
        return any(
            rule.matches(method=row.label, **known) or rule.matches(method=row.method.name, **known)
            for rule in self.exclusions
        )


def ask(params: Params, spec: CellSpec, info: DatasetInfo) -> tuple[str | None, dict[str, ArtifactSpec]]:
    """What a method's params say about a cell: why it cannot run, and what it needs.

    Raises:
        TypeError: If an answer has the wrong type.
    """
    skip, artifacts = params.unsupported(spec, info), dict(params.artifacts(spec))
    if not (skip is None or isinstance(skip, str)):
        raise TypeError(f"Params.unsupported returned {skip!r}, not a reason or None")
    wrong = [name for name, artifact in artifacts.items() if not isinstance(artifact, ArtifactSpec)]
    if wrong:
        raise TypeError(f"Params.artifacts gives {wrong[0]!r} no ArtifactSpec")
    return skip, artifacts


def too_large(row: Row, info: DatasetInfo, per_class: tuple[int, ...]) -> str | None:
    """Why a budget does not fit the data, naming the largest that does."""
    if "budget" not in row.method.axes:
        return None
    smallest = min(count for count in info.counts if count)
    if any(wanted > have for wanted, have in zip(per_class, info.counts, strict=True)):
        return f"the smallest class has {smallest} training images, so ipc is at most {smallest}"
    return None


def build(suite: Suite, registries: Registries, profile: Profile) -> Grid:
    """Resolve every name of a suite.

    Raises:
        UsageError: If a name, a parameter or a view is wrong.
    """
    rows = _rows(suite, registries)
    protocols = [_protocol(name, suite, registries, profile) for name in dict.fromkeys(suite.protocols)]
    for arch in (*suite.archs, *suite.eval_archs):
        arch_names.parse(arch, registries.architectures)
    data = list(_data(suite, registries))
    return Grid(
        suite=suite,
        profile=profile,
        registries=registries,
        rows=rows,
        data=data,
        protocols=protocols,
        budgets=suite.budget.budgets(),
        condense_seeds=suite.seeds.condense or profile.condense_seeds,
        eval_seeds=suite.seeds.evaluate or profile.eval_seeds,
        exclusions=[_canonical(rule, rows, data, protocols, registries) for rule in suite.exclude],
    )


def _canonical(
    rule: Exclusion, rows: list[Row], data: list[Data], protocols: list[Protocol], registries: Registries
) -> Exclusion:
    """An exclusion with canonical names.

    Raises:
        UsageError: If it names something that is not in this run.
    """
    update: dict[str, str] = {}
    if rule.protocol is not None:
        update["protocol"] = rule.protocol.partition("@")[0]
    for name in ("arch", "eval_arch"):
        if (arch := getattr(rule, name)) is not None:
            update[name] = arch_names.parse(arch, registries.architectures).canonical
    rule = rule.model_copy(update=update)
    present = {
        "method": {name for row in rows for name in (row.label, row.method.name)},
        "dataset": {item.spec.name for item in data},
        "protocol": {protocol.info.name for protocol in protocols},
    }
    for name, known in present.items():
        value = getattr(rule, name)
        if value is not None and value not in known:
            raise UsageError(f"exclude: {name} {value!r} is not in this run (which has {', '.join(sorted(known))})")
    return rule


def _rows(suite: Suite, registries: Registries) -> list[Row]:
    entries = list(suite.methods)
    requested = {entry.name for entry in entries}
    for name in reversed(REFERENCES):
        plain = MethodEntry(name=name)
        if plain in entries:
            entries.remove(plain)
        if name in registries.methods:
            entries.insert(0, plain)
    if suite.controls:
        named = [control for entry in entries for control in registries.methods.get(entry.name).controls]
        entries += [MethodEntry(name=name) for name in dict.fromkeys(named) if name not in requested]
    for method in suite.set:
        if method not in {entry.name for entry in entries}:
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


def _protocol(name: str, suite: Suite, registries: Registries, profile: Profile) -> Protocol:
    plain, _, version = name.partition("@")
    info = registries.protocols.get(plain)
    if version and version != str(info.version):
        raise UsageError(f"protocol {name!r}: this ddbench has {plain}@{info.version} (see `ddbench list protocols`)")
    if suite.split == "paper" and info.defaults.get("lr") == "grid" and len(profile.lr_grid) > 1:
        raise UsageError(
            f"protocol {plain} chooses a learning rate on val, but split 'paper' has none: use dc2021 or hard-fixed"
        )
    return Protocol(info, import_target(info.params))


def _data(suite: Suite, registries: Registries) -> Iterator[Data]:
    for entry in dict.fromkeys((item.name, json.dumps(item.view, sort_keys=True)) for item in suite.datasets):
        source = parse_source(entry[0], registries.datasets)
        view = canonical_view(json.loads(entry[1]))
        prepared = data_prepared.resolve(source)
        for preprocess in dict.fromkeys(suite.preprocess):
            spec = DataSpec(
                name=source.name, revision=prepared.revision, split=suite.split, view=view, preprocess=preprocess
            )
            info = data_describe.describe(prepared, spec)
            yield Data(spec, info, _data_label(spec))


def _data_label(spec: DataSpec) -> str:
    """``fashionmnist [train_size 10000]``."""
    transforms: list[str] = []
    for transform in spec.view or ():
        values = [str(value) for key, value in transform.items() if key not in ("name", "seed")]
        transforms.append(" ".join([transform["name"], *values]))
    return spec.name + (f" [{', '.join(transforms)}]" if transforms else "")
