"""From the records of a tuning run to its ledger: what each configuration came to, and which grids to extend.

Scores are on training images that the reported view leaves out. They decide which configuration becomes a preset, and
nothing else: the best of several is no unbiased estimate of what it will reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np

from ddbench.core.api import Params
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.records import Cost, Record, Timer, is_number
from ddbench.core.roles import RANDOM
from ddbench.core.specs import Budget, CellSpec
from ddbench.plan.tuning import REPETITIONS, Configuration, Tuning
from ddbench.results.stats import DIGITS
from ddbench.results.tables.costs import comparable
from ddbench.results.tables.observations import observe
from ddbench.results.tables.versions import outdated
from ddbench.results.tries import Keys, Try, parts_of, seconds_of, within
from ddbench.results.tuning_records import apart, check, titled


@dataclass(slots=True)
class Trial:
    """A configuration with what its records say; sums and means are over the repetitions.

    Attributes:
        configuration: None for ``random``.
        method: Name of the method.
        budget: The budget.
        scores: Repetition → accuracy on the part that only tuning sees [%].
        problems: Why a repetition has no score, in words.
        lr: The learning rate that the protocol chose.
        condense_s: Seconds of condensing.
        readings: What its sets and students read, as records have it → seconds to make all of that.
        inputs: The same in parts that other configurations of its method at its budget may read, too.
        artifact_s: Its share in the seconds of these parts: each is divided among the configurations that read it.
        evaluate_s: Seconds of training and testing students.
        details: What the method says about its runs.
    """

    configuration: Configuration | None
    method: str
    budget: Budget
    scores: dict[int, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lr: float | None = None
    condense_s: float = 0.0
    readings: dict[Keys, float] = field(default_factory=dict)
    inputs: dict[Keys, float] = field(default_factory=dict)
    artifact_s: float = 0.0
    evaluate_s: float = 0.0
    details: dict[str, float] = field(default_factory=dict)

    @property
    def before(self) -> bool:
        """Whether it is the preset that there was before."""
        return self.configuration is not None and self.configuration.before

    @property
    def score(self) -> float | None:
        """Mean over the repetitions [%]; None where one has no result."""
        return round(fmean(self.scores.values()), DIGITS) if len(self.scores) == len(REPETITIONS) else None

    @property
    def seconds(self) -> float:
        """What it took itself, and its share in what it read: these of a method add up to its whole."""
        return self.condense_s + self.artifact_s + self.evaluate_s

    @property
    def as_try(self) -> Try:
        """Its score and its price."""
        return Try(self.score, self.condense_s + self.evaluate_s, self.inputs)

    @property
    def is_finished(self) -> bool:
        """Whether each repetition has a score, or a reason why it has none."""
        return len(self.scores) + len(self.problems) >= len(REPETITIONS)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that was tried.

    Attributes:
        tuning: The file that says what is tried.
        trials: ``random`` first, then the methods, in the order of the file.
        timer: What the seconds are read from, by the rule of :func:`ddbench.results.tables.costs.comparable`.
        facts: Label of the data, training images, and images behind the scores; empty without records.
        protocol: Id with version, as the records have it; empty without records.
        arch: Of networks and students; empty without records.
        outdated: What other versions than those that are here made, a line each.
    """

    tuning: Tuning
    trials: list[Trial]
    timer: Timer
    facts: Mapping[str, Any]
    protocol: str
    arch: str
    outdated: tuple[str, ...]

    def of(self, method: str, budget: Budget) -> list[Trial]:
        """What was measured of a method at a budget, the preset before among it."""
        return [trial for trial in self.trials if (trial.method, trial.budget) == (method, budget)]

    def tried(self, method: str, budget: Budget) -> list[Trial]:
        """What is chosen from."""
        return [trial for trial in self.of(method, budget) if not trial.before]

    def random(self, budget: Budget) -> Trial:
        """The baseline."""
        return self.of(RANDOM, budget)[0]

    def best(self, method: str, budget: Budget) -> Trial | None:
        """The configuration with the highest score, the first of equals; None where none has one."""
        return max((t for t in self.tried(method, budget) if t.score is not None), key=_score, default=None)

    def whole(self, method: str, budget: Budget) -> float:
        """Seconds of all its configurations that have run, and of each shared input that they read once."""
        return seconds_of(trial.as_try for trial in self.tried(method, budget))

    def limits(self, budget: Budget) -> list[tuple[str, float]]:
        """What all tuning of each method took at a budget [s], the cheapest first; of those that have run."""
        wholes = [(name, seconds) for name in self.tuning.methods if (seconds := self.whole(name, budget))]
        return sorted(wholes, key=lambda item: item[1])

    def at_equal_cost(self, method: str, budget: Budget, seconds: float) -> tuple[float | None, float]:
        """What tuning a method within so many seconds is worth, as :func:`ddbench.results.tries.within`."""
        return within([trial.as_try for trial in self.tried(method, budget) if trial.is_finished], seconds)

    @property
    def missing(self) -> list[Trial]:
        """Those that have not all their results yet."""
        return [trial for trial in self.trials if not trial.is_finished]


