"""From a suite to records: a plan is made, looked up in the results folder, and what is pending is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, ValidationInfo, field_validator

from ddbench.core.asked import Asked
from ddbench.core.documents import Document
from ddbench.core.errors import InterruptedRunError
from ddbench.core.plugin.loader import Registries
from ddbench.core.process_state import kept
from ddbench.core.profiles import for_tests_only, profile
from ddbench.core.records import ENGINES
from ddbench.core.store.folder import Store
from ddbench.core.store.leftovers import sweep
from ddbench.library.folders import opened
from ddbench.plan import forecast, grid, outlook, planner
from ddbench.plan.graph import PLAN, Node, Plan
from ddbench.plan.memory import Peaks, in_memory, whitenings
from ddbench.plan.order import longest_first, seconds_left
from ddbench.plan.rates import Kept
from ddbench.plan.speeds import Speeds
from ddbench.plan.status import assess
from ddbench.plan.suite import Suite
from ddbench.work.executors.base import EXECUTORS, Resources, Run, make_executor
from ddbench.work.executors.base import scripts as executor_scripts
from ddbench.work.executors.sharing import Isolate, Sharing, share
from ddbench.work.executors.wanted import BY_FORECAST, Wanted
from ddbench.work.monitor import Beats, Monitor


class Watcher(Monitor, Protocol):
    """A monitor that holds something until the run ends."""

    def expect(self, line: str, nodes: Sequence[Node], jobs: int | None) -> None:
        """What the run will take, in a line for people; ``nodes``, with forecasts, run ``jobs`` at a time.

        None: nobody knows how many do.
        """
        ...

    def close(self) -> None:
        """Give it back."""
        ...


class How(Asked):
    """How pending nodes are computed: never what they compute.

    Attributes:
        executor: One of :data:`ddbench.work.executors.base.EXECUTORS`; None: the one that suits.
        wanted: What nodes on a cluster get.
        jobs: Nodes at once; None: as many as suit.
        threads: CPU threads of each; None: by the rule of :mod:`ddbench.work.executors.sharing`.
        device: ``auto``, ``cpu``, ``cuda``, GPUs by name, or ``all``.
        engine: ``auto``, or one of :data:`ddbench.core.records.ENGINES`.
        isolate: Which nodes run in a process of their own.
        timeout_s: Longest time of one node [s]; None: no limit.
        reference_limit_s: References with a longer forecast are not measured [s].
        retry_failed: Whether failures of before are run again.
        keep_logits: Store logits beside predictions.
    """

    executor: str | None = None
    wanted: Wanted = BY_FORECAST
    jobs: PositiveInt | None = None
    threads: PositiveInt | None = None
    device: str = "auto"
    engine: str = "auto"
    isolate: Isolate = "plugins"
    timeout_s: PositiveFloat | None = None
    reference_limit_s: NonNegativeFloat = 1800.0
    retry_failed: bool = False
    keep_logits: bool = False

    @field_validator("executor", "engine")
    @classmethod
    def _is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        known = EXECUTORS if info.field_name == "executor" else ("auto", *ENGINES)
        if value is not None and value not in known:
            raise ValueError(f"there is no {value!r}; there are: {', '.join(known)}")
        return value

    def sharing(self, plan: Plan, store: Store) -> Sharing:
        """How the pending nodes of an assessed plan share this machine."""
        return share(
            plan, store, jobs=self.jobs, threads=self.threads, device=self.device, executor=self.executor,
            timeout_s=self.timeout_s, engine=self.engine, isolate=self.isolate, wanted=self.wanted,
        )  # fmt: skip


def planned(
    suite: Suite, registries: Registries, out: Path, *, retry_failed: bool = False, aside: bool = False
) -> tuple[Store, Plan]:
    """The assessed plan of a suite, and the store of a results folder.

    Args:
        suite: What is wanted.
        registries: Loaded plugins.
        out: Results folder.
        retry_failed: Whether failures of before are pending again.
        aside: See :func:`opened`.
    """
    store = opened(out, aside=aside)
    with kept():  # what plugins say about their cells
        plan = planner.make(grid.build(suite, registries, profile(suite.profile)))
    assess(plan, store, retry_failed=retry_failed)
    return store, plan


def perform(
    plan: Plan,
    store: Store,
    how: How,
    watcher: Callable[[], Watcher],
    say: Callable[[str], None],
    of: Callable[[Document], Resources] | None = None,
    recorded: Speeds | None = None,
) -> None:
    """Say the notes of an assessed plan, and run what is pending.

    Args:
        plan: The plan.
        store: Where results go.
        how: How nodes are computed.
        watcher: Makes what is told about the nodes.
        say: Is told what a user should know, a line each.
        of: What a node may use; None: by the rule of :class:`ddbench.work.executors.sharing.Sharing`.
        recorded: How long nodes took elsewhere, for forecasts of what this machine does not know.

    Raises:
        InterruptedRunError: If the user asked to stop.
    """
    for note in plan.notes:
        say(note)
    settle_references(plan, store, how.reference_limit_s)
    with closing(watcher()) as watching:
        if not plan.pending():
            watching.expect(outlook.summary(plan, limit_s=how.reference_limit_s), [], 1)
            return
        store.check_writable()
        sweep(store.out)
        _execute(plan, store, how, watching, say, of, recorded)


def foresee(
    plan: Plan, store: Store, sharing: Sharing, kept_rates: Kept, recorded: Speeds | None = None
) -> tuple[Speeds, Peaks]:
    """Write forecasts into the pending nodes of a plan, and give what they rest on.

    Args:
        plan: The plan.
        store: Whose records tell most.
        sharing: Where nodes run.
        kept_rates: What is known from elsewhere; of profile smoke nothing, whose steps are few among fixed costs.
        recorded: See :func:`perform`.
    """
    beyond = [] if for_tests_only(plan.grid.profile.name) else kept_rates.layers()
    speeds = Speeds(beyond=beyond, where=sharing.where, last=recorded)
    peaks = Peaks(in_memory(plan.grid.data), whitenings(plan.grid.data))
    for _, record in store.records():
        speeds.add(record)
        peaks.add(record)
    forecast.forecast(plan, speeds)
    return speeds, peaks


def settle_references(plan: Plan, store: Store, limit_s: float) -> None:
    """Where only references are left, decide now which are measured: a run that is done then imports no torch."""
    if all(node.is_reference for node in plan.pending()):
        forecast.limit_references(plan, store, limit_s)


def _execute(
    plan: Plan,
    store: Store,
    how: How,
    watching: Watcher,
    say: Callable[[str], None],
    of: Callable[[Document], Resources] | None,
    recorded: Speeds | None,
) -> None:
    """Run what is pending; torch is imported here, by the executor, and not before."""
    from ddbench.work.interrupts import Interrupts

    interrupts, beats, rates = Interrupts(), Beats(watching), Kept()
    try:
        with interrupts.installed():  # before torch: what is raised inside its import can get lost there
            sharing = how.sharing(plan, store)
            speeds, peaks = foresee(plan, store, sharing, rates, recorded)
            line = outlook.summary(plan, limit_s=how.reference_limit_s, jobs=sharing.jobs, packs_s=sharing.packs_s)
            nodes = outlook.expected(plan, how.reference_limit_s)
            watching.expect(line, nodes, None if sharing.elsewhere else sharing.jobs)
            plan.write(store.out / PLAN, {node.key for node in plan.pending()} - {node.key for node in nodes})
            from ddbench.work.executors.schedule import Schedule

            for protocol in plan.grid.protocols:
                if protocol.declared is not None:  # of a plugin: before anything is condensed for one that fails
                    protocol.load()
            if line := sharing.slower or (sharing.going_on and f"{sharing.going_on}; --engine fused begins anew"):
                say(line)
            run = Run(
                store, plan.grid.registries, sharing.jobs, interrupts, beats, how.keep_logits, sharing.gpus,
                sharing.device, how.wanted,
            )  # fmt: skip
            place = make_executor(how.executor or sharing.executor, run)
            limit, retry = how.reference_limit_s, how.retry_failed
            schedule = Schedule(
                plan, store, place, of or sharing.of, interrupts, beats, limit, retry, sharing.jobs > 1, speeds, peaks
            )
            try:
                schedule.run()
            finally:
                if not sharing.elsewhere:  # those machines are not this one
                    rates.learn(schedule.settled)
                plan.write(store.out / PLAN)  # which references are not measured is known by now
    except InterruptedRunError as error:
        raise InterruptedRunError(f"{error}; the same command continues where it stopped") from error


def scripts(plan: Plan, store: Store, how: How, sharing: Sharing, peaks: Peaks) -> Iterator[str]:
    """What an executor would submit first of a plan with forecasts, for people.

    Args:
        plan: The plan.
        store: Where results would go.
        how: How nodes are computed.
        sharing: Where they run.
        peaks: What memory they need.
    """
    from ddbench.work.interrupts import Interrupts
    from ddbench.work.monitor import Silent

    run = Run(
        store, plan.grid.registries, sharing.jobs, Interrupts(), Silent(), device=sharing.device, wanted=how.wanted
    )
    ready = [node for node in plan.pending() if not any(plan.nodes[key].pending for key in node.needs)]
    ready = [node for node in ready if not node.is_reference]
    given = []
    for node in longest_first(ready, seconds_left(plan.pending())):
        host, device = peaks.of(node.document)
        expected = {"peak_mb": host, "device_mb": device, "seconds": node.forecast_s}
        given.append((node.document, sharing.of(node.document).model_copy(update=expected)))
    yield from executor_scripts(sharing.executor, run, given)


def unfinished(plan: Plan) -> list[Node]:
    """The nodes without a result of a plan that was run: those that failed, and those that ``--timeout`` cut short."""
    return [node for node in plan.nodes.values() if node.state in ("failed", "resume")]
