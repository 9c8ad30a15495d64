"""From a finished plan to the records that its tables show: measured ones, and rows for skips and failures."""

from __future__ import annotations

from typing import Any

from ddbench.core.keys import canonical
from ddbench.core.records import Record, source_of
from ddbench.core.store.folder import Store, amend, evaluation_path
from ddbench.plan.graph import Entry, Node, Plan

NEVER = "1970-01-01T00:00:00+00:00"


def collect(plan: Plan) -> list[Record]:
    """Condensation records, then one evaluation record per entry, each labelled as its row.

    Entries without a measured result become records with status ``skipped`` or ``failed`` and a reason: failures are
    rows.
    """
    records = [node.record for node in plan.nodes.values() if node.kind == "cell" and node.record is not None]
    return records + [_of_entry(plan, entry) for entry in plan.entries]


def remember(plan: Plan, store: Store) -> None:
    """Let records name every row that they serve: a student of ``random`` may be one at equal bytes, of several rows.

    Two such rows, or budgets, share a key where size and training agree; the folder's tables must show both.
    """
    served: dict[str, list[Entry]] = {}
    for entry in plan.entries:
        if entry.evaluation is not None:
            served.setdefault(entry.evaluation, []).append(entry)
    for key, entries in served.items():
        record = plan.nodes[key].record
        if record is None or not (any(entry.buys for entry in entries) or "buys" in record.spec.get("facts", {})):
            continue
        places = [record.spec, *record.spec.get("also", ())]
        known = [(place.get("label"), place.get("facts", {}).get("buys")) for place in places]
        more = [entry for entry in entries if (entry.row, entry.buys) not in known]
        cell = entries[0].cell
        if more and cell is not None:
            also = {canonical([entry.row, entry.facts]): {"label": entry.row, "facts": entry.facts} for entry in more}
            path = evaluation_path(store.folder(plan.nodes[cell].document), key)
            amend(path, record, {}, spec={"also": [*record.spec.get("also", ()), *also.values()]})


def stored(store: Store) -> list[Record]:
    """The records in a results folder, and of the shared references those of the same repetitions.

    What never ran (skips) left no record, and is missing here.
    """
    found: list[Record] = []
    references: list[Record] = []
    for path, record in sorted(store.records(), key=lambda each: _protocol(each[1])):
        (found if store.out in path.parents else references).append(record)
    places = {place_of(record) for record in found if record.kind == "evaluation"}
    students = [record for record in references if record.kind == "evaluation" and place_of(record) in places]
    sets = {record.spec["eval"]["set"] for record in students}
    return [*found, *(record for record in references if record.key in sets), *students]


def _protocol(record: Record) -> str:
    """Tables come in the order of protocols' names, not of keys."""
    return str(record.spec["eval"]["protocol"]) if record.kind == "evaluation" else ""


def place_of(record: Record) -> str:
    """Data, protocol, profile, student and repetition of an evaluation: what a result shares with its reference."""
    student, made = record.spec["eval"], record.spec["set"]
    protocol = [student["protocol"], student["protocol_version"], made.get("profile")]
    beside = (student.get(name) for name in ("arch", "master", "r", "origins"))
    return canonical([made["cell"]["data"], protocol, *beside])


def _of_entry(plan: Plan, entry: Entry) -> Record:
    node = None if entry.evaluation is None else plan.nodes[entry.evaluation]
    spec = _spec(plan, entry, node)
    if node is not None and node.record is not None:
        return node.record.model_copy(update={"spec": spec})
    status, reason = _why(plan, entry, node)
    return Record(
        key=entry.evaluation or "", kind="evaluation", status=status, reason=reason, spec=spec, source=source_of(spec),
        started=NEVER, finished=NEVER,
    )  # fmt: skip


def _why(plan: Plan, entry: Entry, node: Node | None) -> tuple[Any, str]:
    if entry.skip is not None:
        return "skipped", entry.skip
    assert node is not None
    if node.state == "unmeasured":
        return "skipped", node.reason or "not measured"
    cell = plan.nodes[node.needs[0]]
    if cell.record is not None and cell.record.status != "ok":
        return cell.record.status, cell.record.reason or ""
    return "failed", node.reason or "not run"


def _spec(plan: Plan, entry: Entry, node: Node | None) -> dict[str, Any]:
    """What a table reads, as this plan asked for it.

    A cached document may come from another run that shares the key: it can differ in the label, in the profile's name,
    and in the axes that its method does not have. Here the table's own values stand.
    """
    table = entry.table
    budget = {"ipc": None, "fraction": None} if entry.budget is None else entry.budget.model_dump(mode="json")
    if node is not None:
        document = node.document
        cell = {**document["set"]["cell"], "arch": table.arch}
        if entry.budget is not None:
            cell["budget"] = budget
        held = {**document["set"], "cell": cell, "profile": plan.grid.profile.name}
        return {**document, "label": entry.row, "facts": entry.facts, "set": held}
    protocol, _, version = table.protocol.partition("@")
    cell = {
        "method": entry.method.name, "data": table.data.spec.model_dump(mode="json"), "arch": table.arch,
        "budget": budget, "r": entry.r,
    }  # fmt: skip
    return {
        "kind": "evaluation",
        "label": entry.row,
        "facts": entry.facts,
        "set": {"cell": cell, "profile": plan.grid.profile.name},
        "eval": {"set": "", "protocol": protocol, "protocol_version": int(version), "protocol_params": {},
                 "arch": table.eval_arch, "r": entry.r, "e": entry.e},
    }  # fmt: skip
