"""Who computes: how many processes a run has, and how many CPU threads each node. No torch.

The threads of a node follow from its network alone, never from load or from what else is to be done, because sums of
another number of threads are rounded otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ddbench.core.cpu import cores
from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument, precision_of
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.registry import FIRST_PARTY, owner_of
from ddbench.core.specs import CellSpec
from ddbench.core.store.folder import SPEC, Store
from ddbench.core.words import plural
from ddbench.models import names
from ddbench.models.fused.library import missing, unlikely
from ddbench.plan.graph import Node, Plan
from ddbench.plan.kinds import Where
from ddbench.plan.memory import refuse_too_large
from ddbench.work.engine import code_path
from ddbench.work.executors.base import EXECUTORS, Resources, is_elsewhere
from ddbench.work.executors.devices import named
from ddbench.work.executors.wanted import BY_FORECAST, Wanted

Isolate: TypeAlias = Literal["never", "plugins", "always"]
"""Which nodes run in another process than this one: none, those that code of others takes part in, or all."""
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
        engine: What ``--engine`` says.
        begun: Cells (:func:`row_of`) that other repetitions were computed for by PyTorch's own operations: theirs, too;
            none where ``engine`` names one.
        half: Pending nodes that train in bfloat16.
        isolate: What ``--isolate`` says: which nodes run in a process that runs nothing of others.
        elsewhere: What runs nodes on other machines; empty: this machine runs them.
        packs_s: Jobs there hold nodes worth so many seconds [s]; None: this machine runs them.
    """

    jobs: int
    registries: Registries
    device: str = "auto"
    threads: int | None = None
    wide: int | None = None
    alone: bool = False
    timeout_s: float | None = None
    gpus: tuple[str, ...] = ()
    engine: str = "auto"
    begun: frozenset[str] = frozenset()
    half: int = 0
    isolate: Isolate = "plugins"
    elsewhere: str = ""
    packs_s: float | None = None

    def of(self, document: Document) -> Resources:
        """What a node may use."""
        few = narrow(document, self.registries)
        threads, wished = self.threads, os.environ.get("OMP_NUM_THREADS", "")
        if threads is None and not wished.isdigit():
            threads = 1 if few else self.wide
        elif threads is None and self.elsewhere:
            threads = int(wished)  # other machines do not hear of this one's
        alone = self.alone and threads is None and not few
        engine = "eager" if self.begun and row_of(document) in self.begun else self.engine
        if precision_of(document) == "bf16":
            engine = "bf16"
        return Resources(
            device=self.device, threads=threads, engine=engine, timeout_s=self.timeout_s, alone=alone,
            apart=self._apart(document),
        )  # fmt: skip

    def where(self, document: Document) -> Where:
        """Where a node runs, as forecasts call such places."""
        device, given = _kind(self.device), self.of(document)
        if device != "cpu":
            return f"{device} eager"
        wished = os.environ.get("OMP_NUM_THREADS", "")
        threads = given.threads or (int(wished) if wished.isdigit() else 0) or cores()
        return f"cpu {threads} {code_path(given.engine, device, why_not=unlikely)}"

    def _apart(self, document: Document) -> str | None:
        """Whose plugins run a node, where that matters."""
        if self.isolate == "never":
            return None
        return " ".join(sorted(owners(document))) or ("" if self.isolate == "always" else None)

    @property
    def executor(self) -> str:
        """The executor that suits: one process is this one, unless it is to see one GPU only."""
        if self.elsewhere:
            return self.elsewhere
        return "local" if self.jobs == 1 and not self.gpus else "processes"

    @property
    def text(self) -> str:
        """``in 2 processes on cuda:0, cuda:1 by engine eager``, for people."""
        where = f" on {', '.join(self.gpus)}" if self.gpus else ""
        if self.elsewhere:
            found = f"by {self.elsewhere} on {_kind(self.device)}"
        elif self.executor == "local":
            found = "in this process" + (f" on {self.device}" if ":" in self.device else "")
        else:
            found = f"in {self.jobs} process{'' if self.jobs == 1 else 'es'}{where}"
        more = f" ({self.going_on})" if self.going_on else ""
        half = f", {plural(self.half, 'node')} by bf16" if self.half else ""
        return f"{found} by engine {code_path(self.engine, _kind(self.device), why_not=unlikely)}{more}{half}"

    @property
    def going_on(self) -> str:
        """Which nodes do not get the usual engine, because their cells were begun by another one."""
        n = len(self.begun)
        if not n or code_path("auto", _kind(self.device), why_not=unlikely) == "eager":
            return ""
        cells, them = ("1 cell goes", "it") if n == 1 else (f"{n} cells go", "them")
        return f"{cells} on by eager, which began {them}"

    @property
    def slower(self) -> str:
        """Why nodes compute by a slower engine than they could; empty: they do not."""
        if self.engine != "auto" or _kind(self.device) != "cpu" or not (why := missing()):
            return ""
        return f"ConvNets compute by PyTorch's own operations, which takes up to twice as long: {why}"


