"""The reproduction ledger: published numbers beside ours, from records alone, with a verdict where there can be one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import Field, ValidationError

from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import UsageError, first_problem
from ddbench.core.plugin.loader import active, params_class
from ddbench.core.records import Record
from ddbench.core.specs import Budget, CellSpec, Frozen
from ddbench.core.yaml import read_yaml
from ddbench.plan.presets import choose
from ddbench.publish.text.escape import escaped
from ddbench.results.stats import DIGITS, Summary, summary
from ddbench.results.tables.figures import NONE, fixed, superscript
from ddbench.results.tables.versions import WAITS, protocol_now


class Published(Frozen):
    """What a paper reports for one method, and the protocol of ours that stands nearest to theirs.

    Attributes:
        method: Name of the method.
        label: Name of the row, if not the method's.
        params: In which its settings differ from the presets of profile ``paper``.
        arch: Canonical name of the net, condensed with and trained, by ``dataset-ipc``, data set or ``default``.
        protocol: Id with version.
        preprocess: Space of the images, by the same keys.
        source: Where the numbers stand.
        over: What their ± is taken over.
        deltas: How our protocol differs from theirs.
        numbers: Data set → ipc → mean and sd [%]; sd None where the source gives none.
    """

    method: str
    label: str = ""
    params: Mapping[str, Any] = Field(default_factory=dict)
    arch: Mapping[str, str]
    protocol: str
    preprocess: Mapping[str, str] = Field(default_factory=lambda: {"default": "meanstd"})
    source: str
    over: str
    deltas: str
    numbers: Mapping[str, Mapping[int, tuple[float, float | None]]]

    @property
    def name(self) -> str:
        """Of the row."""
        return self.label or self.method

    def place(self, dataset: str, ipc: int) -> tuple[str, str]:
        """Architecture and preprocessing of a cell."""
        keys = (f"{dataset}-{ipc}", dataset, "default")
        arch, preprocess = (
            next(choices[key] for key in keys if key in choices) for choices in (self.arch, self.preprocess)
        )
        return arch, preprocess


class SamePixels(Frozen):
    """That a data set has the pixels of another one, under whose name numbers were published.

    Attributes:
        dataset: Name of the other one.
        note: How it is known, and what else differs.
    """

    dataset: str
    note: str


class Sources(Frozen):
    """A file of published numbers.

    Attributes:
        published: What papers report.
        pixels_of: Name of a data set of ours → the one that it is a copy of.
    """

    published: tuple[Published, ...]
    pixels_of: Mapping[str, SamePixels] = Field(default_factory=dict)

    def name_of(self, dataset: str) -> str:
        """The name under which numbers were published."""
        return self.pixels_of[dataset].dataset if dataset in self.pixels_of else dataset


@dataclass(slots=True)
class Ours:
    """What records hold of one published cell.

    Attributes:
        iterations: K, outer steps of the paper.
        copies: Names of the data sets, where these are not the published one's but have its pixels.
        runs: k → whether train ∪ val was condensed → repetition (master seed, r) → accuracies of its students [%].
    """

    iterations: int
    copies: dict[str, None] = field(default_factory=dict)
    runs: dict[int, dict[bool, dict[tuple[int, int], list[float]]]] = field(default_factory=dict)

    def add(self, k: int, whole: bool, r: tuple[int, int], top1: float) -> None:
        """One student of repetition r."""
        self.runs.setdefault(k, {}).setdefault(whole, {}).setdefault(r, []).append(top1)

    def best(self, k: int) -> tuple[bool, dict[tuple[int, int], list[float]]]:
        """Of the runs of k steps those on train ∪ val, if there are any."""
        return max(self.runs[k].items())

    def summary(self, k: int) -> Summary:
        """Over repetitions, each the mean of its students."""
        return summary([round(fmean(students), DIGITS) for _, students in sorted(self.best(k)[1].items())])

    @property
    def furthest(self) -> Summary:
        """Of the most steps that were made."""
        return self.summary(max(self.runs))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger: ours against theirs; ``how`` ours was evaluated where nothing was published."""

    name: str
    where: str
    theirs: tuple[float, float | None] | None
    published: Published | None
    ours: Ours
    how: str = ""


def read_published(path: Path) -> Sources:
    """The published numbers in a file.

    Raises:
        UsageError: If it cannot be read or says something else.
    """
    try:
        return Sources.model_validate(read_yaml(path, "published numbers"))
    except ValidationError as error:
        raise UsageError(f"published numbers {path}: {first_problem(error)}") from None


def distance(theirs: tuple[float, float | None] | None, ours: Ours) -> float | None:
    """Points between the published mean and ours after the most steps; None where nothing was published."""
    return None if theirs is None else round(abs(ours.furthest.mean - theirs[0]), DIGITS)


def within(theirs: tuple[float, float | None] | None, ours: Ours) -> bool | None:
    """Whether our mean lies within twice the published sd of the published mean; None where there is no sd."""
    found = distance(theirs, ours)
    return None if found is None or theirs is None or theirs[1] is None else found <= 2 * theirs[1]


