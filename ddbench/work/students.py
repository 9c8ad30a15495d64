"""Evaluation nodes: a student is trained on a set and tested once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ddbench.core.api import CondensedSet, State
from ddbench.core.documents import EvaluationDocument
from ddbench.core.errors import CorruptFileError, NodeFailureError
from ddbench.core.plugin.loader import base_of
from ddbench.core.records import Record
from ddbench.core.store.files import StoreWarning, atomic_write, set_aside
from ddbench.core.store.folder import CHECKPOINT, evaluation_path, read_record
from ddbench.core.store.tensors import load_state, save_state
from ddbench.work.artifact_builds import verified_folders
from ddbench.work.attempt import Attempt, Ended, Job, Outcome, environment_of, guarded, publish
from ddbench.work.clock import Clock
from ddbench.work.costs import cost_of
from ddbench.work.engine import Engine
from ddbench.work.evaluate.beside import beside
from ddbench.work.evaluate.stage import Evaluation, Result
from ddbench.work.meter import Spent


def evaluate_student(job: Job[EvaluationDocument]) -> Outcome:
    """Train and test a student, or go on where an earlier attempt stopped, and publish predictions and record.

    Raises:
        CorruptFileError: If the set, or an artifact, turns out to be damaged (it was set aside).
        InterruptedRunError: If the user asked to stop; a checkpoint is written.
        StoreError: If nothing can be written.
    """
    folder = job.store.folder(job.document.set)
    condensed, condensation = job.store.load_set(folder)
    path = evaluation_path(folder, job.document.key)
    checkpoint = path.with_suffix(f".{CHECKPOINT}")
    engine, resumed = _resumed(checkpoint, job.engine)
    engine.apply()
    training = _Training(job, condensed, checkpoint, engine, resumed, Attempt(job.meter()), job.clock())
    ended = guarded(job, training.run, folder)
    record = training.record(ended)
    record.set_sha256 = condensation.set_sha256
    if (result := ended.result) is not None:
        record.metrics, record.n_test, record.selection = result.metrics, result.n_test, result.selection
        parts = {"predictions": result.predictions} | ({"logits": result.logits} if job.keep_logits else {})
        atomic_write(path.with_suffix(".safetensors"), save(parts))
    return publish(path, record, checkpoint, job.store.log(job.document))


@dataclass
class _Training:
    """One attempt at a student."""

    job: Job[EvaluationDocument]
    condensed: CondensedSet
    checkpoint: Path
    engine: Engine
    resumed: dict[str, Any] | None
    attempt: Attempt
    clock: Clock
    updates: int = field(default=0, init=False)

    def run(self) -> Result:
        """Choose the learning rate, train, test."""
        document = self.job.document
        followed = _followed(self.job, self.condensed)
        evaluation = Evaluation(
            spec=document.eval,
            protocol=self.job.registries.protocols.get(document.eval.protocol),
            data=document.cell.data,
            condensed=self._beside(followed),
            device=torch.device(self.engine.device),
            registries=self.job.registries,
            whole=document.whole,
            recipe=None if followed is None else followed.recipe,
            recipe_images=None if followed is None else len(followed),
            initial=None if followed is None else followed.aux.get("initial"),
            chosen=_choice(self.job),
            folders=verified_folders(document.set.artifacts, only="whitening") | verified_folders(document.artifacts),
            tick=self.tick,
            resumed=self.resumed,
        )
        with self.attempt.meter.phase("evaluate"), self.job.interrupts.deferred():
            return evaluation.run()

    def _beside(self, followed: CondensedSet | None) -> CondensedSet:
        """The set; under another one's recipe as that takes it."""
        if followed is None or followed is self.condensed:
            return self.condensed
        return beside(self.condensed, followed)

    def tick(self, done: int, total: int, state: Callable[[], State]) -> None:
        """After each update."""
        self.updates += 1
        self.clock.tick(done, total, lambda: self.save(state()), "updates")

    def save(self, state: State) -> None:
        """Keep what the next attempt needs."""
        kept = {**state, "earlier": asdict(self.spent()), "engine": self.engine.model_dump()}
        save_state(self.checkpoint, kept)

    def spent(self) -> Spent:
        """What all attempts took so far, this one included."""
        earlier = Spent.load(self.resumed["earlier"], "evaluate") if self.resumed else Spent()
        return earlier.plus(self.attempt.meter, self.updates)

    def record(self, ended: Ended[Result]) -> Record:
        """What there is to say, whether or not there is a result."""
        document, spent, meter = self.job.document, self.spent(), self.attempt.meter
        cost = cost_of(spent, meter, document.artifacts, steps=spent.steps)
        cell, spec = document.cell, document.eval
        network = self.job.registries.architectures.find(base_of(spec.arch))  # None: the protocol's own predictor
        parts = ["protocol"] if network is None else ["protocol", "arch"]
        env = environment_of(cell.origin, cell.data, spec.origins, *parts)
        env |= self.engine.facts(resumed=self.resumed is not None)
        return self.attempt.record(document, ended, cost, env)


def _resumed(checkpoint: Path, engine: Engine) -> tuple[Engine, dict[str, Any] | None]:
    """The engine and the state of an unfinished attempt; a checkpoint that cannot be used is set aside."""
    if not checkpoint.exists():
        return engine, None
    try:
        state = load_state(checkpoint)
        kept = Engine.model_validate(state["engine"])
        if not kept.agrees_with(engine):
            raise ValueError(f"it was made on {kept.device} by engine {kept.engine}")
        Spent.load(state["earlier"], "evaluate")
        return kept, state
    except (CorruptFileError, KeyError, TypeError, ValueError) as error:
        warnings.warn(f"{checkpoint}: cannot be used ({error}); starting over", StoreWarning, stacklevel=2)
        set_aside(checkpoint)
        return engine, None


def _followed(job: Job[EvaluationDocument], condensed: CondensedSet) -> CondensedSet | None:
    """Whose recipe is followed under ``native``: the set itself, or the one that it stands beside."""
    document = job.document
    if not job.registries.protocols.get(document.eval.protocol).follows_recipe:
        return None
    if document.recipe is None:
        return condensed
    return job.store.load_set(job.store.folder(document.recipe))[0]


def _choice(job: Job[EvaluationDocument]) -> dict[str, Any] | None:
    """What the repetition that chooses chose on val.

    Raises:
        NodeFailureError: If it failed.
    """
    choice = job.document.choice
    if choice is None:
        return None
    record = read_record(evaluation_path(job.store.folder(choice.set), choice.key))
    if record is None or record.status != "ok":
        why = "is missing" if record is None else f"{record.status}: {record.reason}"
        raise NodeFailureError(
            "failed", f"no learning rate: the evaluation of repetition {choice.r} that chooses it {why}"
        )
    return record.selection
