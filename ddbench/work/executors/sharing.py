"""Who computes: how many processes a run has, and how many CPU threads each node. No torch.

The threads of a node follow from its network alone, never from load or from what else is to be done, because sums of
another number of threads are rounded otherwise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ddbench.core.cpu import cores
from ddbench.core.documents import ArtifactDocument, Document, EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.models import names
from ddbench.plan.graph import Plan
from ddbench.work.executors.base import Resources
from ddbench.work.executors.devices import named

WORTH = 3000
"""Updates of pending students from which processes of their own are worth the seconds in which they start."""
GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
"""Device files of machines that have a GPU: there one process computes, unless ``--jobs`` says otherwise."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the nodes of a run share a machine.

    Attributes:
        jobs: Processes.
        registries: Know the networks.
        device: Of nodes: what ``--device`` says; ``cuda`` where processes see one GPU each.
        gpus: Those that processes take in turn: ``cuda:0``, ``cuda:1``; none: none is named.
        threads: What ``--threads`` says; None: by the rule.
        wide: CPU threads of nodes with wide networks where the rule holds; None: all cores.
        alone: Whether such a node waits until no other one runs.
        timeout_s: Longest time of one attempt [s]; None: no limit.
    """

    jobs: int
    registries: Registries
    device: str = "auto"
    threads: int | None = None
    wide: int | None = None
    alone: bool = False
    timeout_s: float | None = None
    gpus: tuple[str, ...] = ()

    def of(self, document: Document) -> Resources:
        """What a node may use."""
        few = narrow(document, self.registries)
        threads = self.threads
        if threads is None and not os.environ.get("OMP_NUM_THREADS", "").isdigit():
            threads = 1 if few else self.wide
        alone = self.alone and threads is None and not few
        return Resources(device=self.device, threads=threads, timeout_s=self.timeout_s, alone=alone)

    @property
    def executor(self) -> str:
        """The executor that suits: one process is this one, unless it is to see one GPU only."""
        return "local" if self.jobs == 1 and not self.gpus else "processes"

    @property
    def text(self) -> str:
        """``in 2 processes on cuda:0, cuda:1``, for people."""
        where = f" on {', '.join(self.gpus)}" if self.gpus else ""
        if self.executor == "local":
            return "in this process" + (f" on {self.device}" if ":" in self.device else "")
        return f"in {self.jobs} process{'' if self.jobs == 1 else 'es'}{where}"


def share(
    plan: Plan,
    *,
    jobs: int | None,
    threads: int | None,
    device: str,
    executor: str | None = None,
    timeout_s: float | None = None,
) -> Sharing:
    """How the pending nodes of an assessed plan share this machine.

    Args:
        plan: The plan.
        jobs: What ``--jobs`` says; None: one process for each GPU that is named; where none is, for each core where
            there are narrow networks to train for long enough, else one.
        threads: What ``--threads`` says.
        device: What ``--device`` says.
        executor: What ``--executor`` says.
        timeout_s: What ``--timeout`` says.

    Raises:
        UsageError: If a GPU that is named is not there.
    """
    gpus = named(device)
    if executor == "local":
        jobs, device, gpus = 1, (*gpus, device)[0], ()
    elif gpus:
        jobs, device = jobs or len(gpus), "cuda"
    registries, most = plan.grid.registries, max(1, len(plan.pending()))
    if jobs is not None:
        wide = max(1, cores() // jobs)  # not by what is left to do: results know their threads
        jobs = min(jobs, most)
        return Sharing(jobs, registries, device, threads, wide, timeout_s=timeout_s, gpus=gpus[:jobs])
    students = [node for node in plan.pending() if isinstance(node.document, EvaluationDocument)]
    updates = sum(node.steps for node in students if narrow(node.document, registries))
    on_cpu = device == "cpu" or (device == "auto" and not any(path.exists() for path in GPUS))
    many = max(1, cores() // (threads or 1)) if on_cpu and updates >= WORTH else 1
    return Sharing(min(many, most), registries, device, threads, alone=many > 1, timeout_s=timeout_s)


def narrow(document: Document, registries: Registries) -> bool:
    """Whether a node computes with a narrow network, or with none that ddbench can tell the width of."""
    match document:
        case ArtifactDocument():
            name = document.artifact.arch
        case EvaluationDocument():
            name = document.eval.arch
        case _:
            name = document.cell.arch
    try:
        parsed = names.parse(name or "", registries.architectures)
    except UsageError:  # no network, or a predictor of its own
        return True
    return parsed.width <= registries.architectures.get(parsed.family).narrow
