"""`ddbench run` and `ddbench plan`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddbench.cli.console import tables
from ddbench.cli.options import PLUGIN, CommaList, DataSets, Device, Duration, Jobs, Place, Setting, join
from ddbench.cli.screen import screen
from ddbench.core.errors import printable
from ddbench.core.plugin.loader import active
from ddbench.core.records import ENGINES
from ddbench.core.store.folder import Store
from ddbench.library.causes import causes
from ddbench.library.progress import Progress
from ddbench.library.runs import How, foresee, perform, planned, scripts, unfinished
from ddbench.library.suites import LISTS, suite_of
from ddbench.plan import graph as planning
from ddbench.plan import memory, outlook
from ddbench.plan.collect import collect, remember
from ddbench.plan.rates import Kept
from ddbench.publish.text.escape import escaped, write_csv
from ddbench.work.attempt import read_log
from ddbench.work.executors.base import EXECUTORS, check_executor
from ddbench.work.executors.wanted import wanted_of
from ddbench.work.executors.wanted import words_of as words_of_resources

NAMES = CommaList(str)
SUMMARY = ("left", "right", "right", "right")
"""How the columns of a plan's summary are aligned."""
STYLES = ["table", "json", "csv", "markdown", "latex"]
WIDE = click.option(
    "--wide", is_flag=True, help="Keep tables whole in a terminal that is narrower: costs beside accuracies."
)
Command = Callable[..., Any]

WHAT = [
    click.option(
        "--suite",
        metavar="NAME|FILE",
        help="YAML file, or a suite that comes with ddbench. Options override it; methods and data sets that it names "
        "stay as it describes them.",
    ),
    click.option("--methods", type=NAMES, multiple=True, help="Rows of the table; full and random are always added."),
    click.option(
        "--datasets",
        type=DataSets(),
        multiple=True,
        help="Names, or NAME=folder:PATH, NAME=hf:PATH, NAME=npz:PATH. [digits]",
    ),
    click.option("--ipc", type=CommaList(int), multiple=True, help="Images per class."),
    click.option("--fraction", type=CommaList(float), multiple=True, help="Shares of the training images, in (0, 1]."),
    click.option("--archs", type=NAMES, multiple=True, help="Condensing networks. [the data set's default]"),
    click.option("--eval-archs", type=NAMES, multiple=True, help="Student networks. [the condensing network]"),
    click.option(
        "--preprocess",
        type=NAMES,
        multiple=True,
        help="meanstd, meanstd-mtt, zca-kornia|frepo|kip. [meanstd]",
    ),
    click.option("--protocols", type=NAMES, multiple=True, help="Evaluation protocols. [hard]"),
    click.option("--seeds", type=click.IntRange(1), help="Repetitions of condensation."),
    click.option("--eval-seeds", type=click.IntRange(1), help="Students per repetition."),
    click.option("--random-seeds", type=click.IntRange(1), help="Repetitions of random under hard. [as the others]"),
    click.option("--set", "settings", type=Setting(), multiple=True, help="Override a parameter: dm.iterations=500."),
    click.option("--profile", help="smoke (seconds, for tests), short (minutes) or paper. [short]"),
    click.option(
        "--split",
        type=click.Choice(["default", "paper"]),
        help="paper: condense from train ∪ val (reproductions only).",
    ),
    click.option("--controls", is_flag=True, help="Plan the control rows of every method as well."),
    PLUGIN,
]
KEPT = [
    click.option("--out", type=Place(path_type=Path), default="runs", show_default=True, help="Results folder."),
    click.option("--retry-failed", is_flag=True, help="Run cells again that failed before."),
    click.option("-v", "--verbose", is_flag=True, help="Show tracebacks."),
]
HOW = [
    *KEPT,
    click.option("--reference-limit", type=Duration(), default="30m", show_default=True,
                 help="References that would take longer are not measured."),
    click.option("--format", "style", type=click.Choice(STYLES), default="table"),
    WIDE,
    click.option("--details", is_flag=True, help="Show what methods say about their runs, too (not in csv)."),
    click.option("--views", type=NAMES, multiple=True,
                 help="Tables to show: main, scores, cost, regime, ranks, stability, failures, lossless, verdicts, "
                      "crossing. [main]"),
]  # fmt: skip
WHERE = [
    click.option("--dry-run", is_flag=True, help="Only show the plan."),
    click.option("--executor", type=click.Choice(list(EXECUTORS)),
                 help="Where nodes run: in this process, in processes of their own, or on a cluster. [local; with "
                      "--jobs processes]"),
    click.option("--resources", multiple=True, metavar="NAME=VALUE,…",
                 help="What nodes on a cluster get: cpus=4,mem=8G,time=4h,gpus=1, pack=10m (what a job is worth), "
                      "partition=…, account=…, slurm_NAME=…, address=… (Ray). [by forecast]"),
    click.option("--store", type=click.Choice(["shared", "driver"]), default="shared", show_default=True,
                 help="driver: Ray's workers see neither --out nor DDBENCH_HOME; files are sent there and back."),
    click.option("--jobs", type=Jobs(), default="auto", show_default=True,
                 help="How many nodes run at once; auto: one a GPU that --device names, else one a core where long "
                      "work with narrow networks waits."),
    click.option("--threads", type=click.IntRange(1),
                 help="CPU threads of each. [1 for narrow networks, else all cores, divided among --jobs N]"),
    click.option("--device", type=Device(several=True), default="auto", show_default=True,
                 help="auto, cpu or cuda; GPUs by name, cuda:1 or cuda:0,cuda:1, or all: a process on each."),
    click.option("--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True,
                 help="Code path: PyTorch's own operations (eager), or compiled ones for ConvNets on CPUs (fused); "
                      "bf16: experts and full are trained in bfloat16, all else as under auto."),
    click.option(
        "--timeout",
        type=Duration(positive=True),
        help="Longest time per node and call; the next call resumes.",
    ),
    click.option("--isolate", type=click.Choice(["never", "plugins", "always"]), default="plugins", show_default=True,
                 help="Which nodes run in a process of their own, which may crash or hang: those of plugins that are "
                      "not ddbench's, all, or none."),
    click.option("--keep-logits", is_flag=True, help="Store test logits beside the predictions."),
    click.option("--progress", type=click.Choice(["auto", "bar", "plain", "json"]), default="auto", show_default=True),
]  # fmt: skip


