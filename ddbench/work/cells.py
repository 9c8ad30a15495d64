"""Cell nodes: a method condenses its set, which is published with its record."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddbench.core.api import CondensedSet
from ddbench.core.documents import CellDocument
from ddbench.core.errors import NodeFailureError
from ddbench.core.plugin.loader import method_class, params_class
from ddbench.core.profiles import profile
from ddbench.core.records import Record
from ddbench.core.specs import CellSpec
from ddbench.core.store.files import StoreWarning, atomic_write, set_aside
from ddbench.core.store.folder import CHECKPOINT, CONDENSE, SPEC
from ddbench.data.exchange.manifest import describe_set
from ddbench.work.artifact_builds import verified_folders
from ddbench.work.attempt import Attempt, Ended, Job, Outcome, environment_of, guarded, make_folder, publish
from ddbench.work.clock import Clock
from ddbench.work.condense import Condensation, History
from ddbench.work.context import open_context
from ddbench.work.continuation import adopt, continues
from ddbench.work.costs import cost_of
from ddbench.work.engine import Engine
from ddbench.work.starts import Inputs, inputs_of, open_start

Made = tuple[CondensedSet, dict[str, Any] | None]
"""A set, and what was chosen on val."""


def condense_cell(job: Job[CellDocument]) -> Outcome:
    """Condense a cell's set, or go on where an earlier attempt stopped, and publish set and record.

    Raises:
        CorruptFileError: If an artifact that it reads turns out to be damaged (it was set aside).
        InterruptedRunError: If the user asked to stop; a checkpoint is written.
        StoreError: If nothing can be written.
    """
    spec = job.document.cell
    folder = make_folder(job.store.folder(job.document))
    if _may_continue(job, spec):
        adopt(folder, job.document, job.engine)
    engine = _resumed_engine(job, folder)
    engine.apply()
    making = _Making(job, spec, folder, engine, Attempt(job.meter()), History.read(folder), job.clock())
    ended = guarded(job, making.run, folder)
    record = making.record(ended)
    if ended.result is not None:
        making.publish_set(record, *ended.result)
    return publish(folder / CONDENSE, record, folder / CHECKPOINT, job.store.log(job.document))


@dataclass
class _Making:
    """One attempt at a set; ``running`` is there once its method is made, and what it can open of its ``inputs``."""

    job: Job[CellDocument]
    spec: CellSpec
    folder: Path
    engine: Engine
    attempt: Attempt
    history: History
    clock: Clock
    running: Condensation | None = field(default=None, init=False)
    inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = Inputs(self.job.document.artifacts)

    def run(self) -> Made:
        """Make the set.

        Raises:
            NodeFailureError: If the method's params failed while planning, or the method fails in a way of its own.
        """
        document, registries, spec = self.job.document, self.job.registries, self.spec
        if document.broken is not None:
            raise NodeFailureError("failed", f"its params failed while planning: {document.broken}")
        assert document.profile is not None  # every plan names one
        folders = verified_folders(document.artifacts)
        initial, made = open_start(self.job.store, document)
        info = registries.methods.get(spec.method)
        method = method_class(info)(params_class(info).model_validate(spec.params))
        ctx = open_context(
            spec, owner=spec.method, folders=folders, registries=registries, device=self.engine.device,
            profile=profile(document.profile), limits=self.job.limits, monitor=self.job.monitor,
            key=document.key, initial=initial,
        )  # fmt: skip
        meter = self.attempt.meter
        self.running = Condensation(method, ctx, self.clock, meter, self.folder, self.history, info.kind)
        self.inputs = inputs_of(document, made, registries, ctx.dataset)
        return self.running.run()

    def record(self, ended: Ended[Made]) -> Record:
        """What there is to say, whether or not there is a set."""
        running, history, meter = self.running, self.history, self.attempt.meter
        cost = cost_of(
            history.spent.plus(meter), meter, self.inputs.artifacts,
            steps=0 if running is None else running.ctx.step, shares=self.inputs.shares,
            starts=[record.cost for record in self.inputs.made],
        )  # fmt: skip
        spec = self.spec
        axes = self.job.registries.methods.get(spec.method).axes
        parts = sorted({*spec.origins, *axes & {"arch"}})  # a method that no network changes has none
        env = environment_of(spec.origin, spec.data, spec.origins, *parts)
        env |= self.engine.facts(resumed=history.spent.attempts > 0)
        if engines := self.inputs.engines:
            env["inputs"] = engines
        if history.forerunner:
            env["continues"] = history.forerunner
        record = self.attempt.record(self.job.document, ended, cost, env)
        record.warnings = [*self._warnings(), *ended.warnings]
        return record

    def _warnings(self) -> list[str]:
        """Its own, after those of the set that it starts from: what is wrong with that is wrong with this."""
        own = [] if self.running is None else self.running.ctx.warnings
        return list(dict.fromkeys([*(text for record in self.inputs.made for text in record.warnings), *own]))

    def publish_set(self, record: Record, condensed: CondensedSet, chosen: Mapping[str, Any] | None) -> None:
        """Write the set, and what its record says about it; the record must follow."""
        assert self.running is not None
        storage = condensed.storage
        record.selection = None if chosen is None else dict(chosen)
        record.metrics = {name: value for name, value in self.running.diagnostics.items() if math.isfinite(value)}
        record.cost.bytes = {name: v for name in storage.__dataclass_fields__ if (v := getattr(storage, name))}
        record.set_sha256 = self.job.store.publish_set(self.folder, condensed)
        describe_set(self.folder, self.spec, self.job.document.label, condensed, self.running.ctx.dataset, record)


def _may_continue(job: Job[CellDocument], spec: CellSpec) -> bool:
    """Whether a longer run begins like a shorter one; imports the method before the meter runs: no cell pays for it."""
    with contextlib.suppress(Exception):  # fails again, and is told, where the method is made
        info = job.registries.methods.get(spec.method)
        method_class(info)
        return continues(params_class(info).model_validate(spec.params))
    return False


def _resumed_engine(job: Job[CellDocument], folder: Path) -> Engine:
    """The engine an unfinished attempt used, so that it continues to the bit; else this job's, written down."""
    path = folder / SPEC
    try:
        kept = Engine.model_validate(json.loads(path.read_bytes())["engine"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        kept = None
    if kept is not None and (folder / CHECKPOINT).exists():
        if kept.agrees_with(job.engine):
            return kept
        if kept.engine != job.engine.engine:
            why = f"it was begun by engine {kept.engine}; starting over by {job.engine.engine}"
            warnings.warn(f"{folder / CHECKPOINT}: {why}", StoreWarning, stacklevel=2)
            set_aside(folder / CHECKPOINT)
    text = json.dumps({"document": job.document.model_dump(mode="json"), "engine": job.engine.model_dump()}, indent=1)
    atomic_write(path, text.encode(), durable=False)  # a checkpoint makes it so
    return job.engine
