"""What must agree for two nodes to take as long for a step. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument
from ddbench.core.keys import digest
from ddbench.core.plugin.loader import active
from ddbench.core.plugin.registry import owner_of
from ddbench.core.specs import DataSpec

Kind: TypeAlias = tuple[str, ...]
"""The kind of node, what is computed, on which data, by which network, with which parameters, and where."""
Where: TypeAlias = str
"""``cpu 1 fused``: device, CPU threads and engine; without an engine where none makes a difference; ``cuda eager``."""


def kinds(document: Document, where: Where | None = None) -> list[Kind]:
    """What a node is of, the closest kind first: what is known of that says most.

    Numbers that are no counts (learning rates) make no difference, nor does how many steps are made.

    Args:
        document: Of the node.
        where: Where it runs; None: wherever.
    """
    match document:
        case ArtifactDocument(artifact=spec):
            params = {name: value for name, value in spec.params.items() if name != "source"}
            made_of = digest([params, spec.precision])[:16]
            found: list[Kind] = [("artifact", spec.kind, _data(spec.data), spec.arch or "", made_of)]
        case CellDocument(cell=cell):
            info = active().methods.find(cell.method)
            arch = cell.arch if info is None or "arch" in info.axes else ""
            counts = {name: v for name, v in cell.params.items() if name != "iterations" and not isinstance(v, float)}
            method = f"{cell.method}@{cell.method_version} {owner_of(cell.origin)}"
            found = [("cell", method, _data(cell.data), arch or "", digest([counts, cell.budget.place[0]])[:16])]
        case EvaluationDocument(eval=spec):
            words = {name: v for name, v in spec.protocol_params.items() if isinstance(v, str) and name != "recipe_of"}
            student = "evaluation", trained(document), _data(document.cell.data), spec.arch
            found = [(*student, digest([words, spec.precision])[:16]), (*student, "")]
    if where is None:
        return found
    return [(*kind, place) for kind in found for place in dict.fromkeys((where, without_engine(where)))]


def trained(document: EvaluationDocument) -> str:
    """The protocol of an evaluation where it is not one of ddbench's own that train students: those are as fast."""
    alike = document.facts.protocol is None and "batch" in document.eval.protocol_params
    return "" if alike else document.eval.protocol


def where_of(env: Mapping[str, Any]) -> Where:
    """Where a record was made."""
    device, engine = env.get("device", "cpu"), env.get("engine") or ""
    threads = "" if device == "cuda" else str(env.get("threads", 1))
    return " ".join(filter(None, (device, threads, engine)))


def without_engine(where: Where) -> Where:
    """The same place, for what no engine makes a difference to."""
    return " ".join(part for part in where.split() if part.isdigit() or part in ("cpu", "cuda"))


def size_of(document: Document) -> float:
    """What steps of one kind grow with: images of a batch, or of a class (a share where the budget is one)."""
    match document:
        case EvaluationDocument(facts=facts):
            batch = int(document.eval.protocol_params.get("batch") or facts.n or 1)
            return min(batch, facts.n or batch)
        case CellDocument(cell=cell):
            return cell.budget.place[1]
    return 0


def _data(spec: DataSpec) -> str:
    """The images: name, content, split and view."""
    more = "" if spec.split == "default" and spec.view is None else f" {digest([spec.split, spec.view])[:8]}"
    return f"{spec.name}@{spec.revision[:8]}{more}"
