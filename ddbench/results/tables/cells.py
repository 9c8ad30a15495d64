"""One cell of a table: the observations of one row and budget, averaged in the order that the statistics demand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ddbench.core.infos import IMPORTED
from ddbench.core.records import Timer
from ddbench.core.roles import EQUALS
from ddbench.results.stats import DIGITS, Summary, summary
from ddbench.results.tables.costs import CellCost, Spent, cost_of_cell, spent_by_repetition
from ddbench.results.tables.observations import Observation

ONE_SET = ("set",)
"""What repetitions share that are students of one set."""


def in_common(names: Collection[str]) -> str:
    """``all repetitions share one set``, ``… one artifact (experts)``: :attr:`Cell.conditional` in words."""
    what = "one set" if names == ONE_SET else f"one artifact ({', '.join(names)})"
    return f"all repetitions share {what}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        scores: Repetition → mean over its students [%]; only repetitions all of whose students have a result.
        planned: Repetitions, with or without a result.
        students: Students per repetition.
        status: ``ok``, or the status of the first repetition without a result.
        reason: Why that one has none.
        kind: Kind of the method.
        source: ``measured``, ``imported`` or ``reported``.
        updates: Updates of a student.
        cost: What it took.
        one_set: Whether several repetitions share one set.
        shared: Names of artifacts that several repetitions share.
        details: What the method says about its runs, means over repetitions.
        bold: Whether the verdicts of its column leave it among the best.
        rank: The best and the worst place that they leave it among the methods of its column, 1 the first; None for
            what takes no part.
        n_needed: Fewest repetitions with which these verdicts can be decided; None where there are none on it.
        marks: Numbers of its footnotes.
        per_class: Accuracy on the test images of each class, mean over repetitions [%]; None when a result lacks it.
        quartiles: Accuracy on each quarter of the test images by difficulty, easiest first [%]; None as before, or
            where results were ordered by different difficulties.
        difficulties: Digests of the difficulties behind the quartiles of its results; one where they can be averaged.
        top1_uint8: Accuracy of students trained on the set after rounding it to uint8 [%]; None as before.
        full_stopped: Accuracy of ``full`` stopped at the seconds of a set and its student [%]; None as before.
        full_stopped_updates: How many updates those were, on average.
        full_stopped_by: The timers that those seconds were read from.
        own_n: Images of its sets where these have not the column's size: as many as another row's bytes buy, or as an
            imported set has; None: they have.
        as_run: Whether a claim about it is one about these runs alone (:attr:`ddbench.core.records.Record.as_run`).
        own_student: Whether its students start from an initial state that a set holds: it is shown apart.
        recipe_updates: Updates that the recipe of its sets asks for, where some student had fewer; None: all had them.
        correct: Repetition → which test images each of its students was right about (see
            :mod:`ddbench.core.correctness`); only repetitions all of whose records say so.
        spent: Repetition → what its set took.
    """

    scores: dict[int, float]
    planned: int
    students: int
    status: str
    reason: str
    kind: str
    source: str
    updates: int | None
    cost: CellCost
    one_set: bool = False
    shared: tuple[str, ...] = ()
    details: Mapping[str, float] = field(default_factory=dict)
    bold: bool = False
    rank: tuple[int, int] | None = None
    n_needed: int | None = None
    marks: tuple[int, ...] = ()
    per_class: tuple[float, ...] | None = None
    quartiles: tuple[float, ...] | None = None
    difficulties: tuple[str, ...] = ()
    top1_uint8: float | None = None
    full_stopped: float | None = None
    full_stopped_updates: float | None = None
    full_stopped_by: tuple[Timer, ...] = ()
    own_n: int | None = None
    as_run: bool = False
    own_student: bool = False
    recipe_updates: int | None = None
    correct: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    spent: Mapping[int, Spent] = field(default_factory=dict)

    @property
    def conditional(self) -> tuple[str, ...]:
        """What several repetitions share, so that ± does not show what another would give: ``set``, or artifacts."""
        return ONE_SET if self.one_set else self.shared

    @property
    def summary(self) -> Summary | None:
        """Mean, sd and interval over repetitions; None without a result."""
        return summary(list(self.scores.values())) if self.scores else None

    @property
    def complete(self) -> bool:
        """Whether every repetition has a result: else the mean is one of survivors, and is not compared."""
        return self.status == "ok"

    @property
    def equals(self) -> bool:
        """Whether it has no result because it equals another row's, which its reason names."""
        return self.status == "skipped" and self.reason.startswith(EQUALS)

    @property
    def counts(self) -> bool:
        """Whether it is complete, made here, for any student, and not the set that all others are part of."""
        return self.complete and self.kind != "reference" and self.source == "measured" and not self.own_student

    @property
    def ranked(self) -> bool:
        """Whether it takes part in comparisons within its column: it counts, and has the column's size."""
        return self.counts and self.own_n is None


