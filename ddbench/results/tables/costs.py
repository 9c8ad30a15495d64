"""What the sets of one cell took, and which seconds several cells can be compared by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, median
from typing import Any, Literal

from ddbench.core.records import TIMERS, Cost, Timer, first_known
from ddbench.results.tables.observations import Observation

Phase = Literal["condense", "artifact", "artifact_rest", "evaluate", "train"]
MAKING: tuple[Phase, ...] = ("condense", "artifact")
"""The phases that make a set."""
WORDS: dict[Timer, str] = {"device": "device seconds", "cpu": "CPU seconds", "wall": "wall seconds"}


def name_of(phase: Phase, timer: Timer) -> str:
    """``condense_s``, ``condense_cpu_s``, ``condense_device_s``: what seconds are called in :class:`CellCost`."""
    return f"{phase}_s" if timer == "wall" else f"{phase}_{timer}_s"


@dataclass(frozen=True, slots=True)
class CellCost:
    """What one set of this cell took: medians over repetitions; None where nothing was condensed, or not measured.

    Seconds stand three times: on the wall, of the process's threads (``cpu``), and on the clock of a GPU (``device``).

    Attributes:
        condense_s: Seconds to prepare and condense.
        condense_cpu_s: The same by the other timers, and so on.
        artifact_s: Seconds to build what the method can open of the artifacts it read.
        artifact_rest_s: Seconds to build the rest of them; None where records do not tell it apart.
        evaluate_s: Seconds of training and testing per student, and of its own search for a learning rate. Where
            repetition −1 chose for all, they made none, and what its set and student took is in no field.
        train_s: Seconds to train and test one student, without a search.
        peak_mb: Peak memory of condensing [MB].
        device_mb: Peak memory on a GPU [MB].
        bytes: Stored bytes, mean over repetitions.
        warm: Whether all peaks are above the level after a warm-up; None without a peak.
        kept: Whether one of the processes kept what it had freed.
        contended: Whether other processes used the cores meanwhile.
        beside: The most nodes of ddbench that were seen to run beside one of its sets; None where nobody looked.
    """

    condense_s: float | None = None
    condense_cpu_s: float | None = None
    condense_device_s: float | None = None
    artifact_s: float | None = None
    artifact_cpu_s: float | None = None
    artifact_device_s: float | None = None
    artifact_rest_s: float | None = None
    artifact_rest_cpu_s: float | None = None
    artifact_rest_device_s: float | None = None
    evaluate_s: float | None = None
    evaluate_cpu_s: float | None = None
    evaluate_device_s: float | None = None
    train_s: float | None = None
    train_cpu_s: float | None = None
    train_device_s: float | None = None
    peak_mb: float | None = None
    device_mb: float | None = None
    bytes: float | None = None
    warm: bool | None = None
    kept: bool = False
    contended: bool = False
    beside: int | None = None

    def get(self, phase: Phase, timer: Timer) -> float | None:
        """Seconds of a phase by a timer."""
        found: float | None = getattr(self, name_of(phase, timer))
        return found

    def making(self, timer: Timer) -> float | None:
        """Seconds to make one set, and what it can open of the artifacts that it read; None where nothing was made."""
        condense, artifact = self.get("condense", timer), self.get("artifact", timer)
        return None if condense is None or artifact is None else condense + artifact


def timer_of(costs: Iterable[CellCost], phases: Sequence[Phase] = MAKING) -> Timer:
    """The seconds by which costs can be compared: of a GPU or of the CPU where all have them, else on the wall.

    Args:
        costs: What is compared.
        phases: Of these; what a cost has no wall seconds of did not happen, and is no hindrance.
    """
    return comparable(partial(cost.get, phase) for cost in costs for phase in phases)


def comparable(spent: Iterable[Callable[[Timer], float | None]]) -> Timer:
    """The timer by which several things can be compared, or added up.

    Args:
        spent: Of each, its seconds by a timer, None where that was not read; what has no wall seconds did not happen.
    """
    known = [by for by in spent if by("wall") is not None]
    if not known:
        return "wall"
    # Half of them on a GPU, the other half not: their CPU seconds are not of one kind of work.
    mixed = len({by("device") is None for by in known if by("wall")}) > 1
    return first_known(lambda timer: all(by(timer) is not None for by in known) and not (timer == "cpu" and mixed))


def cost_of_cell(observations: Sequence[Observation]) -> CellCost:
    """What the sets of a cell and their students took."""
    spent = CellCost(**_of_students([o for o in observations if o.top1 is not None]))
    first = observations[0]
    if first.kind == "reference":
        image, n = first.facts.image_bytes, first.facts.n
        return spent if image is None or n is None else replace(spent, bytes=float((image + 1) * n))
    made = [o.condensation for o in observations if o.condensation is not None]
    if first.source != "measured":  # what it took to make is unknown: here it was only read
        sizes = [sum(record.cost.bytes.values()) for record in made]
        return replace(spent, bytes=fmean(sizes)) if any(sizes) else spent
    sets = {record.key: record.cost for record in made if record.status == "ok"}
    return replace(spent, **_of_sets(list(sets.values()))) if sets else spent


@dataclass(frozen=True, slots=True)
class Spent:
    """What the set of one repetition took; None where that was not measured.

    Attributes:
        cpu_s: CPU seconds to make it, and what it can open of the artifacts that it read.
        peak_mb: Peak memory of condensing [MB].
    """

    cpu_s: float | None
    peak_mb: float | None


def spent_by_repetition(observations: Sequence[Observation]) -> dict[int, Spent]:
    """Of the repetitions whose sets were made here."""
    found = {}
    for r, made in {o.r: o.condensation for o in observations if o.source == "measured"}.items():
        if made is None or made.status != "ok" or observations[0].kind == "reference":
            continue
        took = made.cost.by("cpu")
        seconds = None
        if took is not None and took.artifact_s is not None:
            seconds = took.prepare_s + took.condense_s + took.artifact_s
        found[r] = Spent(seconds, made.cost.peak_mb or None)
    return found


def _of_students(finished: Sequence[Observation]) -> dict[str, Any]:
    """Medians over repetitions of the medians over their students."""
    repetitions: dict[int, list[Observation]] = {}
    for observation in finished:
        repetitions.setdefault(observation.r, []).append(observation)
    found = {}
    phases: tuple[Phase, ...] = ("evaluate", "train")
    for timer in TIMERS:
        for phase in phases:
            seconds = [_median([getattr(o, phase).get(timer) for o in those]) for those in repetitions.values()]
            found[name_of(phase, timer)] = _median(seconds)
    return found


def _of_sets(costs: Sequence[Cost]) -> dict[str, Any]:
    """What the sets of a cell took and take."""
    found: dict[str, Any] = {}
    for timer in TIMERS:
        spent = [cost.by(timer) for cost in costs]
        found |= {
            name_of("condense", timer): _median([None if s is None else s.prepare_s + s.condense_s for s in spent]),
            name_of("artifact", timer): _median([None if s is None else s.artifact_s for s in spent]),
            name_of("artifact_rest", timer): _median([None if s is None else s.artifact_rest_s for s in spent]),
        }
    peaks = [cost for cost in costs if cost.peak_mb or cost.peak_from]
    return found | {
        "peak_mb": _median([cost.peak_mb for cost in peaks]),
        "device_mb": _median([cost.device_mb for cost in costs]),
        "bytes": fmean(sum(cost.bytes.values()) for cost in costs),
        "warm": all(cost.warm for cost in peaks) if peaks else None,
        "kept": any(cost.kept for cost in peaks),
        "contended": any(cost.contended for cost in costs),
        "beside": max((cost.beside for cost in costs if cost.beside is not None), default=None),
    }


def _median(values: Sequence[float | None]) -> float | None:
    """None unless all are known: a median of those that happen to be is one of other repetitions."""
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None
