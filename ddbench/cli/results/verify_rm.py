"""`ddbench results verify | rm`: what is done to one stored result, named by the beginning of its key."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ddbench.cli.options import PLUGIN, CommaList, Place, join
from ddbench.cli.records import summary
from ddbench.cli.results.students import students
from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import short
from ddbench.core.store.claims import Claim, Watch, acquire
from ddbench.core.store.folder import CHECKPOINT, Store, newer_below
from ddbench.core.words import plural
from ddbench.library.folders import opened
from ddbench.library.found import find_record, set_of

if TYPE_CHECKING:
    from ddbench.core.plugin.loader import Registries
    from ddbench.results.audit.verify import Case, Finding

NAMES = CommaList(str)
_SETS = {True: "same", False: "other bits", None: "–"}
OUT = click.option("--out", type=Place(path_type=Path), default=Path("runs"), show_default=True, help="Results folder.")


@click.command()
@click.argument("key", required=False)
@click.option("--out", type=Place(path_type=Path), help="Results folder. [runs; with --records a temporary one]")
@click.option("--records", type=Place(path_type=Path), multiple=True, metavar="FILE",
              help="A file of records (.jsonl): make what it tells of again, from the records alone.")  # fmt: skip
@click.option("--row", type=NAMES, multiple=True, help="Of --records: rows, by label or method. [all]")
@click.option("--dataset", type=NAMES, multiple=True, help="Data sets. [all]")
@click.option("--ipc", type=CommaList(int), multiple=True, help="Images per class. [all]")
@click.option("--fraction", type=CommaList(float), multiple=True, help="Shares of the training images. [all]")
@click.option("--protocol", type=NAMES, multiple=True, help="Protocols, without version. [all]")
@click.option("--repetition", type=CommaList(int), multiple=True, help="Repetitions, from 0. [all]")
@click.option("--dry-run", is_flag=True,
              help="Of --records: say what would be made, how long it takes, and what cannot be made.")  # fmt: skip
@click.option("--files-only", is_flag=True,
              help="Compare files, keys and predictions; train nothing, and need no plugin.")  # fmt: skip
@click.option("--student-seeds", type=click.IntRange(1), default=1, show_default=True,
              help="Fresh students for each protocol and network; their mean is judged.")  # fmt: skip
@click.option("--same", is_flag=True, help="Train the recorded students again: the same predictions to the bit.")
@PLUGIN
def verify(key: str | None, out: Path | None, **given: Any) -> int:
    """Train students on a stored set again and say whether they score as recorded, or make records again.

    KEY is the beginning of a set's key, or of the key of one of its evaluations. First the files are compared with
    their records, and accuracies with the stored predictions. Then a new student is trained for each protocol and
    student network; its accuracy should lie in the prediction interval of the recorded ones; where the protocol trains
    none, the result is computed again, and should be the same. The interval comes from
    the recorded students of the same set if there are at least three, otherwise from those of all repetitions: then
    the repetition is the unit, and with one recorded student in each, more --student-seeds do not narrow the interval.
    What needs a plugin that is not here, or another text of one, fails, and the rest is verified.
    Nothing is written into the results. Exit code 1: outside, failed, or a file is wrong.

    With --records in place of KEY, sets and students are made again from what a file of records says (and artifacts
    that are not in $DDBENCH_HOME), with the device, threads and engine of the records where they are here. Is the set
    the same to the bit, and are its students right about the same images? If not, their mean should lie in the
    prediction interval of the recorded repetitions. How long it takes is said first. What cannot be made here is a row
    that says why, also of a --dry-run. Exit code 1: outside, failed, or not made here.
    """
    narrowing = {name: given.pop(name) for name in ("row", "dataset", "ipc", "fraction", "protocol", "repetition")}
    files, dry_run = given.pop("records"), given.pop("dry_run")
    used = [name for name in given if _typed(name)] if files else [name for name in narrowing if narrowing[name]]
    used += ["dry_run"] if dry_run and not files else []
    if used or (key is None) == (not files):
        what = f"--{used[0].replace('_', '-')} does not go with {'--records' if files else 'KEY'}: " if used else ""
        raise UsageError(f"{what}give either KEY, or --records FILE with what narrows it")
    if key is not None:
        return _verify_key(key, out or Path("runs"), **given)
    from ddbench.cli.results.referee import referee, summary

    filters = {name: join(values) for name, values in narrowing.items()}
    findings, level = referee(files, filters, out, only_plan=dry_run)
    if not findings:
        return 0
    _print(findings, "again", "again: made from the records alone, the sets included", level)
    for line in summary(findings):
        click.echo(line)
    return _exit_code(findings)


def _typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) == ParameterSource.COMMANDLINE


def _exit_code(findings: list[Finding]) -> int:
    from ddbench.results.audit.verify import GOOD

    judged = [f for f in findings if not (f.interval.weak and f.verdict == "outside")]
    return 0 if all(finding.verdict in GOOD for finding in judged) else 1


def _verify_key(key: str, out: Path, *, files_only: bool, student_seeds: int, same: bool) -> int:
    from ddbench.core.plugin.loader import active
    from ddbench.results.audit.verify import cases_of, evaluations_in, with_sets, wrong_files

    registries = active()
    store = opened(out)
    found = find_record(store, key)
    folder = found.folder
    if problems := wrong_files(store, folder, registries):
        raise CorruptFileError(f"{folder}: {'; '.join(problems)}")
    made = set_of(store, found)
    evaluations = [record for _, record in evaluations_in(folder)]
    count = plural(len(evaluations), "evaluation")
    click.echo(f"{short(made.key)}: the set (sha256 {made.set_sha256}) and its {count}: files as recorded")
    if files_only:
        return 0
    cell = made.document.cell
    if cell.method not in registries.methods and (reason := registries.missing(cell)) is not None:
        raise UsageError(f"{found.name}: {reason}; --files-only needs no plugin")
    chosen = [found.record] if found.record.kind == "evaluation" else evaluations
    cases = cases_of(with_sets(store), chosen)
    if not cases:
        raise UsageError(f"{found.name}: no finished evaluation to compare with; run the same command as before")
    reasons = [registries.unlike_record(case.records[0].evaluation.eval) for case in cases]  # alike for its students
    if all(reasons):
        raise UsageError(f"{found.name}: {reasons[0]}")
    level = 1 - 0.05 / len(cases)
    findings = _train(store, cases, registries, fresh=None if same else student_seeds, level=level)
    new = "a student with a new seed" if student_seeds == 1 else f"mean of {student_seeds} students with new seeds"
    who = "again: the recorded students, same seeds" if same else f"fresh: {new}"
    if not (same or all(finding.case.trains_student for finding in findings)):
        who += " (computed again where the protocol trains none)"
    _print(findings, "again" if same else "fresh", who, level)
    return _exit_code(findings)


def _train(store: Store, cases: list[Case], known: Registries, *, fresh: int | None, level: float) -> list[Finding]:
    from ddbench.results.audit.verify import repeat
    from ddbench.results.audit.verify import verify as train

    numbers = [(case, fresh if case.trains_student else None) for case in cases]  # None: the recorded ones again
    with students(known, sum(new or len(case.records) for case, new in numbers)) as (worker, watcher):
        return [
            repeat(store, case, worker, watcher, level=level)
            if new is None
            else train(store, case, worker, watcher, fresh=new, level=level)
            for case, new in numbers
        ]


def _print(findings: list[Finding], column: str, who: str, level: float) -> None:
    """The table of findings; ``column``: head of what was computed now, ``who``: by whom."""
    from tabulate import tabulate

    again = any(finding.same_set is not None for finding in findings)
    rows = [
        {
            "evaluation": finding.case.title,
            "recorded": f"{finding.case.recorded:.2f}",
            **({"set": _SETS[finding.same_set]} if again else {}),
            column: "–" if finding.fresh is None else f"{finding.fresh:.2f}",
            "interval": f"[{finding.interval.low:.2f}, {finding.interval.high:.2f}]"
            + (" weak" if finding.interval.weak else ""),
            "of": finding.interval.n,
            "verdict": finding.verdict + (f": {finding.why}" if finding.why else ""),
        }
        for finding in findings
    ]
    click.echo(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))
    click.echo(f"test top-1 %; {who}; interval: {100 * level:.3g} % prediction, of so many recorded students")
    if any(finding.interval.weak for finding in findings):
        click.echo(
            "weak: below three recorded students only the size of the test set is known to spread accuracies: such an "
            "interval is too narrow to judge by, and does not decide the exit code"
        )


@click.command()
@click.argument("key")
@OUT
@click.option("--shared", is_flag=True, help="Also results of `full`, which all folders read from $DDBENCH_HOME.")
def rm(key: str, out: Path, shared: bool) -> None:
    """Remove a set with its evaluations, or one evaluation; the next run makes it again.

    KEY is the beginning of the set's key, or of the evaluation's. Results of `full` are those of every results folder,
    whatever --out says: they go only with --shared.
    """
    store = opened(out)
    found = find_record(store, key)
    in_all = found.record.document.set.shared
    if in_all and not shared:
        raise UsageError(f"{found.name} lies in {found.folder}, and every results folder reads it: add --shared")
    if newer := newer_below(found.folder) if found.record.kind == "condense" else []:
        raise UsageError(f"{found.name} has evaluations that would be lost with it: {summary(newer)}")
    evaluations = [found.path] if found.record.kind == "evaluation" else sorted((found.folder / "eval").glob("*.json"))
    with contextlib.ExitStack() as claims:
        nodes = {short(found.record.key), *(path.stem for path in evaluations)}
        for node in sorted(nodes):
            claims.enter_context(_claim(store.claims(shared=in_all), node))
        if found.record.kind == "condense":
            store.remove_set(found.folder, shared=in_all)
            click.echo(f"removed {found.name} and {plural(len(evaluations), 'evaluation')} of it")
            return
        for ending in (".json", ".safetensors", f".{CHECKPOINT}", ".log"):
            found.path.with_suffix(ending).unlink(missing_ok=True)
    click.echo(f"removed the evaluation {found.name}; its set stays")


def _claim(folder: Path, node: str) -> Claim:
    """The claim on a node, so that nobody computes it while it is removed.

    Raises:
        UsageError: If a run holds it.
    """
    claim = acquire(folder, node, Watch())
    if claim is None:
        raise UsageError(
            f"{node}: a run is working on it ({folder / node}.*): wait for it, or stop it; if that process ran on "
            "a machine that no longer exists, delete these files"
        )
    return claim
