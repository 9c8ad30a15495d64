"""`ddbench tune`: configurations are tried where no result is reported, and the ledger counts all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ddbench.cli.options import PLUGIN, CommaList, Place, join
from ddbench.cli.run import KEPT, NAMES, WHERE, check_where, options, print_plan, run_plan, say_failures
from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.plugin.loader import Registries, active
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.specs import Budget
from ddbench.core.store.files import atomic_write
from ddbench.core.store.folder import Store
from ddbench.core.words import plural
from ddbench.library.folders import opened
from ddbench.plan import planner, suite, tuning, typed
from ddbench.plan.collect import collect
from ddbench.plan.graph import Plan
from ddbench.plan.status import assess

PATH = Place(path_type=Path)
PART = [
    click.option("--methods", type=NAMES, multiple=True, help="Try only the configurations of these methods now."),
    click.option("--ipc", type=CommaList(int), multiple=True, help="Try only those for these images per class now."),
    click.option("--fraction", type=CommaList(float), multiple=True, help="The same for shares of train."),
]
READ = [
    click.option("--to", "target", type=PATH, help="Run nothing; add the records of what was tried to this .jsonl."),
    click.option("--ledger", "page", type=PATH, help="Run nothing; write the ledger to this page, from its records."),
    click.option("--preset", metavar="METHOD", help="Run nothing; print presets.yaml entries for what was chosen."),
]


@click.command()
@click.argument("file", metavar="FILE")
@options(PART, READ, KEPT, WHERE)
@PLUGIN
def tune(file: str, **given: Any) -> int:
    """Try the configurations of a tuning FILE, and print the ledger of all that were tried.

    Scores are on training images that the reported view leaves out, by repetitions that are never reported. Everything
    finished is kept: the same command continues after a kill. See docs/explanation/tuning.md.
    """
    if given["engine"] == "bf16":
        raise UsageError("--engine bf16: what is tuned is tried in float32, as its file says")
    registries, store = active(), opened(given["out"], aside=not given["dry_run"])
    wanted = tuning.load(file, registries)
    if given["preset"] or given["target"] or given["page"]:
        _write(wanted, suite.find(file), store, registries, given)
        return 0
    budgets = [Budget(ipc=n) for n in join(given["ipc"])] + [Budget(fraction=x) for x in join(given["fraction"])]
    part = planner.make(tuning.grid_of(wanted, registries, methods=join(given["methods"]), budgets=budgets))
    whole = planner.make(tuning.grid_of(wanted, registries))
    assess(part, store, retry_failed=given["retry_failed"])
    _refuse_what_is_left_out(whole, store, wanted.where)
    check_where(given)
    if given["dry_run"]:
        return print_plan(part, store, given)
    run_plan(part, store, given | {"reference_limit": 0.0})
    from ddbench.publish.tuning import ledger_text

    assess(whole, store)
    click.echo(ledger_text(wanted, _tried(whole), registries), nl=False)
    return say_failures(part, store, verbose=given["verbose"])


def _refuse_what_is_left_out(whole: Plan, store: Store, where: str) -> None:
    """What a results folder holds of a file's methods under its own conditions was tried, and must be named.

    Args:
        whole: The plan of all that the file says.
        store: The folder.
        where: The file, for messages.

    Raises:
        UsageError: If the file does not name it any more.
    """
    planned = [node.document for node in whole.nodes.values() if isinstance(node.document, EvaluationDocument)]
    own, places = {document.key for document in planned}, {_place(document) for document in planned}
    for _, record in store.records():
        if record.kind == "evaluation" and record.key not in own and _place(record.evaluation) in places:
            cell = record.document.cell
            raise UsageError(
                f"{store.out}: holds a result of {record.document.label} at {cell.budget.label}, which {where} "
                "does not name: a ledger counts all that was tried; put the configuration back, or use another --out"
            )


def _place(document: EvaluationDocument) -> str:
    """All that decides a result but its method's parameters."""
    cell = document.cell.model_dump(mode="json", exclude={"params"})
    return canonical([cell, document.eval.model_dump(mode="json", exclude={"set", "artifacts"})])


def _tried(plan: Plan) -> list[Record]:
    """The records of what has run: results, and failures, which are rows."""
    pending = {node.key for node in plan.pending()}
    return [record for record in collect(plan) if record.key not in pending]


def _write(wanted: tuning.Tuning, file: Path, store: Store, registries: Registries, given: dict[str, Any]) -> None:
    """Write what was asked for from what has been tried.

    Raises:
        UsageError: If nothing has, if the file holds results that ``wanted`` does not name, if it is not known whose
            records a page shows, or if what was tried means nothing.
    """
    from ddbench.core.store.jsonl import read_records, write_records
    from ddbench.publish import leaderboard
    from ddbench.publish.tuning import new_page, preset_entries
    from ddbench.results.tuning import ledger_of

    target, page = given["target"], given["page"]
    if for_tests_only(wanted.suite.profile) and (page or given["preset"]):
        raise UsageError(
            f"{wanted.where}: profile {wanted.suite.profile} is for tests; what was tried has no place in a "
            "leaderboard or among presets"
        )
    plan, records, tuned = None, [], given["preset"] and typed.method_named(given["preset"], registries)
    if target or given["preset"]:
        plan = planner.make(tuning.grid_of(wanted, registries))
        _refuse_what_is_left_out(plan, store, wanted.where)
        assess(plan, store)
        records = _tried(plan)
    if target:
        if not records:
            raise UsageError(f"{store.out}: nothing of {wanted.where} has run: `ddbench tune {wanted.where}` first")
        made = {record.key for record in records}
        records = [
            r for r in (read_records(target, whole=True) if target.exists() else []) if r.key not in made
        ] + records
        ledger_of(wanted, records, registries)  # refuses what the file does not name: all that was tried counts
        write_records(target, records)
        click.echo(f"{target}: {plural(len(records), 'record')}")
    if page:
        if not page.exists():
            if target is None:
                raise UsageError(f"--ledger {page}: there is no such page yet; with --to RECORDS.jsonl it is made")
            atomic_write(page, new_page(wanted, _seen(file, page), _seen(target, page)).encode())
        old, new = leaderboard.fresh(page)
        if old != new:
            leaderboard.write(page, new)
        click.echo(f"{page}: {'up to date' if old == new else 'rewritten'}")
    if plan is not None and given["preset"]:
        ledger, (data,) = ledger_of(wanted, records, registries), plan.grid.data
        size = data.info.size if data.info.pool > 1 else None  # presets of a data set's own size name none
        click.echo(preset_entries(ledger, tuned, str(page or wanted.where), size), nl=False)


def _seen(path: Path, page: Path) -> str:
    """A file's path as a page names it."""
    return Path(os.path.relpath(path, page.parent)).as_posix()