def cell_of(observations: Sequence[Observation]) -> Cell:
    """Average the observations of one cell: first students, then repetitions."""
    ordered = sorted(observations, key=lambda o: (o.r, o.e))
    first = ordered[0]
    repetitions: dict[int, list[Observation]] = {}
    for observation in ordered:
        repetitions.setdefault(observation.r, []).append(observation)
    scores = {}
    for r, students in repetitions.items():
        values = [student.top1 for student in students if student.top1 is not None]
        if len(values) == len(students):
            scores[r] = fmean(values)  # rounded where scores are compared: rounding twice would break ties
    bad = next((o for o in ordered if o.r not in scores and o.top1 is None), None)
    counted = [students for r, students in repetitions.items() if r in scores]
    difficulties = _difficulties(counted)
    return Cell(
        scores=scores,
        planned=len(repetitions),
        students=max(len(students) for students in repetitions.values()),
        status="ok" if bad is None else bad.status,
        reason="" if bad is None else bad.reason,
        kind=first.kind,
        source=first.source,
        updates=first.updates,
        cost=cost_of_cell(ordered),
        one_set=len(repetitions) > 1 and len({o.set_key for o in ordered if o.r in scores}) == 1,
        shared=_shared(ordered),
        details=_details(ordered),
        as_run=any(o.condensation is not None and o.condensation.as_run for o in ordered),
        own_student=first.facts.own_student,
        recipe_updates=max((o.metrics["recipe_updates"] for o in ordered if _was_cut(o)), default=None),
        per_class=_means(counted, "per_class"),
        quartiles=_means(counted, "quartiles") if len(difficulties) < 2 else None,
        difficulties=difficulties,
        top1_uint8=_mean(counted, "top1_uint8"),
        full_stopped=_mean(counted, "full_stopped"),
        full_stopped_updates=_mean(counted, "full_stopped_updates"),
        full_stopped_by=_stopped_by(counted),
        own_n=_own_n(first),
        correct={r: found for r in scores if (found := _correct(repetitions[r]))},
        spent=spent_by_repetition(ordered),
    )


def _was_cut(observation: Observation) -> bool:
    """Whether a student was trained for fewer updates than its recipe asks for."""
    wanted = observation.metrics.get("recipe_updates")
    return wanted is not None and (observation.updates is None or observation.updates < wanted)


def _own_n(observation: Observation) -> int | None:
    """How many images a set has that has not its column's size."""
    if observation.facts.buys is not None:
        return observation.facts.buys.images
    n, allowed = observation.recipe.get("n"), observation.facts.n
    return None if observation.method != IMPORTED or None in (n, allowed) or n == allowed else n


def _correct(students: Sequence[Observation]) -> tuple[str, ...]:
    """What the students were right about; empty when a record does not say."""
    found = tuple(str(student.metrics.get("correct", "")) for student in students)
    return found if all(found) else ()


def _difficulties(repetitions: Sequence[Sequence[Observation]]) -> tuple[str, ...]:
    """Digests of the difficulties that quartiles were taken by; empty text for a record that does not say."""
    told = [student.metrics for students in repetitions for student in students if "quartiles" in student.metrics]
    return tuple(sorted({str(metrics.get("difficulty", "")) for metrics in told}))


def _stopped_by(repetitions: Sequence[Sequence[Observation]]) -> tuple[Timer, ...]:
    """The timers that ``full`` was stopped by; records of before do not say: it was the wall's."""
    told = [student.metrics for students in repetitions for student in students if "full_stopped" in student.metrics]
    return tuple(sorted({metrics.get("full_stopped_by", "wall") for metrics in told}))


def _means(repetitions: Sequence[Sequence[Observation]], name: str) -> tuple[float, ...] | None:
    """Means of a metric, number by number, over students and then repetitions; None unless all results have it."""
    values = [[_numbers(student.metrics.get(name)) for student in students] for students in repetitions]
    lengths = {len(numbers) for students in values for numbers in students}
    if len(lengths) != 1 or 0 in lengths:
        return None
    return tuple(
        round(fmean(fmean(student[i] for student in students) for students in values), DIGITS)
        for i in range(lengths.pop())
    )


def _mean(repetitions: Sequence[Sequence[Observation]], name: str) -> float | None:
    """Mean of a metric that is one number."""
    found = _means(repetitions, name)
    return None if found is None else found[0]


def _numbers(value: Any) -> list[float]:
    """A metric as a list of numbers; empty when it is missing, or part of it is (a class without test images)."""
    numbers = value if isinstance(value, list) else [value]
    return [float(x) for x in numbers] if all(isinstance(x, int | float) for x in numbers) else []


def _shared(observations: Sequence[Observation]) -> tuple[str, ...]:
    """Artifacts that repetitions share; whitening depends on the data alone, so that says nothing.

    Nor does the file of an imported set: that repetitions share it is said of the set itself.
    """
    if observations[0].source == "imported":
        return ()
    readers: dict[tuple[str, str], set[int]] = {}
    for observation in observations:
        for item in observation.artifacts.items():
            readers.setdefault(item, set()).add(observation.r)
    return tuple(sorted({name for (name, _), who in readers.items() if len(who) > 1 and name != "whitening"}))


def _details(observations: Sequence[Observation]) -> dict[str, float]:
    """The means of the numbers that all sets of a cell have."""
    made = {o.condensation.key: o.condensation.metrics for o in observations if o.condensation is not None}
    names = [name for name in next(iter(made.values()), {}) if all(name in metrics for metrics in made.values())]
    return {name: fmean(metrics[name] for metrics in made.values()) for name in names}
