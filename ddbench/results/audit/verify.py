"""Whether a stored result holds: its files say what its record says, and fresh students score as the recorded ones.

Imports torch only to train.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ddbench.core.errors import CorruptFileError
from ddbench.core.keys import canonical, condense_key
from ddbench.core.plugin.loader import Registries
from ddbench.core.records import Record, said
from ddbench.core.specs import CellSpec
from ddbench.core.store.files import read_small
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path
from ddbench.core.trust import doubt, doubt_of_labels, doubt_of_place
from ddbench.plan.derived import all_names
from ddbench.results.audit.retrain import MakeWorker, title_of, train_again, with_its_rate
from ddbench.results.stats.prediction import Interval, prediction_interval
from ddbench.results.tables.protocols import declared_by
from ddbench.work.evaluate.predictions import labels_of_test, read_predictions, wrong_accuracies
from ddbench.work.monitor import Monitor

Verdict = Literal["inside", "outside", "same", "differs", "failed", "not made"]
GOOD: frozenset[Verdict] = frozenset({"inside", "same"})
SAME_TO_THE_BIT: Mapping[str, str] = {
    "device": "kind of device",
    "threads": "number of threads",
    "engine": "engine",
    "compiled": "build of the compiled operations (another CPU or compiler)",
    "torch": "version of torch",
    "machine": "CPU architecture",
}
"""Where these fields of two records' ``env`` agree, the same seed must give the same predictions; their names."""


# ---------------------------------------------------------------------------------------------------------------- files


def wrong_files(store: Store, folder: Path, registries: Registries) -> list[str]:
    """What does not fit together in the folder of a set; empty when all is well.

    Compared are the set with its sha256, keys with the documents they stand for and with the names of files,
    evaluations with the set they say they are of, and accuracies with the stored predictions.

    Args:
        store: The results folder.
        folder: The set's.
        registries: For the axes of its method.

    Raises:
        DataError: If the data set is not prepared here.
        NewerRecordError: If a record is one of a newer ddbench.
    """
    names = all_names(registries)
    made, problems = _believed(folder / CONDENSE)
    if made is not None:
        if (called := doubt_of_labels(made, names)) is not None:
            problems.append(f"{CONDENSE}: {called}")
        cell = made.document.cell
        if cell.method in registries.methods:
            axes = registries.methods.get(cell.method).axes
            if condense_key(cell, axes, [key for _, key in made.document.artifacts.values()]) != made.key:
                problems.append(f"{CONDENSE}: its document has another key")
        if made.status == "ok" and (folder / SET).is_file():
            try:
                store.load_set(folder, keep=True)
            except CorruptFileError as error:
                problems.append(str(error))
    for path in sorted((folder / "eval").glob("*.json")):
        found, why = _believed(path)
        problems += why
        if found is None:
            continue
        if made is not None and found.status == "ok" and found.set_sha256 != made.set_sha256:
            problems.append(f"{path.name}: evaluates another set")
        elif (called := doubt_of_labels(found, names)) is not None:
            problems.append(f"{path.name}: {called}")
        elif found.status == "ok" and (wrong := _wrong_accuracy(path, found)):
            problems.append(f"{path.name}: {wrong}")
    return problems


def _believed(path: Path) -> tuple[Record | None, list[str]]:
    """A record, or why it is none that can be believed."""
    try:
        record = Record.from_json(read_small(path), path.name)
    except FileNotFoundError:
        return None, []
    except OSError as error:
        return None, [f"{path.name}: {error.strerror}"]
    except CorruptFileError as error:
        return None, [str(error)]
    why = doubt_of_place(record, path) or doubt(record)
    return (None, [f"{path.name}: {why}"]) if why else (record, [])


def evaluations_in(folder: Path) -> list[tuple[Path, Record]]:
    """The evaluations of the set in ``folder``, with their paths.

    Raises:
        CorruptFileError: If one cannot be read.
    """
    paths = sorted((folder / "eval").glob("*.json"))
    return [(path, Record.from_json(read_small(path), str(path))) for path in paths]


def _wrong_accuracy(path: Path, record: Record) -> str | None:
    try:
        predictions = read_predictions(path.with_suffix(".safetensors"), record.n_test)
    except CorruptFileError as error:
        return str(error)
    return wrong_accuracies(record, predictions, labels_of_test(record.document.cell.data))