def verdict(theirs: tuple[float, float | None] | None, ours: Ours) -> str:
    """``reproduced`` or not, when all steps were made on all data by three repetitions or more; else what is missing.

    Reproduced: our mean lies within the published mean ± 2 sd, and our 95 % interval is no wider than that; not
    reproduced: all of our interval lies outside. Without a published sd: our interval holds the published mean, or not.
    """
    k = max(ours.runs)
    if theirs is None:
        return "no reference"
    if k < ours.iterations:
        return f"partial ({k} of {ours.iterations} iterations)"
    whole, found = ours.best(k)[0], ours.summary(k)
    if not whole or found.half_width is None:
        few = found.half_width is None
        needed = [*([] if whole else ["--split paper"]), *(["3 repetitions"] if few else [])]
        return f"open (needs {' and '.join(needed)})"
    apart, band = abs(found.mean - theirs[0]), 2 * (theirs[1] or 0.0)
    if apart > band + found.half_width:
        return "not reproduced"
    if theirs[1] is not None and (apart > band or found.half_width > band):
        return "open (our interval is too wide)"
    return "reproduced"


def lines_of(sources: Sources, records: Iterable[Record]) -> list[Line]:
    """The cells that records speak of, in the order of the published numbers.

    Runs with the paper's settings for which nobody published a number come last, by protocol.
    """
    published = sources.published
    found: dict[tuple[int, str, int], Ours] = {}
    foreign: dict[tuple[str, ...], Ours] = {}
    for record in {record.key: record for record in records}.values():
        cell, ipc = record.document.cell, record.document.cell.budget.ipc
        if ipc is None or not _counts(record):
            continue
        method, dataset, student = cell.method, sources.name_of(cell.data.name), record.evaluation.eval
        whole, repetition = cell.data.split == "paper", (student.master, student.r)
        run = cell.params.get("iterations", 0), whole, repetition, record.metrics["top1"]
        for i, entry in enumerate(published):
            if _same(entry, record.evaluation, dataset, ipc):
                total = _paper(entry, dataset, ipc).get("iterations", 0)
                ours = found.setdefault((i, dataset, ipc), Ours(total))
                ours.add(*run)
                ours.copies |= {cell.data.name: None} if cell.data.name != dataset else {}
        known = any(entry.method == method and ipc in entry.numbers.get(dataset, {}) for entry in published)
        if not known and _follows(cell, _resolved(method, dataset, ipc, ())):
            nets = f"{cell.arch} → {student.arch}" if cell.arch != student.arch else student.arch
            how = f"{record.evaluation.protocol}, {nets}, {cell.data.preprocess}"
            foreign.setdefault((method, f"{dataset}, ipc {ipc}", how), Ours(run[0])).add(*run)
    lines = [
        Line(entry.name, f"{dataset}, ipc {ipc}", numbers.get(ipc), entry, found[i, dataset, ipc])
        for i, entry in enumerate(published)
        for dataset, numbers in entry.numbers.items()
        for ipc in numbers
        if (i, dataset, ipc) in found
    ]
    return lines + [Line(m, where, None, None, ours, how) for (m, where, how), ours in sorted(foreign.items())]


def _counts(record: Record) -> bool:
    """Whether a record is a result of ours at full length, on whole data."""
    if record.kind != "evaluation" or record.status != "ok" or record.source != "measured":
        return False
    if not record.document.reported:
        return False
    document = record.evaluation
    if document.cell.data.view or document.facts.kind == "reference":
        return False
    return document.profile == "paper"  # other profiles train shorter


def _same(entry: Published, document: EvaluationDocument, dataset: str, ipc: int) -> bool:
    """Whether a record is a run, or the first steps, of what was published."""
    cell = document.cell
    if cell.method != entry.method or ipc not in entry.numbers.get(dataset, {}):
        return False
    arch, preprocess = entry.place(dataset, ipc)
    if (document.eval.arch, document.protocol, cell.data.preprocess) != (arch, entry.protocol, preprocess):
        return False
    wanted = _paper(entry, dataset, ipc)
    # A method that depends on no architecture names one all the same: the student's says what was trained.
    free = "iterations" not in wanted or "arch" not in active().methods.get(cell.method).axes
    return (cell.arch == arch or free) and _follows(cell, wanted)


def _follows(cell: CellSpec, wanted: Mapping[str, Any]) -> bool:
    """Whether a cell has these parameters, or these and fewer iterations, by the method as it is now."""
    info, params = active().methods.get(cell.method), cell.params
    fields = params_class(info).model_fields
    # A parameter that came after the record stands at its default there.
    given = {name: params.get(name, field.default) for name, field in fields.items()}
    same = all(given[name] == value for name, value in wanted.items() if name != "iterations")
    fewer = params.get("iterations", 0) <= wanted.get("iterations", 0)
    return same and fewer and cell.method_version == info.version and not params.keys() - fields.keys()


