"""From a suite to the grid: which rows, cells and evaluations it names, all resolved; opens the data. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from ddbench.core.api import ArchInfo, Params, ProtocolInfo
from ddbench.core.errors import PluginError, UsageError, shown_count
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.plugin.registry import Registry
from ddbench.core.plugin.unwritten import problem_of
from ddbench.core.profiles import Profile
from ddbench.core.roles import parse_label
from ddbench.core.specs import Budget, CellSpec, DatasetInfo, StudentInfo
from ddbench.data.dataset import Data
from ddbench.models import names as arch_names
from ddbench.plan import derived, typed
from ddbench.plan.answers import Answers, answers
from ddbench.plan.controls import bought, with_controls, with_pools
from ddbench.plan.datasets import check_fraction, data_of
from ddbench.plan.rows import Row, answer, resolved, rows_of
from ddbench.plan.suite import Exclusion, Suite

MOST_REPETITIONS = 10**7
"""Of one row; a plan has fewer still."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell with what is needed to key, run and show it.

    Attributes:
        row: Its row.
        data: Its data.
        budget: Its column; the cell's own budget, except for a control at another row's bytes.
        spec: The cell.
        params: Validated params.
        said: What they say about the cell.
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
    said: Answers
    per_class: tuple[int, ...]
    skip: str | None
    broken: str | None
    notes: tuple[str, ...]

    def seen(self, n: int) -> int:
        """How many images students see of a set of ``n``."""
        return answer(self.row.method, lambda: self.params.images_seen(n))


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything a suite names, in table order.

    Attributes:
        repetitions: Those of condensation, each a set of its own; from 0, or below 0 where one tunes.
        eval_seeds: Students per repetition.
        random_seeds: Repetitions of ``random`` under protocols that draw it more often; 0: as many as of all rows.
    """

    suite: Suite
    profile: Profile
    registries: Registries
    rows: list[Row]
    data: list[Data]
    protocols: list[Protocol]
    budgets: list[Budget]
    repetitions: tuple[int, ...]
    eval_seeds: int
    random_seeds: int
    exclusions: list[Exclusion]

    def archs(self, data: Data) -> list[str]:
        """Canonical condensing architectures for a data set."""
        return [self.canonical(name) for name in self.suite.archs or (data.info.default_arch,)]

    @property
    def named_students(self) -> list[str]:
        """The students that the suite names: canonical networks, and predictors of protocols."""
        predictors = _predictors(self.protocols, self.registries.architectures)
        return [name if name in predictors else self.canonical(name) for name in self.suite.eval_archs]

    def students(self, protocol: Protocol, arch: str) -> tuple[list[str], str | None]:
        """What a protocol evaluates sets condensed with ``arch`` by, and what to say of students that it leaves out.

        Of the students that the suite names those that it can evaluate; without any, the condensing network, or its
        own default where it cannot evaluate that.
        """
        named = self.named_students
        found = [name for name in named if self._evaluates(protocol, name)]
        left = [name for name in named if name not in found]
        if not found:
            found = [usual_student(protocol, arch, self.registries)]
        if not left:
            return found, None
        instead = "" if any(name in named for name in found) else f"; {found[0]} is used"
        return found, f"{protocol.id} does not evaluate {', '.join(left)}{instead}"

    def _evaluates(self, protocol: Protocol, student: str) -> bool:
        own = protocol.info.students
        if student in _predictors(self.protocols, self.registries.architectures):
            return student in own
        name = arch_names.parse(student, self.registries.architectures)
        return not own or name.family in own or name.base in own

    def student(self, name: str) -> StudentInfo:
        """Facts about a student: a network, or a predictor of a protocol's own."""
        return arch_names.student(name, self.registries.architectures)

    def canonical(self, arch: str) -> str:
        """Canonical form of an architecture name."""
        return arch_names.parse(arch, self.registries.architectures).canonical

    def repetitions_of(self, row: Row, protocol: ProtocolInfo) -> tuple[int, ...]:
        """The repetitions of a row under a protocol: the grid's, with more of ``random`` behind them."""
        more = self.random_seeds if row.is_random and protocol.draws_random else 0
        return self.repetitions + tuple(range(len(self.repetitions), more))

    def cells(
        self, row: Row, data: Data, budget: Budget, arch: str, repetitions: Iterable[int] | None = None
    ) -> Iterator[GridCell]:
        """Repetitions of one row × data × budget × arch, none where it is excluded; by default the grid's."""
        if self.excludes(row, data, budget, arch):
            return
        size = budget
        if row.role.buys and row.control_of is not None:
            found = bought(row.control_of, data.info, budget, self.profile, row.role.kind)
            if found is None:
                return
            size = found
        per_class = size.resolve(data.info.counts)
        params, preset = resolved(row, data.info, budget, self.profile, max(per_class))
        values = answer(row.method, lambda: params.model_dump(mode="json"))
        notes = preset.notes(row.method.name, data.spec.preprocess)
        for r in self.repetitions if repetitions is None else repetitions:
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
            said, broken = Answers(too_large(row, data.info, size)), None
            if said.skip is not None and size != budget:
                said = Answers(f"{size.label} of real images cost as much: {said.skip}")
            if said.skip is None:
                try:
                    said = asked(
                        f"planning {row.method.name}", partial(answers, row, params, spec, data.info, self.registries)
                    )
                    spec = spec.model_copy(update={"origins": said.origins})
                except PluginError as error:  # its cell fails, the run goes on
                    broken = str(error)
            yield GridCell(row, data, budget, spec, params, said, per_class, said.skip, broken, notes)

    def excludes(self, row: Row, data: Data, budget: Budget, arch: str, **more: str) -> bool:
        """Whether the suite leaves this out; of a twin only rules that name a role say anything."""
        if row.at not in (None, budget):
            return True
        served = [other for other in self.rows if row.role.buys and other.label in row.role.of]
        if served and all(self.excludes(other, data, budget, arch, **more) for other in served):
            return True
        rules = [rule for rule in self.exclusions if rule.role is not None or row.role.kind != "twin"]
        fields = {"dataset": data.spec.name, "ipc": budget.ipc, "fraction": budget.fraction, "arch": arch, **more}
        known = {name: value for name, value in fields.items() if value is not None}
        of = frozenset(row.role.of)
        return any(rule.matches(method=row.names, role=row.role.kind, of=of, **known) for rule in rules)


