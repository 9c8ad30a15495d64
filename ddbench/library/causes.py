"""Why nodes of a plan that was run have no result: each cause once, with what waits for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ddbench.core.documents import CellDocument, EvaluationDocument
from ddbench.core.store.folder import Store
from ddbench.core.words import plural
from ddbench.library.runs import unfinished
from ddbench.plan.graph import Node, Plan


@dataclass(slots=True)
class Cause:
    """One reason.

    Attributes:
        log: File with the traceback of the first of its nodes; None where there is none.
        nodes: Those that failed by themselves, for the same reason.
        waiting: Those that need one of them, directly or through others.
    """

    log: Path | None
    nodes: list[Node] = field(default_factory=list)
    waiting: list[Node] = field(default_factory=list)

    @property
    def text(self) -> str:
        """``dm ipc 1 r0 and 2 more cells: ValueError: boom (dm.py:14); 3 evaluations wait for them``."""
        first, *others = self.nodes
        who = f"{first.title} and {_counted(others, more=True)}" if others else first.title
        waits = ""
        if self.waiting:
            verb = "waits" if len(self.waiting) == 1 else "wait"
            waits = f"; {_counted(self.waiting)} {verb} for {'them' if others else 'it'}"
        return f"{who}: {first.reason or first.status}{waits}"

    @property
    def where(self) -> str:
        """``traceback in …/log.txt``, of several nodes ``traceback of the first in …``; empty where there is none."""
        return "" if self.log is None else f"traceback {'of the first ' if self.nodes[1:] else ''}in {self.log}"


def causes(plan: Plan, store: Store) -> list[Cause]:
    """The causes, in the order of the plan.

    Args:
        plan: One that was run.
        store: Where its results are.
    """
    broken = {node.key: node for node in unfinished(plan)}
    found: dict[tuple[str, ...], Cause] = {}
    roots: dict[str, Cause] = {}
    for node in broken.values():  # what a node needs comes before it
        root = next((roots[key] for key in node.needs if key in broken), None)
        if root is None:
            root = found.setdefault(_alike(node), Cause(None if node.is_cut_short else _log(node, store)))
            root.nodes.append(node)
        else:
            root.waiting.append(node)
        roots[node.key] = root
    return list(found.values())


def _alike(node: Node) -> tuple[str, ...]:
    """What nodes have in common that are told as one: kind and reason, the method of cells, the protocol of others."""
    document = node.document
    whose = ""
    if isinstance(document, CellDocument):
        whose = document.label
    elif isinstance(document, EvaluationDocument):
        whose = document.eval.protocol
    return node.kind, whose, node.reason or ""


def _log(node: Node, store: Store) -> Path | None:
    path = store.log(node.document)
    return path if path.is_file() else None


def _counted(nodes: list[Node], *, more: bool = False) -> str:
    """``2 cells and 6 evaluations``."""
    counts = Counter(node.kind for node in nodes)
    word = " more" if more else ""
    return " and ".join(plural(n, f"{word} {kind}".strip()) for kind, n in counts.items())