def _paper(entry: Published, dataset: str, ipc: int) -> Mapping[str, Any]:
    return _resolved(entry.method, dataset, ipc, tuple(sorted(entry.params.items())))


@cache
def _resolved(method: str, dataset: str, ipc: int, extra: tuple[tuple[str, Any], ...]) -> Mapping[str, Any]:
    """All parameters of a method under profile ``paper``."""
    info = active().methods.get(method)
    given = {**choose(info, dataset, Budget(ipc=ipc), "paper").params, **dict(extra)}
    return dict(params_class(info).model_validate(given).model_dump(mode="json"))


def ledger(sources: Sources, records: Iterable[Record], grid: Callable[[Sequence[list[str]]], list[str]]) -> str:
    """The ledger as markdown: what was run with its verdict, then what was published and not run.

    Args:
        sources: From :func:`read_published`.
        records: All records that may speak of it.
        grid: Lays out rows of cells as lines of a markdown table.
    """
    lines = lines_of(sources, records)
    notes: dict[str, int] = {}
    rows = [["method", "data", "published", "ours", "apart", "within 2 sd", "verdict"]]
    for line in lines:
        entry = line.published
        about = [line.how] if entry is None else [_theirs(entry), entry.deltas]
        about += [f"{name}: {sources.pixels_of[name].note}" for name in line.ours.copies]
        about += _conditions(line)
        marks = [notes.setdefault(note, len(notes) + 1) for note in about]
        rows.append(
            [f"{line.name} {superscript(marks)}".strip(), line.where, _number(line.theirs), _ours(line.ours),
             *_comparison(line), verdict(line.theirs, line.ours)]
        )  # fmt: skip
    blocks = ["\n".join(grid(rows))] if lines else ["no run yet"]
    if notes:
        blocks.append("<br>\n".join(f"{superscript([mark])} {escaped(note)}" for note, mark in notes.items()))
    blocks.append(LEGEND)
    missing = list(_not_run(sources.published, {(line.name, line.where) for line in lines}))
    if missing:
        blocks += [
            "Published and not run:",
            "\n".join(grid([["method", "data", "ipc", "published", "source"], *missing])),
        ]
    return "\n\n".join(blocks) + "\n"


LEGEND = (
    "test top-1 %; ours: mean ± sd over repetitions with its 95 % interval (n), for fewer iterations the curve; apart: "
    "points between the published mean and ours after the most iterations; within 2 sd: whether that is at most twice "
    "the published sd, which is the spread of networks (dc and dsa: a hundred, of five sets), no error of the mean. "
    "reproduced: all iterations, condensed from train ∪ val (`--split paper`), three repetitions or more, our mean "
    "within 2 sd and our interval no wider than ± 2 sd; not reproduced: all of our interval outside; without a "
    "published sd our interval must hold the published mean; partial: fewer iterations, no verdict"
)


def _comparison(line: Line) -> list[str]:
    apart, near = distance(line.theirs, line.ours), within(line.theirs, line.ours)
    return [NONE if apart is None else fixed(apart, 1), NONE if near is None else "yes" if near else "no"]


def _theirs(entry: Published) -> str:
    now = protocol_now(entry.protocol)
    under = entry.protocol + (f" (ddbench has {now}: {WAITS})" if now else "")
    return f"{entry.name}: {entry.source}; ± over {entry.over}; ours under {under}"


def _conditions(line: Line) -> Iterator[str]:
    """What the runs themselves had different."""
    k = max(line.ours.runs)
    whole, repetitions = line.ours.best(k)
    students = min(len(students) for students in repetitions.values())
    if not whole:
        yield "condensed from train without val (90 % of it)"
    yield f"{len(repetitions)} repetition{'s'[: len(repetitions) > 1]} × {students} student{'s'[: students > 1]}"


def _number(value: tuple[float, float | None] | None) -> str:
    if value is None:
        return NONE
    return " ± ".join(fixed(part, 1) for part in value if part is not None)


def _ours(ours: Ours) -> str:
    """The result, or the curve over iterations of which the last is the furthest."""
    shown = []
    for k in sorted(ours.runs):
        found = ours.summary(k)
        text = " ± ".join(fixed(part, 1) for part in (found.mean, found.sd) if part is not None)
        if found.half_width is not None:
            text += f" [{fixed(found.mean - found.half_width, 1)}, {fixed(found.mean + found.half_width, 1)}]"
        shown.append(f"{text} ({found.n})" if k == ours.iterations else f"{k}: {text} ({found.n})")
    return " → ".join(shown)


def _not_run(published: Sequence[Published], run: set[tuple[str, str]]) -> Iterator[list[str]]:
    for entry in published:
        for dataset, numbers in entry.numbers.items():
            left = {ipc: value for ipc, value in numbers.items() if (entry.name, f"{dataset}, ipc {ipc}") not in run}
            if left:
                values = " / ".join(_number(value) for value in left.values())
                yield [entry.name, dataset, " / ".join(map(str, left)), values, entry.source]