def usual_student(protocol: Protocol, arch: str, registries: Registries) -> str:
    """What a protocol evaluates sets condensed with ``arch`` by where nobody names a student that it can evaluate.

    That network, or the protocol's own default where it cannot evaluate that; in canonical form.
    """
    own, families = protocol.info.students, registries.architectures
    name = arch_names.parse(arch, families)
    if not own or name.family in own or name.base in own:
        return name.canonical
    return own[0] if own[0] in _predictors([protocol], families) else arch_names.parse(own[0], families).canonical


def too_large(row: Row, info: DatasetInfo, budget: Budget) -> str | None:
    """Why a budget does not fit the data, naming the largest that does."""
    return budget.misfit(info.counts) if "budget" in row.method.axes else None


def build(suite: Suite, registries: Registries, profile: Profile) -> Grid:
    """Resolve every name of a suite.

    Raises:
        UsageError: If a name, a parameter or a view is wrong.
        PluginError: If a method's class is not there.
    """
    if max(suite.seeds.condense or 0, suite.seeds.random or 0) > MOST_REPETITIONS:
        asked = shown_count(max(suite.seeds.condense or 0, suite.seeds.random or 0))
        raise UsageError(f"seeds: {asked} repetitions; {MOST_REPETITIONS:,} at the most")
    suite = typed.canonical(suite, registries)
    rows = rows_of(suite, registries)
    protocols = [_protocol(name, suite, registries, profile) for name in dict.fromkeys(suite.protocols)]
    predictors = _predictors(protocols, registries.architectures)
    networks = [*suite.archs, *(name for name in suite.eval_archs if name not in predictors)]
    for arch in networks:
        arch_names.parse(arch, registries.architectures)
    data = list(data_of(suite, registries))
    for item in data:
        usual = [] if suite.archs else [item.info.default_arch]
        for arch in [*networks, *usual]:
            name = arch_names.parse(arch, registries.architectures)
            why = arch_names.too_few_pixels(name, channels=item.info.channels, size=item.info.size)
            if why is not None:
                raise UsageError(f"{item.label}: {why}")
        for budget in suite.budget.budgets():
            check_fraction(budget, item)
    places = list(itertools.product([item.info for item in data], suite.budget.budgets()))
    rows = with_pools(rows, profile, places)
    if suite.controls:
        rows = with_controls(rows, suite, registries, profile, places)
    _check_targets(rows, registries)
    for method in suite.set:
        if not any(method in row.settings for row in rows):
            if method in registries.protocols:
                raise UsageError(
                    f"--set {method}.…: {method!r} is a protocol, whose options are its record's `defaults`: register "
                    "another one with others (docs/reference/hooks/protocols.md)"
                )
            if method not in registries.methods and method not in derived.names(registries):
                raise derived.not_known(method, registries)
            raise UsageError(f"--set {method}.…: {method!r} is not among the methods of this run")
    return Grid(
        suite=suite,
        profile=profile,
        registries=registries,
        rows=rows,
        data=data,
        protocols=protocols,
        budgets=suite.budget.budgets(),
        repetitions=tuple(range(suite.seeds.condense or profile.condense_seeds)),
        eval_seeds=suite.seeds.evaluate or profile.eval_seeds,
        random_seeds=suite.seeds.random or 0,
        exclusions=[
            rule
            for given in suite.exclude
            if (rule := _canonical(given, rows, data, protocols, registries)) is not None
        ],
    )


