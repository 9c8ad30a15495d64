"""What of a plan is already there: the state, the reason and the record of each node. No torch."""

from __future__ import annotations

from ddbench import artifacts
from ddbench.plan import Node, Plan
from ddbench.records import FAILURES, Record
from ddbench.store import Store


def assess(plan: Plan, store: Store, *, retry_failed: bool = False) -> None:
    """Find out what is already there: sets each node's state, reason and record."""
    for node in plan.nodes.values():
        look_up(plan, node, store, retry_failed=retry_failed)
    wanted = {key for node in plan.nodes.values() if node.pending and node.kind != "artifact" for key in node.needs}
    for node in reversed([node for node in plan.nodes.values() if node.kind == "artifact" and node.pending]):
        if node.key in wanted:
            wanted |= set(node.needs)
        else:
            node.state = "unneeded"


def look_up(plan: Plan, node: Node, store: Store, *, retry_failed: bool = False) -> None:
    """Find out whether one node is already done; the nodes it needs must have been looked up before."""
    if node.kind == "artifact":
        built = artifacts.manifest(node.document["artifact"]["kind"], node.key) is not None
        node.state = "cached" if built else "run"
    elif node.kind == "cell":
        _settle(node, store.condensation(store.folder(node.document)), retry_failed)
    else:
        _look_up_evaluation(plan, node, store, retry_failed)


def _look_up_evaluation(plan: Plan, node: Node, store: Store, retry_failed: bool) -> None:
    cell = plan.nodes[node.needs[0]]
    broken = next((need for key in node.needs if (need := plan.nodes[key]).state == "failed"), None)
    if broken is not None:
        node.state, node.reason = "failed", broken.reason if broken is cell else f"needs {broken.title}, which failed"
    elif cell.state == "cached" and cell.record is not None:
        folder = store.folder(cell.document)
        _settle(node, store.evaluation(folder, node.key, cell.record.set_sha256), retry_failed)
    else:
        node.state = "run"


def _settle(node: Node, record: Record | None, retry_failed: bool) -> None:
    node.record = record
    if record is None or (record.status in FAILURES and retry_failed):
        node.state, node.record = "run", None
    elif record.status == "ok":
        node.state = "cached"
    elif record.status == "timeout":
        node.state, node.reason = "resume", record.reason
    else:
        node.state, node.reason = "failed", f"{record.status}: {record.reason}"
