"""Runs one node. Needs nothing but the node's document, ``--out`` and ``$DDBENCH_HOME``."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ddbench import artifacts
from ddbench.api import CondensedSet, Limits, Recipe, State
from ddbench.attempts import Spent, failure, warm_up
from ddbench.condense import Condensation, History
from ddbench.context import open_context
from ddbench.engine import Engine, environment
from ddbench.errors import (
    CorruptFileError,
    InterruptedRunError,
    NodeFailureError,
    StoreError,
)
from ddbench.evaluate.stage import Evaluation, Result
from ddbench.exchange.manifest import describe_set
from ddbench.files import StoreWarning, atomic_write, set_aside, store_error
from ddbench.forerunner import adopt, continues
from ddbench.meter import Meter
from ddbench.plugins import Registries, import_target
from ddbench.profiles import profile
from ddbench.records import Cost, Record, Status, source_of
from ddbench.registry import FIRST_PARTY
from ddbench.serialise import load_state, save_state
from ddbench.session import Interrupts, Monitor, Session, Silent
from ddbench.specs import ArtifactSpec, CellSpec, EvalSpec
from ddbench.store import (
    CHECKPOINT,
    CONDENSE,
    Store,
    evaluation_path,
    read_record,
    write_record,
)

Document = Mapping[str, Any]
PASS_ON = (KeyboardInterrupt, InterruptedRunError, StoreError)
"""What is nobody's result: the user stopped, or the disk is full."""