def options(*groups: list[Command]) -> Callable[[Command], Command]:
    """Attach option groups to a command."""

    def attach(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return attach


@click.command()
@options(WHAT, HOW, WHERE)
def run(**given: Any) -> int:
    """Run methods on data sets and print the comparison table.

    Everything finished is kept: the same command continues after a kill, and prints the same table from the records
    when there is nothing left to do. The table goes to stdout, progress and warnings to stderr.
    """
    views = checked_views(given["views"], given["style"])  # before anything is computed
    check_where(given)
    store, plan = planned_from(given, aside=not given["dry_run"])
    return carry_out(plan, store, given, views)


def carry_out(plan: planning.Plan, store: Store, given: dict[str, Any], views: list[str]) -> int:
    """Run what is pending of an assessed plan and print its tables; the exit code.

    Args:
        plan: The plan.
        store: Where results go.
        given: The values of the options HOW and WHERE.
        views: From :func:`checked_views`.
    """
    if given["dry_run"]:
        return print_plan(plan, store, given)
    run_plan(plan, store, given, so_far=lambda: _tables(plan, "table", details=False, views=[], wide=given["wide"]))
    remember(plan, store)
    _report(plan, given["style"], details=given["details"], views=views, wide=given["wide"])
    return say_failures(plan, store, verbose=given["verbose"])


@click.command()
@options(WHAT, HOW, WHERE)
def plan(**given: Any) -> int:
    """Show what a run would do: one row per node with its key, state and forecast."""
    check_where(given)
    store, planned = planned_from(given)
    return print_plan(planned, store, given)


def planned_from(given: dict[str, Any], *, aside: bool = False) -> tuple[Store, planning.Plan]:
    """The assessed plan that options describe, and the store they name (``aside``: see :func:`opened`)."""
    suite = suite_of(words_of(given), active())
    return planned(suite, active(), given["out"], retry_failed=given["retry_failed"], aside=aside)


def words_of(given: dict[str, Any]) -> dict[str, Any]:
    """The values of the options WHAT as words of :func:`suite_of`."""
    lists = {name: join(given[name]) for name in (*LISTS, "ipc", "fraction")}
    one = ("suite", "seeds", "eval_seeds", "random_seeds", "settings", "profile", "split", "controls")
    return {**lists, **{name: given[name] for name in one}, "engine": given.get("engine")}


def check_where(given: dict[str, Any]) -> None:
    """Refuse values of the options WHERE that do not go together, or that this machine does not have.

    Raises:
        UsageError: If there are such.
    """
    wanted = wanted_of(words_of_resources([*given["resources"]]), given["store"])
    check_executor(given["executor"], given["jobs"], given["device"], wanted)


def how_of(given: dict[str, Any]) -> How:
    """The values of the options WHERE, ``retry_failed`` and ``reference_limit``, as far as a command has them."""
    names = ("executor", "jobs", "threads", "device", "engine", "isolate", "retry_failed", "keep_logits")
    limits = {"timeout_s": given.get("timeout"), "reference_limit_s": given.get("reference_limit", 0.0)}
    wanted = wanted_of(words_of_resources([*given.get("resources", ())]), given.get("store", "shared"))
    return How(**{name: given[name] for name in names if name in given}, wanted=wanted, **limits)


def run_plan(
    plan: planning.Plan, store: Store, given: dict[str, Any], *, so_far: Callable[[], str] | None = None
) -> None:
    """Say the notes of an assessed plan on stderr, and run what is pending.

    Args:
        plan: The plan.
        store: Where results go.
        given: The values of the options WHERE.
        so_far: Gives the table of the rows that are whole, while references are trained.
    """
    perform(plan, store, how_of(given), lambda: Progress(given["progress"], so_far=so_far), _say)


def _say(line: str) -> None:
    click.echo(f"ddbench: {line}", err=True)


def checked_views(given: tuple[list[str], ...], style: str) -> list[str]:
    """The names after ``--views``, refused before anything runs.

    Args:
        given: The values of ``--views``.
        style: The value of ``--format``.

    Raises:
        UsageError: If one is unknown, or the format cannot hold it.
    """
    names = join(given)
    if names:
        from ddbench.publish.views.catalog import check_names

        check_names(names)
    if names and style == "csv":
        from ddbench.publish.text.csv_json import check_csv

        check_csv(names)
    return names


def _tables(plan: planning.Plan, style: str, *, details: bool, views: list[str], wide: bool) -> str:
    from ddbench.publish.text.render import render
    from ddbench.results.tables.tables import tables_of

    return render(tables_of(collect(plan)), style, details=details, views=views, screen=screen(wide=wide))


def _report(plan: planning.Plan, style: str, *, details: bool, views: list[str], wide: bool) -> None:
    """Print the tables, and say what was not measured."""
    click.echo(tables(_tables(plan, style, details=details, views=views, wide=wide), style), nl=False)
    for reason in dict.fromkeys(node.reason for node in plan.nodes.values() if node.state == "unmeasured"):
        click.echo(f"ddbench: full: {reason}; --reference-limit says how long it may take", err=True)


def say_failures(plan: planning.Plan, store: Store, *, verbose: bool) -> int:
    """Tell why nodes of a plan that was run have no result; the exit code.

    Args:
        plan: The plan.
        store: Where its results are.
        verbose: Show tracebacks, too.
    """
    broken = unfinished(plan)
    for cause in causes(plan, store):
        click.echo(f"ddbench: {cause.text}", err=True)
        if cause.log is None:
            continue
        click.echo(f"ddbench:   {cause.where}{'' if verbose else ' (-v shows it)'}", err=True)
        if verbose:
            for line in read_log(cause.log).splitlines():
                click.echo(printable(line), err=True)
    if broken:
        cut = sum(node.is_cut_short for node in broken)
        advice = ["the same command continues what --timeout cut short"] if cut else []
        advice += ["--retry-failed runs those again that failed"] if cut < len(broken) else []
        click.echo(f"ddbench: {len(broken)} of {len(plan.nodes)} nodes have no result; {'; '.join(advice)}", err=True)
    return 1 if broken else 0


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows with equal keys as CSV with a header."""
    text = io.StringIO()
    write_csv(text, list(rows[0]) if rows else [], rows)
    return text.getvalue()


def print_plan(plan: planning.Plan, store: Store, given: dict[str, Any]) -> int:
    """Print the nodes of an assessed plan with their states and forecasts; the exit code.

    Args:
        plan: The plan.
        store: Whose records say how long nodes take.
        given: The values of the options WHERE, and of ``--format`` where there is one.
    """
    import json

    from tabulate import tabulate

    style = given.get("style", "table")
    how = how_of(given)
    sharing = how.sharing(plan, store)
    _, peaks = foresee(plan, store, sharing, Kept()) if plan.pending() else (None, memory.Peaks())
    rows = list(planning.listing(plan))
    if style == "json":
        click.echo(json.dumps(rows, indent=1))
        return 0
    if style == "csv":
        click.echo(as_csv(rows), nl=False)
        return 0
    shown = [
        {
            **row,
            "forecast_s": "?" if row["state"] in ("run", "resume") and row["forecast_s"] is None else row["forecast_s"],
        }
        for row in rows
    ]
    if style == "markdown":
        shown = [{name: escaped(v) if isinstance(v, str) else v for name, v in row.items()} for row in shown]
    text = {"table": "simple", "markdown": "github", "latex": "latex_booktabs"}[style]
    click.echo(tabulate(shown, headers="keys", tablefmt=text, floatfmt=".0f"))
    if style == "table" and plan.pending():
        click.echo("\n" + tabulate(outlook.by_method(plan), headers="keys", tablefmt=text, colalign=SUMMARY))
    for text in scripts(plan, store, how, sharing, peaks) if style == "table" else ():
        click.echo(f"\n{text}")
    line = outlook.summary(plan, limit_s=how.reference_limit_s, jobs=sharing.jobs, packs_s=sharing.packs_s)
    click.echo("; ".join([line, *([sharing.text] if plan.pending() else [])]), err=True)
    if room := memory.forecast_text(plan):
        click.echo(room, err=True)
    for note in plan.notes:
        _say(note)
    return 0
