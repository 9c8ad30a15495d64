"""`ddbench results verify --records`: cells that files of records tell of are made again, and held against these."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from ddbench.cli.records import gathered
from ddbench.core.documents import Document, precision_of
from ddbench.core.errors import InterruptedRunError, UsageError, ambiguous
from ddbench.core.names import meant
from ddbench.core.records import ENGINES, Record
from ddbench.core.specs import Budget
from ddbench.core.words import plural

if TYPE_CHECKING:
    from ddbench.core.store.folder import Store
    from ddbench.library.runs import How
    from ddbench.plan.graph import Plan
    from ddbench.plan.speeds import Speeds
    from ddbench.results.audit.verify import Finding
    from ddbench.work.executors.base import Resources


def referee(
    files: tuple[Path, ...], filters: dict[str, list[Any]], out: Path | None, *, only_plan: bool
) -> tuple[list[Finding], float]:
    """Make the evaluations again that files tell of, with their sets, and judge them.

    Args:
        files: Files of records.
        filters: Which evaluations: ``row``, ``dataset``, ``protocol``, ``ipc``, ``fraction``, ``repetition`` → values;
            no value: all.
        out: Folder of what is made, where another call goes on; None: a temporary one.
        only_plan: Say how long it takes, and make nothing.

    Returns:
        What came of it, and the probability with which its intervals hold; where nothing was made, what cannot be.

    Raises:
        UsageError: If no evaluation is meant, or ``out`` holds the recorded results themselves.
    """
    from ddbench.core.plugin.loader import active
    from ddbench.core.process_state import kept
    from ddbench.library.progress import Progress
    from ddbench.library.runs import How, perform
    from ddbench.plan.remake import plan_again, speeds_recorded
    from ddbench.plan.status import assess
    from ddbench.results.audit.remade import Apart, judge
    from ddbench.work.evaluate.predictions import Recounter

    records = gathered(None, files)
    wanted = _meant(records, filters)
    with kept():
        plan, refused = plan_again(wanted, active())
    with _folder(out) as place:
        store = Apart(place, Recounter(), aside=not only_plan)
        assess(plan, store, retry_failed=True)
        _refuse_itself(plan, records, place)
        _say(plan, len(wanted), sum(one.key in refused for one in wanted))
        how = How(executor="local", isolate="never", reference_limit_s=math.inf, retry_failed=True)
        recorded = speeds_recorded(plan, records)
        try:
            if plan.pending() and only_plan:
                _tell(_forecast(plan, store, how, recorded))
            elif plan.pending():
                perform(plan, store, how, lambda: Progress("auto"), _tell, _as_recorded(plan, records), recorded)
        except InterruptedRunError as error:
            if out is None:
                raise InterruptedRunError("interrupted; nothing of it is kept (--out FOLDER keeps it)") from error
            raise
        findings, level = judge(records, wanted, plan, refused)
        return [one for one in findings if not only_plan or one.verdict == "not made"], level


def summary(findings: Sequence[Finding]) -> Iterator[str]:
    """What came of all, a line for each verdict."""
    from ddbench.results.audit.remade import MEANINGS

    for (verdict, same), meaning in MEANINGS.items():
        if n := sum((one.verdict, one.same_set) == (verdict, same) for one in findings):
            yield f"{n} of {len(findings)}: {meaning}"


def _meant(records: Sequence[Record], filters: dict[str, list[Any]]) -> list[Record]:
    """The reported evaluations with a result that all filters let pass.

    Raises:
        UsageError: If a filter names what no record has, or nothing is left.
    """
    found = [one for one in records if one.kind == "evaluation" and one.document.reported]
    for name, values in filters.items():
        if values:
            kept = {id(one) for value in values for one in _called(found, name, str(value))}
            found = [one for one in found if id(one) in kept]
    without = [one for one in found if one.status != "ok"]
    if without:
        click.echo(f"{plural(len(without), 'evaluation')} without a result: not made again", err=True)
    if len(without) == len(found):
        raise UsageError("no evaluation with a result is left to make again: leave out some of the filters")
    return sorted((one for one in found if one.status == "ok"), key=_order)


def _called(records: Sequence[Record], name: str, text: str) -> list[Record]:
    """Those that a filter's value means; a row is meant by its label, else by its method.

    Raises:
        UsageError: If it means none, or could mean several.
    """
    for field in (name, "method") if name == "row" else (name,):
        known = {str(_named(one, field)): list[str]() for one in records}
        meanings = meant(text, known)
        if len(meanings) > 1:
            raise ambiguous(name, text, meanings)
        if meanings:
            return [one for one in records if str(_named(one, field)) == meanings[0]]
    there = dict.fromkeys(str(value) for one in records if (value := _named(one, name)) is not None)
    raise UsageError(f"--{name} {text}: the records have {', '.join(there) or 'nothing that is left'}")


def _order(record: Record) -> tuple[Any, ...]:
    """By row, budget and what evaluates it, then by repetition and student."""
    document = record.evaluation
    return (
        document.label,
        document.cell.budget.place,
        document.protocol,
        document.eval.arch,
        document.eval.r,
        document.eval.e,
    )


def _named(record: Record, name: str) -> Any:
    document = record.evaluation
    budget: Budget = document.cell.budget if document.facts.buys is None else document.facts.buys.budget
    return {
        "row": document.label, "method": document.set.called, "dataset": document.cell.data.name,
        "protocol": document.eval.protocol, "ipc": budget.ipc, "fraction": budget.fraction,
        "repetition": document.eval.r,
    }[name]  # fmt: skip


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="ddbench-referee-") as place:
        yield Path(place)


def _refuse_itself(plan: Plan, records: Sequence[Record], out: Path) -> None:
    """Refuse a folder in which the recorded results lie: nothing would be made again.

    Raises:
        UsageError: If it is one.
    """
    told = {record.key: record.finished for record in records if record.kind == "evaluation"}
    if any(node.record is not None and node.record.finished == told.get(key) for key, node in plan.nodes.items()):
        raise UsageError(f"--out {out} holds the recorded results themselves: name another folder, or none")


def _say(plan: Plan, n: int, refused: int) -> None:
    """What will be done for ``n`` evaluations, of which some cannot be made here."""
    kinds = [node.kind for node in plan.pending()]
    parts = [plural(kinds.count(kind), kind) for kind in ("artifact", "cell", "evaluation") if kind in kinds]
    lost = f"; {refused} cannot be made here" if refused else ""
    _tell(f"{plural(n, 'recorded evaluation')}; to make: {', '.join(parts) or 'nothing'}{lost}")


def _forecast(plan: Plan, store: Store, how: How, recorded: Speeds) -> str:
    """The line with which a run would begin."""
    from ddbench.library.runs import foresee
    from ddbench.plan.outlook import summary as in_words
    from ddbench.plan.rates import Kept

    sharing = how.sharing(plan, store)
    foresee(plan, store, sharing, Kept(), recorded)
    return in_words(plan, limit_s=how.reference_limit_s, jobs=sharing.jobs)


def _tell(line: str) -> None:
    click.echo(f"ddbench: {line}", err=True)


def _as_recorded(plan: Plan, records: Sequence[Record]) -> Callable[[Document], Resources]:
    """What nodes may use: what their records name, artifacts and choices what those that need them do."""
    # Where a record names no code path, each gives its bits, or it is from when there was one.
    envs: dict[str, dict[str, Any]] = {record.key: {"engine": ENGINES[0]} | record.env for record in records}
    for node in reversed(plan.nodes.values()):  # what needs a node comes after it
        env = envs.get(node.key, {})
        for need in node.needs:
            read = plan.nodes[need].kind == "artifact" and env.get("inputs")
            envs.setdefault(need, {**env, "engine": read[0]} if read else env)

    def resources(document: Document) -> Resources:
        from ddbench.work.engine import as_recorded  # when a node starts, torch is there
        from ddbench.work.executors.base import Resources

        found = as_recorded(envs.get(document.key, {})).model_dump()
        half = found["engine"] == "bf16"
        if (precision_of(document) == "bf16") != half:
            found["engine"] = "auto" if half else "bf16"
        return Resources(**found)

    return resources