# ---------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True, slots=True)
class Case:
    """What is verified at once: a set under one protocol with one student network.

    Attributes:
        title: Name for people.
        records: Its evaluations, a student each.
        row: Accuracies [%] of all recorded students of its row, a group for each set; its own set comes first.
        used: Students of the set that are already recorded.
    """

    title: str
    records: tuple[Record, ...]
    row: tuple[tuple[float, ...], ...]
    used: frozenset[int]

    @property
    def trains_student(self) -> bool:
        """Whether its protocol trains fresh students; without, there are no others than the recorded ones."""
        base = self.records[0].evaluation
        return declared_by(base.protocol, [base.facts]).trains_student and not base.facts.own_student

    @property
    def recorded(self) -> float:
        """Mean accuracy [%] of its records."""
        return fmean(record.metrics["top1"] for record in self.records)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a case.

    Attributes:
        case: What was checked.
        fresh: Mean accuracy [%] of the students trained now; None when one failed.
        interval: What it was held against.
        verdict: The outcome.
        why: What else needs saying.
        same_set: Whether the set, made again, is the recorded one to the bit; None: it was not made again.
    """

    case: Case
    fresh: float | None
    interval: Interval
    verdict: Verdict
    why: str = ""
    same_set: bool | None = None


def with_sets(store: Store) -> Iterator[Record]:
    """The evaluations of a results folder whose sets have their records beside them."""
    for path, record in store.records():
        if record.kind == "evaluation" and (path.parents[1] / CONDENSE).is_file():
            yield record


def cases_of(beside: Iterable[Record], evaluations: Iterable[Record]) -> list[Case]:
    """The cases of evaluations, by set.

    Args:
        beside: Where evaluations of the same rows are looked for.
        evaluations: Those to verify; those without a result are left out.
    """
    everyone: dict[str, list[Record]] = {}
    for record in beside:
        if record.kind == "evaluation" and record.status == "ok":
            everyone.setdefault(_row(record), []).append(record)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in evaluations:
        if record.status == "ok":
            groups.setdefault((_row(record), record.evaluation.eval.set), []).append(record)
    found = []
    for (row, _), members in groups.items():
        row_of_it, its_set = everyone.get(row, members), members[0].evaluation.eval.set
        used = {o.eval.e for record in row_of_it if (o := record.evaluation).eval.set == its_set}
        by_set: dict[str | None, list[float]] = {members[0].set_sha256: []}  # equal sets are one, whatever their keys
        for record in row_of_it:
            by_set.setdefault(record.set_sha256, []).append(record.metrics["top1"])
        accuracies = tuple(tuple(group) for group in by_set.values())
        found.append(Case(title_of(members[0]), tuple(members), accuracies, frozenset(used)))
    return found


def _row(record: Record) -> str:
    """What students of one row share: all but repetition and student; those that are not reported are none of it."""
    document = record.evaluation
    axes, recipe, start = document.facts.axes, document.recipe, document.set.initial
    made = _cell(document.cell, ("arch", "budget") if axes is None else axes)
    student = document.eval.model_dump(mode="json", exclude={"set", "r", "e"})
    student["protocol_params"].pop("recipe_of", None)
    return canonical(
        [
            document.reported,
            made,
            document.set.bf16,
            student,
            None if recipe is None else _cell(recipe.cell, ("arch", "budget")),
            *([] if start is None else [_cell(start.cell, ("arch", "budget"))]),
        ]
    )


def _cell(cell: CellSpec, axes: Sequence[str]) -> dict[str, Any]:
    return cell.model_dump(mode="json", exclude={"r", "initial", *({"arch", "budget"} - set(axes))})


# ------------------------------------------------------------------------------------------------------------- training


def verify(store: Store, case: Case, make: MakeWorker, watch: Monitor, *, fresh: int, level: float) -> Finding:
    """Train ``fresh`` students that were not recorded, and hold their mean against the row's recorded accuracies.

    They take the learning rate that the recorded student had. Nothing in ``store`` changes.

    Args:
        store: Holds the set.
        case: What to verify.
        make: Gives the worker that trains.
        watch: Told when a student begins and ends.
        fresh: Students to train, ≥ 1.
        level: Of the prediction interval.
    """
    base = case.records[0]
    interval = prediction_interval(case.row, n_test=base.n_test or 1, fresh=fresh, level=level)
    numbers = [e for e in range(max(case.used) + fresh + 1) if e not in case.used][:fresh]
    trained = [
        found for _, _, found in train_again(store, [(base, with_its_rate(base, e)) for e in numbers], make, watch)
    ]
    if (failed := next((found for found in trained if found.status != "ok"), None)) is not None:
        return Finding(case, None, interval, "failed", said(failed.status, failed.reason))
    mean = fmean(found.metrics["top1"] for found in trained)
    return Finding(case, mean, interval, "inside" if interval.contains(mean) else "outside")


def rounded_otherwise(fields: Iterable[str]) -> str:
    """``recorded with another version of torch, so rounding may differ``, for fields of :data:`SAME_TO_THE_BIT`."""
    others = " and another ".join(SAME_TO_THE_BIT[name] for name in fields)
    return f"recorded with another {others}, so rounding may differ"


def repeat(store: Store, case: Case, make: MakeWorker, watch: Monitor, *, level: float) -> Finding:
    """Train the recorded students again: same seeds, same device and threads, so the same predictions to the bit.

    Where torch or the machine are others than recorded, rounding may differ: the accuracy is then held against the
    prediction interval. Arguments as for :func:`verify`.
    """
    n_test = case.records[0].n_test or 1
    interval = prediction_interval(case.row, n_test=n_test, fresh=len(case.records), level=level)
    changed, other, scores = 0, set[str](), []
    wanted = [(record, record.evaluation) for record in case.records]
    for record, path, found in train_again(store, wanted, make, watch):
        if found.status != "ok":
            return Finding(case, None, interval, "failed", said(found.status, found.reason))
        stored = evaluation_path(store.folder(record.document.set), record.key).with_suffix(".safetensors")
        changed += int((read_predictions(path) != read_predictions(stored, n_test)).sum())
        other |= {name for name in SAME_TO_THE_BIT if record.env.get(name) != found.env.get(name)}
        scores.append(found.metrics["top1"])
    mean, total = fmean(scores), n_test * len(scores)
    if not changed:
        return Finding(case, mean, interval, "same")
    why = f"{changed} of {total} predictions differ"
    if not other:
        return Finding(case, mean, interval, "differs", why)
    why += f"; {rounded_otherwise(other)}"
    return Finding(case, mean, interval, "inside" if interval.contains(mean) else "outside", why)