def _check_targets(rows: list[Row], registries: Registries) -> None:
    """Refuse a method whose class is not where its record says, or lacks a function that is called.

    Raises:
        PluginError: If there is one.
    """
    for info in {row.method.name: row.method for row in rows}.values():
        plugin = registries.methods.origin(info.name).distribution
        if (missing := problem_of(info.target, plugin)) is not None:
            raise PluginError(
                f"method {info.name!r} ({plugin}): target {info.target!r}: {missing} "
                "(see docs/reference/hooks/methods.md)"
            )


def _canonical(
    rule: Exclusion, rows: list[Row], data: list[Data], protocols: list[Protocol], registries: Registries
) -> Exclusion | None:
    """An exclusion with canonical names; None where it names what exists but is not in this run (options override).

    Raises:
        UsageError: If it names something that is neither in this run nor known.
    """
    update: dict[str, Any] = {}
    if rule.protocol is not None:
        update["protocol"] = rule.protocol.partition("@")[0]
    for name in ("arch", "eval_arch"):
        arch = getattr(rule, name)
        if arch is not None and arch not in _predictors(protocols, registries.architectures):
            update[name] = arch_names.parse(arch, registries.architectures).canonical
    rule = rule.model_copy(update=update)
    present = {
        "method": {name for row in rows for name in row.names},
        "of": {row.label for row in rows},
        "dataset": {item.spec.name for item in data},
        "protocol": {protocol.info.name for protocol in protocols},
    }
    methods = {*(info.name for info in registries.methods), *derived.names(registries)}
    members = {
        "method": methods, "of": methods, "dataset": {info.name for info in registries.datasets},
        "protocol": {info.name for info in registries.protocols},
    }  # fmt: skip
    for name, known in present.items():
        given = getattr(rule, name)
        values = (given,) if isinstance(given, str) else given or ()
        for value in values:
            if value not in known and not _elsewhere(value, members[name]):
                raise UsageError(f"exclude: {name} {value!r} is not in this run (which has {', '.join(sorted(known))})")
        if values and known.isdisjoint(values):
            return None
    return rule


def _predictors(protocols: list[Protocol], families: Registry[ArchInfo]) -> set[str]:
    """Students of protocols that are no networks.

    Raises:
        PluginError: If a protocol trains a student that is none.
    """
    networks = {name for family in families for name in (family.name, *family.bases)}
    found = {name: protocol for protocol in protocols for name in protocol.info.students if name not in networks}
    for name, protocol in found.items():
        if protocol.info.trains_student:
            protocol.refuse(f"ProtocolInfo.students names {name!r}, which is no architecture, yet it trains a student")
    return set(found)


def _elsewhere(name: str, members: Set[str]) -> bool:
    """Whether a name that is not in this run is a member, or the label of a control of one."""
    role = parse_label(name)
    return name in members or role.buys or any(of in members for of in role.of)


def _protocol(name: str, suite: Suite, registries: Registries, profile: Profile) -> Protocol:
    plain, _, version = name.partition("@")
    info = registries.protocols.get(plain)
    if version and version != str(info.version):
        raise UsageError(f"protocol {name!r}: this ddbench has {plain}@{info.version} (see `ddbench list protocols`)")
    if suite.split == "paper" and info.chooses_lr and len(profile.lr_grid) > 1:
        raise UsageError(
            f"protocol {plain} chooses a learning rate on val, but split 'paper' has none: use dc2021 or hard-fixed"
        )
    return Protocol.find(plain, registries)
