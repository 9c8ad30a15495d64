"""Recorded evaluations become a plan again: the nodes that make them anew, under the keys that they have. No torch.

What decides a result is in its document; only what its artifacts are is asked of the plugins that are loaded, and the
keys tell whether these are the ones of then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from ddbench.core.api import ArtifactSpec, Params
from ddbench.core.documents import ArtifactDocument, Artifacts, CellDocument, EvaluationDocument
from ddbench.core.errors import DDBenchError, UsageError, first_problem
from ddbench.core.infos import IMPORTED
from ddbench.core.keys import canonical, condense_key, eval_key
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.profiles import for_tests_only, profile
from ddbench.core.records import Record
from ddbench.core.specs import CellSpec, DataSpec, EvalSpec, PlannedEvaluation, Precision
from ddbench.core.store.artifacts import manifest
from ddbench.data.dataset import Data, recorded_data
from ddbench.plan.graph import Node, Plan
from ddbench.plan.grid import Grid
from ddbench.plan.planner import CHOOSES, Planner
from ddbench.plan.rows import answer
from ddbench.plan.speeds import Speeds
from ddbench.plan.status import refuse_missing_import
from ddbench.plan.suite import BudgetAxis, MethodEntry, Suite


def plan_again(evaluations: Iterable[Record], registries: Registries) -> tuple[Plan, dict[str, str]]:
    """The plan that makes evaluations again, with all that they need, and why some cannot be made here, by key.

    Args:
        evaluations: Recorded ones with a result.
        registries: Loaded plugins.
    """
    evaluations = list(evaluations)
    planner, refused = _Again(registries, evaluations), dict[str, str]()
    for record in evaluations:
        before = dict(planner.plan.nodes)
        try:
            planner.student(record.evaluation)
        except DDBenchError as error:
            planner.plan.nodes = before
            refused[record.key] = f"{error}{_made_by(record)}"
    return planner.plan, refused


def _made_by(record: Record) -> str:
    """``(ddbench 0.1.0, git 3e22ac8)``: the version to look for."""
    told = [f"{name} {record.env[name]}" for name in ("ddbench", "git") if record.env.get(name)]
    return f" (recorded by {', '.join(told)})" if told else ""


def speeds_recorded(plan: Plan, records: Iterable[Record]) -> Speeds:
    """How long nodes took where they were recorded, wherever that was; of profile smoke nothing.

    Artifacts have no records: those of a set share the seconds that its record has for all of them.

    Args:
        plan: From :func:`plan_again`.
        records: Those that it makes again, and others of their kind.
    """
    speeds = Speeds()
    for record in (one for one in records if not for_tests_only(one.document.profile)):
        speeds.add(record)
        if isinstance(made := record.document, CellDocument):
            built = [plan.nodes[key].document for _, key in made.artifacts.values() if key in plan.nodes]
            seconds = record.cost.artifact_s + (record.cost.artifact_rest_s or 0.0)
            for document in built:
                assert isinstance(document, ArtifactDocument)
                speeds.add_artifact(document, {"env": record.env, "cost": {"seconds": seconds / len(built)}})
    return speeds


class _Again(Planner):
    """Plans what documents say, whatever a suite would make of it."""

    def __init__(self, registries: Registries, evaluations: Sequence[Record]) -> None:
        # Nothing of a plan of documents reads a suite but precisions, which are theirs, and forecasts its profile.
        tests = [name for one in evaluations if for_tests_only(name := one.document.profile)]
        named = {"profile": tests[0]} if tests and len(tests) == len(evaluations) else {}
        suite = Suite(methods=(MethodEntry(name="recorded"),), budget=BudgetAxis(ipc=(1,)), **named)
        super().__init__(Grid(suite, profile(suite.profile), registries, [], [], [], [], (), 1, 0, []))
        self.half: Precision = "fp32"
        self.opened: dict[str, Data | DDBenchError] = {}

    def precision(self, arch: str, what: str) -> Precision:
        return self.half

    def student(self, document: EvaluationDocument) -> str:
        """The key of a recorded evaluation's node, planned with all that it needs.

        Raises:
            DDBenchError: If it cannot be made here.
        """
        if document.key in self.plan.nodes:
            return document.key
        spec, made = document.eval, document.set
        needs = [self.set(made), *([self.set(document.recipe)] if document.recipe is not None else [])]
        self._check(spec)
        protocol = Protocol.find(spec.protocol, self.grid.registries)
        if protocol not in self.grid.protocols:
            self.grid.protocols.append(protocol)
        if document.artifacts:
            self.declared(document, protocol)
        needs += spec.artifacts
        if document.choice is not None:
            chosen = {"set": document.choice.set.key, "r": document.choice.r, "e": 0}
            chooser = spec.model_copy(update=chosen)
            if eval_key(chooser) != document.choice.key:
                raise UsageError("nothing here says which evaluation chose its learning rate")
            told = {"eval": chooser, "key": document.choice.key, "set": document.choice.set, "choice": None, "also": ()}
            needs.append(self.student(document.model_copy(update=told)))
        where = f"{document.label} {made.cell.budget.label}" if not made.shared else document.label
        title = f"{where} r{spec.r} · {document.protocol} {spec.arch} e{spec.e}"
        shown = title if document.reported else title + CHOOSES
        steps = spec.protocol_params.get("updates", 0)
        self.plan.nodes[document.key] = Node(shown, document, tuple(needs), steps if isinstance(steps, int) else 0)
        return document.key

    def declared(self, document: EvaluationDocument, protocol: Protocol) -> None:
        """Plan the artifacts of a protocol."""
        spec, cell, data = document.eval, document.cell, self.data(document.cell.data)
        try:
            params = protocol.params.model_validate(spec.protocol_params)
        except ValidationError as error:
            raise UsageError(f"protocol {protocol.id} has other parameters here: {first_problem(error)}") from None
        seen = self._params(cell).images_seen
        images = answer(self.grid.registries.methods.get(cell.method), lambda: seen(document.facts.n or 0))
        planned = PlannedEvaluation(spec.model_copy(update={"artifacts": ()}), cell, images)
        reason, artifacts = protocol.ask(params, planned, data.info)
        if reason is not None:
            raise UsageError(reason)
        self._as_recorded(artifacts, document.artifacts, {}, f"protocol {protocol.id}")

    def set(self, document: CellDocument) -> str:
        """The key of a recorded set's node, planned with all that it needs.

        Raises:
            DDBenchError: If it cannot be made here.
        """
        if document.key in self.plan.nodes:
            return document.key
        cell, registries = document.cell, self.grid.registries
        if cell.method == IMPORTED:
            raise UsageError("its set was made elsewhere: `ddbench evaluate FILE` scores the file that holds it")
        self._check(cell)
        data, info, params = self.data(cell.data), registries.methods.get(cell.method), self._params(cell)
        reason, artifacts, steps = answer(
            info, lambda: (params.unsupported(cell, data.info), dict(params.artifacts(cell)), params.steps)
        )
        if reason is not None:
            raise UsageError(reason)
        used = self._as_recorded(artifacts, document.artifacts, self.whitening(cell), cell.method, document.bf16)
        starts = [] if document.initial is None else [self.set(document.initial)]
        if condense_key(cell, info.axes, used) != document.key:
            raise UsageError(f"its key is made of other things than {cell.method} depends on here")
        where = "" if document.shared else f" {cell.budget.label} r{cell.r}"
        shown = document.label + where + ("" if document.reported else CHOOSES)
        self.plan.nodes[document.key] = Node(shown, document, (*used, *starts), steps)
        return document.key

    def _params(self, cell: CellSpec) -> Params:
        """The recorded params of a cell, as its method has them here."""
        info = self.grid.registries.methods.get(cell.method)

        def made() -> Params | str:
            try:
                return params_class(info).model_validate(cell.params)  # type: ignore[no-any-return]
            except ValidationError as error:
                return first_problem(error)

        found = answer(info, made)
        if isinstance(found, str):
            raise UsageError(f"{cell.method} has other parameters here: {found}")
        return found

    def _as_recorded(
        self, asked: Mapping[str, ArtifactSpec], recorded: Artifacts, used: Artifacts, asker: str,
        half: Iterable[str] = (),
    ) -> tuple[str, ...]:  # fmt: skip
        """The keys of artifacts that are asked for, planned, the same as recorded; ``half``: those in bfloat16."""
        for name, spec in asked.items():
            self.half = "bf16" if name in half else "fp32"
            used[name] = spec.kind, self.artifact(spec, asker)
        if other := {used[name][0] for name in used if recorded.get(name) != used[name]} | {*recorded} - {*used}:
            raise UsageError(f"the {min(other)} that {asker} reads are made otherwise here than they were")
        for _, key in used.values():
            document = self.plan.nodes[key].document
            assert isinstance(document, ArtifactDocument)
            if document.artifact.params.get("source") and manifest(document.artifact.kind, key) is None:
                refuse_missing_import(document.artifact)
        return tuple(key for _, key in used.values())

    def data(self, spec: DataSpec) -> Data:
        """Opened once.

        Raises:
            DDBenchError: If it is not here.
        """
        place = canonical(spec.model_dump(mode="json"))
        if place not in self.opened:
            try:
                found = self.opened[place] = recorded_data(spec, self.grid.registries)
                self.grid.data.append(found)
            except DDBenchError as error:
                self.opened[place] = error
        known = self.opened[place]
        if isinstance(known, DDBenchError):
            raise known
        return known

    def _check(self, spec: CellSpec | EvalSpec) -> None:
        if (reason := self.grid.registries.unlike_record(spec)) is not None:
            raise UsageError(reason)