def share(
    plan: Plan,
    store: Store,
    *,
    jobs: int | None,
    threads: int | None,
    device: str,
    executor: str | None = None,
    timeout_s: float | None = None,
    engine: str = "auto",
    isolate: Isolate = "plugins",
    wanted: Wanted = BY_FORECAST,
) -> Sharing:
    """How the pending nodes of an assessed plan share this machine, or run on a cluster.

    Args:
        plan: The plan.
        store: Where its results are, and those that were begun.
        jobs: What ``--jobs`` says; None: one process for each GPU that is named; where none is, for each core where
            there are narrow networks to train for long enough, else one.
        threads: What ``--threads`` says.
        device: What ``--device`` says.
        executor: What ``--executor`` says.
        timeout_s: What ``--timeout`` says.
        engine: What ``--engine`` says; ``bf16`` is of nodes that are planned so, and ``auto`` for all others.
        isolate: What ``--isolate`` says.
        wanted: What nodes on a cluster get.

    Raises:
        UsageError: If a GPU that is named is not there, or the engine is not, or images are larger than all memory.
    """
    elsewhere = executor if executor is not None and is_elsewhere(executor) else ""
    if elsewhere:
        device = "cuda" if device == "cuda" or wanted.gpus else "cpu"
    gpus = () if elsewhere else named(device)
    if executor == "local":
        jobs, device, gpus = 1, (*gpus, device)[0], ()
    elif gpus:
        jobs, device = jobs or len(gpus), "cuda"
    engine, half = "auto" if engine == "bf16" else engine, sum(map(_in_bf16, plan.pending()))
    for one in (engine, *(["bf16"] if half else [])):
        if device != "auto" or _kind(device) == "cpu":  # else torch may find no GPU, in spite of the driver's files
            code_path(one, _kind(device), why_not=unlikely)
    registries, most = plan.grid.registries, max(1, len(plan.pending()))
    begun = _begun(plan, store) if engine == "auto" else frozenset()
    how: dict[str, Any] = {"timeout_s": timeout_s, "engine": engine, "begun": begun, "half": half, "isolate": isolate}
    if elsewhere:  # a job has the cores that it asked for, whatever this machine has
        wide, jobs = wanted.cpus or 1, min(jobs or most, most)
        packs_s = wanted.pack_s if "pack" in EXECUTORS[elsewhere].words else 0.0
        return Sharing(jobs, registries, device, threads, wide, elsewhere=elsewhere, packs_s=packs_s, **how)
    refuse_too_large(plan)  # of this machine alone is known how much memory it has
    if jobs is not None:
        wide = max(1, cores() // jobs)  # not by what is left to do: results know their threads
        jobs = min(jobs, most)
        return Sharing(jobs, registries, device, threads, wide, gpus=gpus[:jobs], **how)
    students = [node for node in plan.pending() if isinstance(node.document, EvaluationDocument)]
    updates = sum(node.steps for node in students if narrow(node.document, registries))
    many = max(1, cores() // (threads or 1)) if _kind(device) == "cpu" and updates >= WORTH else 1
    return Sharing(min(many, most), registries, device, threads, alone=many > 1, **how)


def owners(document: Document) -> frozenset[str]:
    """Who registered the members that run a node, where that is not ddbench: as :class:`Origin` has it."""
    spec, data = document.spec, document.spec if isinstance(document, ArtifactDocument) else document.cell
    marks = {*spec.origins.values(), data.data.origin, spec.origin if isinstance(spec, CellSpec) else ""}
    return frozenset(map(owner_of, marks)) - {FIRST_PARTY}


def _in_bf16(node: Node) -> bool:
    return precision_of(node.document) == "bf16"


def _kind(device: str) -> str:
    """``cpu`` or ``cuda``: where nodes of a run with such a ``--device`` run, as far as can be told without torch."""
    if device == "auto":
        return "cuda" if any(path.exists() for path in GPUS) else "cpu"
    return device.partition(":")[0]


def row_of(document: Document) -> str | None:
    """What repetitions of a cell share, its students and its shorter runs included; None for artifacts."""
    return None if isinstance(document, ArtifactDocument) else _row(document.cell)


def _row(cell: CellSpec) -> str:
    found = cell.model_dump(mode="json", exclude={"r", "master"})
    found["params"].pop("iterations", None)
    return canonical(found)


def _begun(plan: Plan, store: Store) -> frozenset[str]:
    """Cells with pending nodes, of which others were begun or computed by PyTorch's own operations."""
    waiting = [node for node in plan.pending() if not _in_bf16(node)]
    pending = [node.document.set for node in waiting if not isinstance(node.document, ArtifactDocument)]
    eager: set[str] = set()
    beside = {(d.cell.data.name, d.cell.method, d.folder, d.shared): d for d in pending}  # one of each folder
    for place in {store.folder(document).parent for document in beside.values()}:
        for path in place.glob(f"*/{SPEC}"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # what cannot be read begins anew
                begun = json.loads(path.read_bytes())
                if begun["engine"]["engine"] == "eager":
                    eager.add(_row(CellDocument.model_validate(begun["document"]).cell))
    return frozenset({_row(document.cell) for document in pending} & eager if eager else ())


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
