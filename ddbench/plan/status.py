"""What of a plan is already there: the state, the reason and the record of each node. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddbench.core.documents import ArtifactDocument, CellDocument, EvaluationDocument
from ddbench.core.errors import UsageError
from ddbench.core.records import FAILURES, Record, said
from ddbench.core.specs import ArtifactSpec
from ddbench.core.store import artifacts
from ddbench.core.store.folder import Store
from ddbench.core.words import plural
from ddbench.plan.graph import SET_FAILED, Node, Plan, needs_failed


def assess(plan: Plan, store: Store, *, retry_failed: bool = False) -> None:
    """Find out what is already there: sets each node's state, reason and record.

    Raises:
        UsageError: If an artifact is needed that should have been imported.
    """
    for node in plan.nodes.values():
        look_up(plan, node, store, retry_failed=retry_failed)
    pending = plan.pending()
    starts = plan.starts
    inputs = {node.key for node in pending if node.kind == "artifact" or node.key in starts}  # there for other nodes
    wanted = {key for node in pending if node.key not in inputs for key in node.needs}
    for node in reversed([node for node in pending if node.key in inputs]):
        if node.key in wanted:
            wanted |= set(node.needs)
            if isinstance(node.document, ArtifactDocument):
                refuse_missing_import(node.document.artifact)
        else:
            node.state = "unneeded"


def _experts(params: Mapping[str, Any]) -> str:
    return f"{plural(params['experts'], 'expert')} of {plural(params['epochs'], 'epoch')}"


def refuse_missing_import(spec: ArtifactSpec) -> None:
    """An artifact from elsewhere cannot be built when it is not there.

    Raises:
        UsageError: Naming what was imported.
    """
    source, data = spec.params.get("source"), spec.data
    if not source:
        return
    if "experts" not in spec.params:
        where = f"{data.name}, {data.preprocess}, split {data.split}"
        raise UsageError(f"{spec.kind} {source} ({where}) was not imported: `ddbench import FILE… --dataset NAME`")
    known = [
        f"{content['spec']['params']['source']} ({content['spec']['data']['name']}, {content['spec']['arch']}, "
        f"{content['spec']['data']['preprocess']}, split {content['spec']['data']['split']}, "
        f"{_experts(content['spec']['params'])})"
        for kind, _, content in artifacts.stored()
        if kind == spec.kind and content["spec"]["params"].get("source")
    ]
    wanted = f"{data.name}, {spec.arch}, {data.preprocess}, split {data.split}"
    raise UsageError(
        f"{spec.kind} {source} ({wanted}, {_experts(spec.params)}) "
        f"were not imported; there are: {', '.join(known) or 'none'} (see `ddbench artifacts import --help`)"
    )


def look_up(plan: Plan, node: Node, store: Store, *, retry_failed: bool = False) -> None:
    """Find out whether one node is already done; the nodes it needs must have been looked up before."""
    match node.document:
        case ArtifactDocument(artifact=spec):
            node.state = "run" if artifacts.manifest(spec.kind, node.key) is None else "cached"
        case CellDocument() as document:
            _settle(node, store.condensation(store.folder(document)), retry_failed)
        case EvaluationDocument() as document:
            _look_up_evaluation(plan, node, store.folder(document.set), store, retry_failed)


def _look_up_evaluation(plan: Plan, node: Node, folder: Path, store: Store, retry_failed: bool) -> None:
    cell = plan.nodes[node.needs[0]]
    broken = next((need for key in node.needs if (need := plan.nodes[key]).state == "failed"), None)
    if broken is not None:
        node.state, node.reason = "failed", SET_FAILED if broken is cell else needs_failed(broken)
    elif cell.state == "cached" and cell.record is not None:
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
        node.state, node.reason = "failed", said(record.status, record.reason)