def _score(trial: Trial) -> float:
    assert trial.score is not None
    return trial.score


def ledger_of(tuning: Tuning, records: Iterable[Record], registries: Registries) -> Ledger:
    """The ledger of a tuning file.

    Args:
        tuning: The file.
        records: Those of its run; of what has not run yet there is none.
        registries: Loaded plugins.

    Raises:
        UsageError: If a record is none of this tuning (:func:`ddbench.results.tuning_records.check`), or of a
            configuration that the file does not name: a ledger hides nothing that was tried; or if two are of one
            configuration and repetition.
    """
    known = list(records)
    check(known, tuning, registries)
    made = {record.key: record for record in known if record.kind == "condense"}
    timer = timer_of(known)
    trials = [Trial(None, RANDOM, budget) for budget in tuning.budgets]
    trials += [Trial(one, one.method, one.budget) for one in tuning.configurations]
    details: dict[int, list[Mapping[str, Any]]] = {}
    counted: dict[tuple[int, int], Record] = {}
    for record in (record for record in known if record.kind == "evaluation"):
        trial = _trial(record.document.cell, trials, registries)
        if trial is None:
            raise UsageError(
                f"{tuning.where}: there are results of {record.document.label} at {record.document.cell.budget.label}, "
                "which it does not name: a ledger counts all that was tried; put the configuration back"
            )
        student, condensation = record.evaluation.eval, made.get(record.evaluation.eval.set)
        if (other := counted.get((id(trial), student.r))) is not None:
            raise UsageError(
                f"{tuning.where}: {titled(other)} and {titled(record)} are results of one configuration and "
                f"repetition, and a ledger counts each once: {apart(tuning)}"
            )
        counted[id(trial), student.r] = record
        if record.status == "ok":
            trial.scores[student.r] = record.metrics["top1"]
            trial.lr = (record.selection or {}).get("lr") if student.r == REPETITIONS[0] else trial.lr
        else:
            trial.problems.append(f"{record.status}: {record.reason}")
        trial.evaluate_s += _own_s(record, timer) or 0.0
        _read(trial, record, timer)
        if condensation is not None:
            trial.condense_s += _own_s(condensation, timer) or 0.0
            _read(trial, condensation, timer)
            details.setdefault(id(trial), []).append(condensation.metrics)
    payers: dict[tuple[str, Budget, bool], list[Trial]] = {}
    for trial in trials:
        payers.setdefault((trial.method, trial.budget, trial.before), []).append(trial)
    for several in payers.values():
        _share(several)
    for trial in trials:
        said = details.get(id(trial), [])
        names = dict.fromkeys(name for metrics in said for name, value in metrics.items() if is_number(value))
        trial.details = {name: fmean([m[name] for m in said if is_number(m.get(name))]) for name in names}
    one = next((r.evaluation for r in known if r.kind == "evaluation" and r.key), None)
    parts = {record.n_test for record in known if record.n_test is not None}
    facts = {} if one is None else {"data": one.facts.dataset, "n_train": one.facts.n_train, "n": max(parts, default=0)}
    protocol, arch = (one.protocol, one.eval.arch) if one else ("", "")
    return Ledger(tuning, trials, timer, facts, protocol, arch, outdated(observe(known)))


def timer_of(records: Iterable[Record]) -> Timer:
    """The timer by which all records can be added up; what never ran cost nothing by any."""
    spent = [record for record in records if record.cost != Cost()]
    return comparable(partial(seconds, record) for record in spent for seconds in (_own_s, _inputs_s))


def _own_s(record: Record, timer: Timer) -> float | None:
    """Seconds of condensing, or of a student."""
    spent = record.cost.by(timer)
    return None if spent is None else spent.prepare_s + spent.condense_s + spent.evaluate_s


