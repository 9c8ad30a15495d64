"""What an executor is: it says where nodes run, and nothing else. No torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, TypeAlias

from pydantic import PositiveInt

from ddbench.core.documents import Document
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries, import_target
from ddbench.core.specs import Frozen
from ddbench.core.store import jobs
from ddbench.core.store.folder import Store
from ddbench.work.attempt import Outcome
from ddbench.work.executors.devices import check_name, named
from ddbench.work.executors.wanted import BY_FORECAST, COMMON, Wanted
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Monitor

Handle: TypeAlias = Hashable
"""Names a submitted node to its executor."""


class Resources(Frozen):
    """What a node may use; decides how it is computed, never what.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``; in this process also ``cuda:1``.
        threads: CPU threads; None: as many as there are cores.
        engine: ``auto``, or one of :data:`ddbench.core.records.ENGINES`.
        timeout_s: Longest time of one attempt [s]; None: no limit.
        alone: Whether no other node of the run may run meanwhile.
        peak_mb: Memory that it is expected to need beyond what its process has [MB]; 0: not known.
        device_mb: The same of its GPU, where it runs on one.
        seconds: How long it is expected to take [s]; None: not known.
        apart: Whose code runs that is not ddbench's: then in a process that runs nothing else; empty: nobody's, but in
            a process of its own as well; None: wherever the executor runs nodes.
    """

    device: str = "auto"
    threads: PositiveInt | None = None
    engine: str = "auto"
    timeout_s: float | None = None
    alone: bool = False
    peak_mb: float = 0.0
    device_mb: float = 0.0
    seconds: float | None = None
    apart: str | None = None


class Executor(Protocol):
    """Runs nodes somewhere, and tries again where a machine or a process was lost."""

    @property
    def claims(self) -> bool:
        """Whether the places where nodes run claim them; else whoever submits holds the claim until the outcome."""
        ...

    @property
    def slots(self) -> int:
        """How many nodes may be with the executor at once; 0 as long as places to run them are being made."""
        ...

    def has_room(self, resources: Resources) -> bool:
        """Whether a node fits beside those that run; where none does, it is not asked."""
        ...

    def submit(self, document: Document, resources: Resources) -> Handle:
        """Take a node, where there is a slot for it; it runs from now on, or in :meth:`poll`.

        Where an earlier run of the same command handed it to an engine that still has it, that is what it means.
        """
        ...

    def poll(self, wait_s: float) -> Sequence[tuple[Handle, Outcome | None]]:
        """Nodes that are done, each told once; waits until something changes, ``wait_s`` seconds or a node run here.

        An outcome of None: another run published the node, or nobody has it any more; the store knows.

        Raises:
            DDBenchError: If places to run nodes cannot be made.
            InterruptedRunError: If the user asked to stop.
            StoreError: If a node cannot write its results.
            UsageError: If the resources do not exist.
        """
        ...

    def cancel(self, handle: Handle) -> None:
        """Let go of a node; its outcome is not told any more.

        A node that cannot outlive this run is asked to checkpoint and to stop.
        """
        ...

    def close(self) -> None:
        """Wait until cancelled nodes have stopped, and give back what was held."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What an executor is made for.

    Attributes:
        store: Where results go.
        registries: Loaded plugins.
        jobs: How many nodes may run at once.
        interrupts: Whether the user wants to stop.
        monitor: Is told about the steps of nodes.
        keep_logits: Store logits beside predictions.
        gpus: Those that processes take in turn, each one of them: ``cuda:0``, ``cuda:1``; none: what nodes' resources
            say.
        device: What ``--device`` says of nodes that share one: its free memory is looked at.
        wanted: What nodes on a cluster get.
    """

    store: Store
    registries: Registries
    jobs: int
    interrupts: Interrupts
    monitor: Monitor
    keep_logits: bool = False
    gpus: tuple[str, ...] = ()
    device: str = "cpu"
    wanted: Wanted = BY_FORECAST


@dataclass(frozen=True, slots=True)
class Kind:
    """An executor that there is.

    Attributes:
        target: Its class, made from a :class:`Run`; imported when it is used, because ``local`` imports torch.
        elsewhere: Whether nodes run on other machines: then this one's cores, memory and GPUs say nothing of them.
        needs: What must be imported for it; empty: nothing beyond ddbench.
        words: What it knows of ``--resources`` and ``--store``, beyond cpus, gpus and mem.
    """

    target: str
    elsewhere: bool = False
    needs: str = ""
    words: tuple[str, ...] = ()


EXECUTORS: Mapping[str, Kind] = {
    "local": Kind("ddbench.work.executors.local:Local"),
    "processes": Kind("ddbench.work.executors.processes:Processes"),
    "slurm": Kind(
        "ddbench.work.executors.slurm:Slurm",
        elsewhere=True,
        needs="submitit",
        words=("time", "pack", "partition", "account", "slurm"),
    ),
    "ray": Kind("ddbench.work.executors.ray:OnRay", elsewhere=True, needs="ray", words=("address", "store")),
}


def is_elsewhere(name: str | None) -> bool:
    """Whether an executor runs nodes on other machines."""
    return name is not None and name in EXECUTORS and EXECUTORS[name].elsewhere


def check_executor(name: str | None, jobs: int | None, device: str, wanted: Wanted = BY_FORECAST) -> None:
    """Refuse what an executor cannot do.

    Args:
        name: What ``--executor`` says, one of :data:`EXECUTORS`.
        jobs: What ``--jobs`` says; None: as many as suit the run.
        device: What ``--device`` says.
        wanted: What ``--resources`` and ``--store`` say.

    Raises:
        UsageError: If it cannot run so many, what it needs is not installed, or a GPU that is named is not there.
    """
    check_name(device)
    if is_elsewhere(name):
        assert name is not None
        needs = EXECUTORS[name].needs
        if find_spec(needs) is None:
            raise UsageError(f"--executor {name} needs {needs}: `pip install 'ddbench[{name}]'`")
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--executor {name} knows no --device {device}: say cuda, and --resources gpus=1")
        for word in wanted.said:
            if word not in (*COMMON, *EXECUTORS[name].words):
                whose = " and ".join(other for other, kind in EXECUTORS.items() if word in kind.words)
                option = "--store driver" if word == "store" else f"--resources {word}{'_…' * (word == 'slurm')}"
                raise UsageError(f"{option} says nothing to --executor {name}: it is for {whose}")
        return
    if wanted != BY_FORECAST:
        names = " or ".join(other for other, kind in EXECUTORS.items() if kind.elsewhere)
        raise UsageError(f"--resources and --store are for nodes on a cluster: name it, --executor {names}")
    gpus = named(device)
    if name == "local" and jobs is not None and jobs > 1:
        raise UsageError(f"--executor local runs one node at a time: leave it out, or --jobs {jobs}")
    if name == "local" and len(gpus) > 1:
        raise UsageError(f"--executor local computes on one device: leave it out, or --device {gpus[0]}")


def scripts(name: str, run: Run, ready: Iterable[tuple[Document, Resources]]) -> Iterator[str]:
    """The texts that an executor would submit first; none where its nodes run here, or it submits no texts.

    Args:
        name: One of :data:`EXECUTORS`.
        run: What it would be made for.
        ready: Nodes that nothing is to be done before, and what they may use.
    """
    if is_elsewhere(name):
        yield from import_target(EXECUTORS[name].target).scripts(run, ready)


def end_jobs(name: str, handles: Sequence[jobs.Handle]) -> Iterator[str]:
    """End jobs that an executor of another machine's nodes submitted; yields what was done, for people.

    Args:
        name: One of :data:`EXECUTORS` that runs nodes elsewhere; others have no jobs.
        handles: Their handles.

    Raises:
        UsageError: If the engine does not end them.
    """
    if is_elsewhere(name):
        yield from import_target(EXECUTORS[name].target).end(handles)


def make_executor(name: str, run: Run) -> Executor:
    """An executor for a run.

    Args:
        name: One of :data:`EXECUTORS`.
        run: What it is made for.
    """
    executor: Executor = import_target(EXECUTORS[name].target)(run)
    return executor
