"""From a suite to the grid: which rows, cells and evaluations it names, all resolved; opens the data. No torch."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ddbench.api import Params, ProtocolInfo
from ddbench.controls import ZERO_STEPS, bought, with_controls
from ddbench.data import describe as data_describe
from ddbench.data import prepared as data_prepared
from ddbench.data.sources import parse_source
from ddbench.data.views import canonical_view
from ddbench.errors import UsageError
from ddbench.models import names as arch_names
from ddbench.plugins import Registries, import_target
from ddbench.profiles import Profile
from ddbench.registry import Registry
from ddbench.rows import AT_BYTES, Row, resolved, rows_of
from ddbench.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo, DataSpec
from ddbench.suite import Exclusion, Suite


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
        budget: Its column; the cell's own budget, except for a control at another row's bytes.
        spec: The cell.
        params: Validated params.
        artifacts: What its params declare, by name.
        per_class: Images of each class in its set.
        skip: Why it cannot run, or None.
        broken: How its params failed while planning, or None; such a cell is a failure.
        notes: Where its params come from, when that needs saying.
    """

    row: Row
    data: Data
    budget: Budget
    spec: CellSpec
    params: Params
    artifacts: dict[str, ArtifactSpec]
    per_class: tuple[int, ...]
    skip: str | None
    broken: str | None
    notes: tuple[str, ...]


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
        size = budget
        if row.bytes_of and row.control_of is not None:
            found = bought(row.control_of, data.info, budget, self.profile)
            if found is None:
                return
            size = found
        per_class = size.resolve(data.info.counts)
        params, preset = resolved(row, data.spec.name, budget, self.profile, max(per_class))
        values = params.model_dump(mode="json")
        notes = preset.notes(row.method.name, data.spec.preprocess)
        for r in range(self.condense_seeds):
            spec = CellSpec(
                method=row.method.name,
                method_version=row.method.version,
                origin=row.origin,
                params=values,
                data=data.spec,
                budget=size,
                arch=arch,
                master=self.suite.master_seed,
                r=r,
            )
            broken = None
            skip = too_large(row, data.info, per_class) or without_val(params, data.info)
            if skip is not None and size != budget:
                skip = f"{size.label} of real images cost as much: {skip}"
            artifacts: dict[str, ArtifactSpec] = {}
            if skip is None:
                try:
                    skip, artifacts = ask(params, spec, data.info)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # a plugin's code: its cell fails, the run goes on
                    broken = f"{type(error).__name__}: {error}"
            yield GridCell(row, data, budget, spec, params, artifacts, per_class, skip, broken, notes)

    def excluded(self, row: Row, data: Data, budget: Budget, arch: str, **more: str) -> bool:
        """Whether the suite leaves this out."""
        served = [other for other in self.rows if other.label in row.bytes_of]
        if served and all(self.excluded(other, data, budget, arch, **more) for other in served):
            return True
        fields = {"dataset": data.spec.name, "ipc": budget.ipc, "fraction": budget.fraction, "arch": arch, **more}
        known = {name: value for name, value in fields.items() if value is not None}
        return any(rule.matches(method=name, **known) for rule in self.exclusions for name in row.names)


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


def without_val(params: Params, info: DatasetInfo) -> str | None:
    """Why the best snapshot cannot be chosen."""
    if getattr(params, "selection", "last") == "val" and not any(info.val_counts):
        return "selection: val needs validation images, and there are none (--split paper)"
    return None


def build(suite: Suite, registries: Registries, profile: Profile) -> Grid:
    """Resolve every name of a suite.

    Raises:
        UsageError: If a name, a parameter or a view is wrong.
    """
    rows = rows_of(suite, registries)
    protocols = [_protocol(name, suite, registries, profile) for name in dict.fromkeys(suite.protocols)]
    for arch in (*suite.archs, *suite.eval_archs):
        arch_names.parse(arch, registries.architectures)
    data = list(_data(suite, registries))
    for item in data:
        for arch in (*suite.archs, *suite.eval_archs):
            name = arch_names.parse(arch, registries.architectures)
            why = arch_names.too_deep(name, channels=item.info.channels, size=item.info.size)
            if why is not None:
                raise UsageError(f"{item.label}: {why}")
        for budget in suite.budget.budgets():
            check_fraction(budget, item)
    if suite.controls:
        places = list(itertools.product([item.info for item in data], suite.budget.budgets()))
        rows = with_controls(rows, suite, registries, profile, places)
    for method in suite.set:
        if method not in {row.method.name for row in rows}:
            registries.methods.get(method)
            raise UsageError(f"--set {method}.…: {method!r} is not among the methods of this run")
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
        exclusions=[
            rule
            for given in suite.exclude
            if (rule := _canonical(given, rows, data, protocols, registries)) is not None
        ],
    )


def check_fraction(budget: Budget, data: Data) -> None:
    """Refuse a share that is less than one image of every class, which would be rounded up to another share.

    Raises:
        UsageError: If it is.
    """
    counts = [count for count in data.info.counts if count]
    if budget.fraction is not None and not any(round(budget.fraction * count) for count in counts):
        raise UsageError(
            f"{data.label}: {budget.label} of {sum(counts)} training images is less than one of each class; one of "
            f"each is a fraction of {len(counts) / sum(counts):.2g} (--ipc 1)"
        )


def _canonical(
    rule: Exclusion, rows: list[Row], data: list[Data], protocols: list[Protocol], registries: Registries
) -> Exclusion | None:
    """An exclusion with canonical names; None where it names what exists but is not in this run (options override).

    Raises:
        UsageError: If it names something that is neither in this run nor known.
    """
    update: dict[str, str] = {}
    if rule.protocol is not None:
        update["protocol"] = rule.protocol.partition("@")[0]
    for name in ("arch", "eval_arch"):
        if (arch := getattr(rule, name)) is not None:
            update[name] = arch_names.parse(arch, registries.architectures).canonical
    rule = rule.model_copy(update=update)
    present = {
        "method": {name for row in rows for name in row.names},
        "dataset": {item.spec.name for item in data},
        "protocol": {protocol.info.name for protocol in protocols},
    }
    members: dict[str, Registry[Any]] = {
        "method": registries.methods, "dataset": registries.datasets, "protocol": registries.protocols
    }  # fmt: skip
    for name, known in present.items():
        value = getattr(rule, name)
        if value is None or value in known:
            continue
        if value.removesuffix(ZERO_STEPS) in members[name] or value.startswith(AT_BYTES):
            return None
        raise UsageError(f"exclude: {name} {value!r} is not in this run (which has {', '.join(sorted(known))})")
    return rule


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