def _inputs_s(record: Record, timer: Timer) -> float | None:
    """Seconds of making what it read; None where it read nothing, or they are not known."""
    spent = record.cost.by(timer)
    if not record.document.artifacts or spent is None or spent.artifact_s is None:
        return None
    return spent.artifact_s + (spent.artifact_rest_s or 0.0)


def _read(trial: Trial, record: Record, timer: Timer) -> None:
    """Remember what a set, or a student, was made from."""
    keys = frozenset(key for _, key in record.document.artifacts.values())
    if keys:
        trial.readings[keys] = max(_inputs_s(record, timer) or 0.0, trial.readings.get(keys, 0.0))


def _share(trials: Sequence[Trial]) -> None:
    """Price what several trials read that pay together: those of one method at one budget."""
    readings: dict[Keys, float] = {}
    for trial in trials:
        for keys, seconds in trial.readings.items():
            readings[keys] = max(seconds, readings.get(keys, 0.0))
    parts = parts_of(readings)
    for trial in trials:
        trial.inputs = {part: seconds for keys in trial.readings for part, seconds in parts[keys].items()}
    readers = Counter(part for trial in trials for part in trial.inputs)
    for trial in trials:
        trial.artifact_s = sum(seconds / readers[part] for part, seconds in trial.inputs.items())


def _trial(cell: CellSpec, trials: Sequence[Trial], registries: Registries) -> Trial | None:
    """The trial that a cell belongs to."""
    here = [trial for trial in trials if (trial.method, trial.budget) == (cell.method, cell.budget)]
    if cell.method == RANDOM:
        return here[0] if here else None
    fields = params_class(registries.methods.get(cell.method)).model_fields
    # A parameter that came after the record stands at its default there.
    given = {name: cell.params.get(name, one.default) for name, one in fields.items()}
    return next((one for one in here if one.configuration is not None and one.configuration.params == given), None)


# -------------------------------------------------------------------------------------------------------- edges


@dataclass(frozen=True, slots=True)
class Edge:
    """A chosen value at the end of its grid.

    Attributes:
        method: Name of the method; ``budget`` its budget.
        parameter: Name of the parameter.
        value: What was chosen.
        end: ``smallest`` or ``largest`` of those tried.
        add: The next value of the grid; None where the parameter allows none.
    """

    method: str
    budget: Budget
    parameter: str
    value: float
    end: str
    add: float | None


def edges(ledger: Ledger, registries: Registries) -> list[Edge]:
    """Which choices stand at the edge of their grids: their grids are to be extended, for all methods."""
    found = []
    for method in ledger.tuning.methods:
        cls = params_class(registries.methods.get(method))
        for budget in ledger.tuning.budgets:
            best = ledger.best(method, budget)
            chosen = best.configuration if best is not None else None
            if chosen is None:
                continue
            tried = ledger.tuning.tried(method, budget)
            for name in dict.fromkeys(name for one in tried for name in one.own):
                grid = sorted({one.params[name] for one in tried if is_number(one.params[name])})
                value = chosen.params[name]
                if len(grid) < 2 or value not in (grid[0], grid[-1]):
                    continue
                end = "smallest" if value == grid[0] else "largest"
                found.append(Edge(method, budget, name, value, end, _beyond(cls, chosen, name, grid, end)))
    return found


def _beyond(cls: type[Params], chosen: Configuration, name: str, grid: Sequence[float], end: str) -> float | None:
    """The next value of a grid, as far as the parameter allows it."""
    value = next_value(grid if end == "largest" else grid[::-1])
    try:
        params = cls.model_validate({**chosen.params, name: value})
    except ValueError:
        return None
    return value if getattr(params, name) == value and value not in grid else None


def next_value(grid: Sequence[float]) -> float:
    """Where a grid would go on: 1, 3, 10 → 30; 30, 10 → 3.3; 4, 8, 12 → 16.

    Equal steps go on as they are, and so does what holds a zero or a sign. All else goes on by ratio: the last two
    ratios alternate, so that 1-3-10 grids stay what they are.

    Args:
        grid: At least two values, towards the end that is to be extended.
    """
    whole = all(isinstance(value, int) for value in grid)
    steps = np.diff(grid)
    if min(grid) <= 0 or (len(grid) > 2 and np.allclose(steps, steps[0])):
        found = float(grid[-1] + steps[-1])
    elif len(grid) > 2:
        found = grid[-2] * (grid[-1] / grid[-3])
    else:
        found = grid[-1] ** 2 / grid[-2]
    return round(found) if whole else float(f"{found:.2g}")
