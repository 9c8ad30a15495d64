"""From a finished plan to the records that its tables show: measured ones, and rows for skips and failures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from ddbench.core.documents import CellDocument, EvaluationDocument, Place
from ddbench.core.keys import canonical, short
from ddbench.core.plugin.loader import active
from ddbench.core.records import Record, source_of
from ddbench.core.specs import Budget, CellSpec, EvalSpec
from ddbench.core.store.files import StoreWarning
from ddbench.core.store.folder import Store, amend, evaluation_path
from ddbench.core.trust import doubt_of_labels
from ddbench.plan import derived
from ddbench.plan.graph import Entry, Node, Plan

NEVER = "1970-01-01T00:00:00+00:00"


def collect(plan: Plan) -> list[Record]:
    """Condensation records, then one evaluation record per entry, each labelled as its row.

    Entries without a measured result become records with status ``skipped`` or ``failed`` and a reason: failures are
    rows.
    """
    starts = plan.starts
    cells = [node for node in plan.nodes.values() if node.kind == "cell" and node.key not in starts]
    made = [node.record for node in cells if node.record is not None]
    records = [record for record in made if record.document.reported]
    return records + [_of_entry(plan, entry) for entry in plan.entries]


def remember(plan: Plan, store: Store) -> None:
    """Let records name every row that they serve: no key holds a label, and the folder's tables must show each of them.

    A set may be shown under another label than before, or under two. A student of ``random`` may be one at equal bytes,
    of several rows or budgets, where size and training agree.
    """
    served: dict[str, list[Entry]] = {}
    for entry in plan.entries:
        if entry.evaluation is not None:
            served.setdefault(entry.evaluation, []).append(entry)
    for key, entries in served.items():
        record = plan.nodes[key].record
        if record is None:
            continue
        document = record.evaluation
        buys = any([document.facts.buys, *(entry.buys for entry in entries)])
        if document.set.shared and not buys:  # other folders read it as well, under the labels that they gave
            continue
        known = [(document.label, document.facts.buys), *((place.label, place.facts.buys) for place in document.also)]
        also: list[Place] = []
        for entry in entries:
            place = Place(label=entry.row, facts=entry.facts)
            if (place.label, place.facts.buys) not in known and place not in also:
                also.append(place)
        if also:
            amend(evaluation_path(store.folder(document.set), key), record, {}, also)


def called_as_made(records: Iterable[Record]) -> list[Record]:
    """The records whose labels are no names of other methods; each of the others is told and left out.

    A run does not ask: its own plan says what its rows are called, and a method of that name may be newer than a row.
    """
    names, found = derived.all_names(active()), []
    for record in records:
        if (why := doubt_of_labels(record, names)) is None:
            found.append(record)
        else:
            warnings.warn(f"record {short(record.key)}: {why}; it is left out", StoreWarning, stacklevel=2)
    return found


def stored(store: Store) -> list[Record]:
    """The records in a results folder, and of the shared references those of the same repetitions.

    What never ran (skips) left no record, and is missing here; so is what is not reported.
    """
    found: list[Record] = []
    references: list[Record] = []
    known = [(path, record) for path, record in store.records() if record.document.reported]
    for path, record in sorted(known, key=lambda each: _protocol(each[1])):
        (found if store.out in path.parents else references).append(record)
    places = {place_of(record) for record in found if record.kind == "evaluation"}
    students = [record for record in references if record.kind == "evaluation" and place_of(record) in places]
    sets = {record.evaluation.eval.set for record in students}
    return called_as_made([*found, *(record for record in references if record.key in sets), *students])


def _protocol(record: Record) -> str:
    """Tables come in the order of protocols' names, not of keys."""
    return record.evaluation.eval.protocol if record.kind == "evaluation" else ""


def place_of(record: Record) -> str:
    """Data, protocol, profile, student and repetition of an evaluation: what a result shares with its reference."""
    document = record.evaluation
    student, data = document.eval, document.cell.data.model_dump(mode="json")
    beside = student.arch, student.master, student.r, student.origins
    return canonical([data, document.protocol, document.profile, *beside])


def _of_entry(plan: Plan, entry: Entry) -> Record:
    node = None if entry.evaluation is None else plan.nodes[entry.evaluation]
    document = _document(plan, entry, node)
    if node is not None and node.record is not None:
        return node.record.model_copy(update={"document": document})
    status, reason = _why(plan, entry, node)
    return Record(
        key=entry.evaluation or "", kind="evaluation", status=status, reason=reason, document=document,
        source=source_of(document), started=NEVER, finished=NEVER,
    )  # fmt: skip


def _why(plan: Plan, entry: Entry, node: Node | None) -> tuple[Any, str]:
    if entry.skip is not None:
        return "skipped", entry.skip
    assert node is not None
    waits = ("skipped", "not yet trained") if node.pending else ("failed", node.reason or "not run")
    return cause(plan, node) or waits


def cause(plan: Plan, node: Node) -> tuple[Any, str] | None:
    """Status and reason of the node because of which there is no result: this one, or one that it needs.

    Whoever inherits a failure inherits its status, which decides whether a row is ranked last or not at all.
    """
    if node.record is not None:
        return None if node.record.status == "ok" else (node.record.status, node.record.reason or "")
    if node.state == "unmeasured":
        return "skipped", node.reason or "not measured"
    for key in node.needs:
        need = plan.nodes[key]
        if (found := cause(plan, need)) is not None:
            status, reason = found
            return status, _inherited(node, need, status, reason)
    return (node.status, node.reason or "") if node.state == "failed" else None


def _inherited(node: Node, need: Node, status: str, reason: str) -> str:
    """The reason of a node whose need has none to give: that of its set, or what it needs and what became of that."""
    document = node.document
    if need.kind == "cell" and node.kind == "cell":
        return f"starts from the set of {need.title}: {reason}"
    if not isinstance(document, EvaluationDocument) or need.key == document.eval.set:
        return reason
    choice = document.choice
    if choice is not None and need.key == choice.key:
        return f"{status} at repetition {choice.r}, which chooses the learning rate: {reason}"
    return f"needs {need.title}: {status}: {reason}"


def _document(plan: Plan, entry: Entry, node: Node | None) -> EvaluationDocument:
    """What a table reads, as this plan asked for it.

    A cached document may come from another run that shares the key: it can differ in the label, in the profile's name,
    and in the axes that its method does not have. Here the table's own values stand.
    """
    table, profile = entry.table, plan.grid.profile.name
    here: dict[str, Any] = {"arch": table.arch} | ({} if entry.budget is None else {"budget": entry.budget})
    if node is not None:
        document = node.document
        assert isinstance(document, EvaluationDocument)
        cell = document.cell.model_copy(update=here)
        made = document.set.model_copy(update={"cell": cell, "profile": profile})
        return document.model_copy(update={"label": entry.row, "facts": entry.facts, "set": made})
    protocol, _, version = table.protocol.partition("@")
    unknown: dict[str, Any] = {"method_version": 0, "origin": "", "params": {}, "master": 0}
    whole = Budget(fraction=1.0)
    cell = CellSpec(method=entry.method.name, data=table.data.spec, r=entry.r, **unknown, **({"budget": whole} | here))
    student = EvalSpec(
        set="", protocol=protocol, protocol_version=int(version), protocol_params={}, arch=table.eval_arch, master=0,
        r=entry.r, e=entry.e,
    )  # fmt: skip
    made = CellDocument(cell=cell, label=entry.row, role=entry.role, profile=profile)
    return EvaluationDocument(eval=student, set=made, label=entry.row, facts=entry.facts)
