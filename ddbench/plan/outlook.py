"""What a plan with forecasts takes, in words: one line for a run, and a summary by method. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ddbench.core.documents import ArtifactDocument
from ddbench.core.words import plural
from ddbench.plan.forecast import duration, too_long
from ddbench.plan.graph import Node, Plan
from ddbench.plan.order import until_done_s


def known_s(nodes: Iterable[Node]) -> float:
    """Forecast seconds of nodes together, one after the other; those without a forecast count nothing."""
    return sum(node.forecast_s or 0.0 for node in nodes)


def unknown(nodes: Iterable[Node]) -> int:
    """Of how many nodes nothing is known."""
    return sum(node.forecast_s is None for node in nodes)


def together_s(seconds: Collection[float], jobs: int) -> float:
    """Seconds of work that is shared out among processes: no less than what takes longest.

    Args:
        seconds: Of each piece.
        jobs: Processes.
    """
    return max(sum(seconds) / jobs, max(seconds, default=0.0))


def expected(plan: Plan, limit_s: float) -> list[Node]:
    """The pending nodes that will run by what is known now: without references that would take too long.

    Args:
        plan: The plan, with forecasts.
        limit_s: Longest time of a reference's row [s].
    """
    beyond = {node.key for row in too_long(plan, limit_s) for node in row}
    return [node for node in plan.pending() if node.key not in beyond]


def summary(plan: Plan, *, limit_s: float, jobs: int = 1, packs_s: float | None = None) -> str:
    """``55 of 60 nodes to run, about 3 min, of which `full` 40 s; of 4 nodes nothing is known``.

    Args:
        plan: The plan, with forecasts.
        limit_s: Longest time of a reference's row [s]: beyond it is not measured.
        jobs: Nodes at once.
        packs_s: On a cluster nobody knows how many run at once; its jobs hold nodes worth so many seconds.
    """
    nodes = expected(plan, limit_s)
    kept = {node.key for node in nodes}
    beyond = [node for node in plan.pending() if node.key not in kept]
    there = sum(node.state not in ("unneeded", "unmeasured") for node in plan.nodes.values()) - len(beyond)
    text = f"{len(nodes)} of {there} nodes to run"
    if (seconds := until_done_s(nodes, jobs)) and unknown(nodes) < len(nodes):
        whole = known_s(nodes)
        if packs_s is None:
            text += f", about {duration(seconds)}"
        elif (shortest := max(seconds, min(whole, packs_s))) < whole:
            text += f", about {duration(whole)} of work, {duration(shortest)} if all jobs run at once"
        else:
            text += f", about {duration(whole)} of work"
        last = [node for node in nodes if node.is_reference]
        if known_s(last):
            text += f", of which {names(last)} {duration(until_done_s(last, jobs))}"
    if count := unknown(nodes):
        text += f"; of {plural(count, 'node')} nothing is known"
    if beyond := beyond or [node for node in plan.nodes.values() if node.state == "unmeasured"]:
        how = f" (about {duration(known_s(beyond))}, beyond --reference-limit)" if known_s(beyond) else ""
        text += f"; {names(beyond)} is not measured{how}"
    return text


def names(nodes: Iterable[Node]) -> str:
    """The methods of nodes: ```full```."""
    return ", ".join(dict.fromkeys(f"`{method_of(node)}`" for node in nodes))


def method_of(node: Node) -> str:
    """The method that a node is for; of what several share its kind."""
    document = node.document
    return f"({document.artifact.kind})" if isinstance(document, ArtifactDocument) else document.set.called


def by_method(plan: Plan) -> list[dict[str, Any]]:
    """Of each method with pending nodes how many these are, how long they take, and their share of all that is known.

    Args:
        plan: The plan, with forecasts.
    """
    groups: dict[str, list[Node]] = {}
    for node in plan.pending():
        groups.setdefault(method_of(node), []).append(node)
    whole = known_s(plan.pending())
    return [
        {
            "method": method,
            "nodes": len(nodes),
            "forecast": _forecast_text(nodes),
            "share": f"{100 * known_s(nodes) / whole:.0f} %" if whole and unknown(nodes) < len(nodes) else "?",
        }
        for method, nodes in groups.items()
    ]


def _forecast_text(nodes: Collection[Node]) -> str:
    """``40 s``, ``40 s + 2 unknown``, ``?``."""
    count = unknown(nodes)
    if count == len(nodes):
        return "?"
    return duration(known_s(nodes)) + (f" + {count} unknown" if count else "")