@dataclass
class Worker:
    """Runs nodes one after another in this process.

    Attributes:
        store: Where results go.
        registries: Loaded plugins.
        engine: How nodes are computed unless they are resumed.
        limits: Bounds per node.
        interrupts: Whether the user wants to stop.
        monitor: Who is told about progress.
        keep_logits: Store logits beside predictions.
    """

    store: Store
    registries: Registries
    engine: Engine
    limits: Limits = field(default_factory=Limits)
    interrupts: Interrupts = field(default_factory=Interrupts)
    monitor: Monitor = field(default_factory=Silent)
    keep_logits: bool = False

    def __post_init__(self) -> None:
        warm_up()  # so that no node is charged for imports that torch puts off

    def run(self, document: Document) -> Record | None:
        """Run one node and publish its result; None for an artifact.

        Raises:
            NodeFailureError: If an artifact cannot be built.
            CorruptFileError: If the set to evaluate turns out to be damaged (it was set aside).
            InterruptedRunError: If the user asked to stop.
            StoreError: If nothing can be written.
        """
        if (changed := self.registries.changed_since(_spec(document))) is not None:
            raise NodeFailureError("failed", changed)
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the table: a plugin's print goes to stderr
            if document["kind"] == "artifact":
                self._artifact(document)
                return None
            if document["kind"] == "cell":
                return self._cell(document)
            return self._evaluation(document)

    # --------------------------------------------------------------------------------------------------- artifacts

    def _artifact(self, document: Document) -> None:
        spec = ArtifactSpec.model_validate(document["artifact"])
        kind = self.registries.artifacts.get(spec.kind)
        folder = artifacts.partial_folder(spec.kind, document["key"])
        _make(folder)
        self.engine.apply()
        meter, earlier = Meter(), Spent.read(folder)

        def report(done: int, total: int, what: str) -> None:
            self.monitor.progress(done, total, what or spec.kind, {})

        try:
            with meter.phase("artifact"):
                ctx = open_context(
                    spec, owner=spec.kind, folders=self._folders(document), registries=self.registries,
                    profile=profile("short"), device=self.engine.device, limits=self.limits, report=report,
                )  # fmt: skip
                import_target(kind.build)(ctx, folder, import_target(kind.params).model_validate(spec.params))
        except PASS_ON:
            raise
        except BaseException as error:  # whatever a plugin raises, SystemExit and its like included
            status, reason = failure(error, folder)
            raise NodeFailureError(status, f"artifact {spec.kind}: {reason}") from error
        finally:
            earlier.add(meter).write(folder)
        facts = {
            "spec": spec.model_dump(mode="json"),
            "kind_version": kind.version,
            "cost": {"seconds": earlier.seconds, "peak_mb": earlier.peak_mb, "attempts": earlier.attempts},
            "env": self._env(self.registries.artifacts.origin(spec.kind).key, spec.data.origin, spec.arch)
            | self.engine.model_dump(),
        }
        artifacts.publish(spec.kind, document["key"], facts)

    def _folders(self, document: Document, only: str | None = None) -> dict[str, Path]:
        """Verified folders of the artifacts a node reads."""
        used = {name: place for name, place in document.get("artifacts", {}).items() if only in (None, name)}
        return {name: artifacts.verify(kind, key) for name, (kind, key) in used.items()}

    # ------------------------------------------------------------------------------------------------------- cells

    def _cell(self, document: Document) -> Record:
        spec = CellSpec.model_validate(document["cell"])
        folder = self.store.folder(document)
        _make(folder)
        longer = False
        with contextlib.suppress(Exception):  # fails again, and is told, where the method is made
            info = self.registries.methods.get(spec.method)
            import_target(info.target)  # before the meter: no cell pays for imports
            longer = continues(import_target(info.params).model_validate(spec.params))
        if longer:
            adopt(folder, document, self.engine.device)
        used = self._resumed_engine(folder, document)
        used.apply()
        attempt = _Attempt(Meter(), _now())
        history = History.read(folder)
        session = Session(self.interrupts, self.monitor, self.limits.timeout_s)
        running: list[Condensation] = []

        def work() -> tuple[CondensedSet, dict[str, Any] | None]:
            if document["broken"] is not None:
                raise NodeFailureError("failed", f"its params failed while planning: {document['broken']}")
            folders = self._folders(document)
            method = self._method(spec)
            ctx = open_context(
                spec, owner=spec.method, folders=folders, registries=self.registries, device=used.device,
                profile=profile(document["profile"]), limits=self.limits, report=session_report(session),
            )  # fmt: skip
            kind = self.registries.methods.get(spec.method).kind
            running.append(Condensation(method, ctx, session, attempt.meter, folder, history, kind))
            return running[0].run()

        outcome, status, reason = self._guarded(work, folder)
        seconds = running[0].seconds() if running else history.seconds
        cost = Cost(
            prepare_s=seconds.get("prepare", 0.0),
            condense_s=seconds.get("condense", 0.0),
            artifact_s=self._artifact_seconds(document),
            steps=running[0].ctx.step if running else 0,
            peak_mb=max(history.peak_mb, attempt.meter.peak_mb),
            peak_from=attempt.meter.peak_from,
            contended=attempt.meter.contended,
            attempts=history.attempts,
        )
        env = self._env(spec.origin, spec.data.origin, spec.arch) | used.model_dump()
        record = attempt.record(document, "condense", status, reason, cost, env)
        record.warnings = list(running[0].ctx.warnings) if running else []
        if history.forerunner:
            record.env["continues"] = history.forerunner
        if outcome is not None:
            condensed, record.selection = outcome
            record.metrics = {name: value for name, value in running[0].diagnostics.items() if math.isfinite(value)}
            record.cost.bytes = {
                n: v for n in condensed.storage.__dataclass_fields__ if (v := getattr(condensed.storage, n))
            }
            record.set_sha256 = self.store.publish_set(folder, condensed)
            describe_set(folder, spec, document["label"], condensed, running[0].ctx.dataset, record)
        write_record(folder / CONDENSE, record)
        if status != "timeout":
            (folder / CHECKPOINT).unlink(missing_ok=True)
        return record

    def fail(self, document: Document, status: Status, reason: str) -> Record:
        """Publish the failure of a cell that could not be started, with the status of what it needed."""
        folder = self.store.folder(document)
        _make(folder)
        attempt = _Attempt(Meter(), _now())
        spec = CellSpec.model_validate(document["cell"])
        env = self._env(spec.origin, spec.data.origin, spec.arch)
        record = attempt.record(document, "condense", status, reason, Cost(), env)
        write_record(folder / CONDENSE, record)
        return record

    def _method(self, spec: CellSpec) -> Any:
        """The method object of a cell."""
        info = self.registries.methods.get(spec.method)
        return import_target(info.target)(import_target(info.params).model_validate(spec.params))

    def _resumed_engine(self, folder: Path, document: Document) -> Engine:
        """The engine an unfinished attempt used, so that it continues to the bit; else this worker's, written down."""
        path = folder / "spec.json"
        try:
            kept = Engine.model_validate(json.loads(path.read_bytes())["engine"])
        except (OSError, ValueError, KeyError):
            kept = None
        if kept is not None and (folder / CHECKPOINT).exists() and kept.device == self.engine.device:
            return kept
        text = json.dumps({"document": dict(document), "engine": self.engine.model_dump()}, indent=1)
        atomic_write(path, text.encode())
        return self.engine

    def _artifact_seconds(self, document: Document) -> float:
        manifests = [artifacts.manifest(kind, key) for kind, key in document.get("artifacts", {}).values()]
        return float(sum(manifest["cost"]["seconds"] for manifest in manifests if manifest is not None))

    # ------------------------------------------------------------------------------------------------- evaluations

    def _evaluation(self, document: Document) -> Record:
        spec = EvalSpec.model_validate(document["eval"])
        cell = CellSpec.model_validate(document["set"]["cell"])
        folder = self.store.folder(document["set"])
        condensed, condensation = self.store.load_set(folder)
        path = evaluation_path(folder, document["key"])
        checkpoint = path.with_suffix(f".{CHECKPOINT}")
        used, resumed = self._resumed_evaluation(checkpoint)
        used.apply()
        attempt = _Attempt(Meter(), _now())
        earlier = Spent(**resumed["earlier"]) if resumed else Spent()
        session = Session(self.interrupts, self.monitor, self.limits.timeout_s)
        updates = 0

        def tick(done: int, total: int, state: Callable[[], State]) -> None:
            nonlocal updates
            updates += 1

            def write() -> None:
                so_far = replace(earlier).add(attempt.meter, updates)
                save_state(checkpoint, {**state(), "earlier": asdict(so_far), "engine": used.model_dump()})

            session.tick(done, total, write, "evaluate")

        def work() -> Result:
            evaluation = Evaluation(
                spec=spec,
                protocol=self.registries.protocols.get(spec.protocol),
                data=cell.data,
                condensed=condensed,
                device=torch.device(used.device),
                families=self.registries.architectures,
                whole=document["whole"],
                recipe=self._recipe(document, condensed),
                chosen=self._choice(document),
                folders=self._folders(document["set"], only="whitening") | self._folders(document),
                tick=tick,
                resumed=resumed,
            )
            with attempt.meter.phase("evaluate"), self.interrupts.deferred():
                return evaluation.run()

        result, status, reason = self._guarded(work, folder)
        spent = earlier.add(attempt.meter, updates)
        cost = Cost(
            evaluate_s=spent.seconds,
            artifact_s=self._artifact_seconds(document),
            steps=spent.steps,
            peak_mb=spent.peak_mb,
            peak_from=attempt.meter.peak_from,
            contended=attempt.meter.contended,
            attempts=spent.attempts,
        )
        env = self._env(cell.origin, cell.data.origin, spec.arch, spec.protocol) | used.model_dump()
        record = attempt.record(document, "evaluation", status, reason, cost, env)
        record.set_sha256 = condensation.set_sha256
        if result is not None:
            record.metrics, record.n_test, record.selection = result.metrics, result.n_test, result.selection
            parts = {"predictions": result.predictions} | ({"logits": result.logits} if self.keep_logits else {})
            atomic_write(path.with_suffix(".safetensors"), save(parts))
        write_record(path, record)
        if status != "timeout":
            checkpoint.unlink(missing_ok=True)
        return record

    def _resumed_evaluation(self, checkpoint: Path) -> tuple[Engine, dict[str, Any] | None]:
        if not checkpoint.exists():
            return self.engine, None
        try:
            state = load_state(checkpoint)
            kept = Engine.model_validate(state["engine"])
            if kept.device != self.engine.device:
                raise ValueError(f"it was made on {kept.device}")
            Spent(**state["earlier"])
            return kept, state
        except (CorruptFileError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"{checkpoint}: cannot be used ({error}); starting over", StoreWarning, stacklevel=2)
            set_aside(checkpoint)
            return self.engine, None

    def _recipe(self, document: Document, condensed: CondensedSet) -> Recipe | None:
        """The recipe to follow under ``native``: the set's own, or that of the set it stands beside."""
        if not self.registries.protocols.get(document["eval"]["protocol"]).follows_recipe:
            return None
        if document["recipe"] is None:
            return condensed.recipe
        return self.store.load_set(self.store.folder(document["recipe"]))[0].recipe

    def _choice(self, document: Document) -> dict[str, Any] | None:
        """What repetition 0 chose on val.

        Raises:
            NodeFailureError: If it failed.
        """
        choice = document["choice"]
        if choice is None:
            return None
        record = read_record(evaluation_path(self.store.folder(choice["set"]), choice["key"]))
        if record is None or record.status != "ok":
            why = "is missing" if record is None else f"{record.status}: {record.reason}"
            raise NodeFailureError("failed", f"no learning rate: the evaluation of repetition 0 that chooses it {why}")
        return record.selection

    # ------------------------------------------------------------------------------------------------------ common

    def _guarded(self, work: Callable[[], Any], folder: Path) -> tuple[Any, Status, str | None]:
        """Run ``work``; what goes wrong inside becomes a status and a reason, with the traceback in ``log.txt``."""
        try:
            return work(), "ok", None
        except PASS_ON:
            raise
        except BaseException as error:  # whatever a plugin raises, SystemExit and its like included
            status, reason = failure(error, folder)
            try:
                with (folder / "log.txt").open("a", encoding="utf-8") as log:
                    log.write(f"{_now()} {status}: {reason}\n{''.join(traceback.format_exception(error))}\n")
            except OSError as problem:
                raise store_error(folder / "log.txt", problem) from problem
            return None, status, reason

    def _env(self, plugin: str, data: str, arch: str | None, protocol: str | None = None) -> dict[str, Any]:
        """Versions and machine, and whose members took part."""
        others = {"data": data or FIRST_PARTY}
        if arch is not None:
            others["arch"] = self.registries.origins(arch=arch).get("arch", FIRST_PARTY)
        if protocol is not None:
            others["protocol"] = self.registries.protocols.origin(protocol).key
        return dict(environment(plugin, **others))


@dataclass
class _Attempt:
    """The clock of one record."""

    meter: Meter
    started: str

    def record(
        self, document: Document, kind: str, status: Status, reason: str | None, cost: Cost, env: dict[str, Any]
    ) -> Record:
        return Record.model_validate(
            {"key": document["key"], "kind": kind, "status": status, "reason": reason, "source": source_of(document),
             "spec": dict(document), "cost": cost, "env": env, "started": self.started, "finished": _now()}
        )  # fmt: skip


def _spec(document: Document) -> ArtifactSpec | CellSpec | EvalSpec:
    """What a node is to do."""
    if document["kind"] == "artifact":
        return ArtifactSpec.model_validate(document["artifact"])
    if document["kind"] == "cell":
        return CellSpec.model_validate(document["cell"])
    return EvalSpec.model_validate(document["eval"])


def session_report(session: Session) -> Callable[[int, int, str], None]:
    """Progress of a long stage inside a step."""

    def report(done: int, total: int, what: str) -> None:
        session.monitor.progress(done, total, what, {})

    return report


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise store_error(folder, error) from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
