"""Which nodes come first where several run at once, and when all are done then. No torch.

The longest way to the end decides when all is done, so that its nodes come first. References come last: the rows that
somebody asked for are in a table before ``full`` is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from heapq import heappop, heappush

from ddbench.plan.graph import Node


def seconds_left(pending: Collection[Node]) -> dict[str, float]:
    """Key of each node → forecast seconds from its start until all that needs it is done.

    inf where a forecast on the way is missing: what is not known may be long, and when one of its kind is done it is
    known.

    Args:
        pending: Nodes of a plan that are not done, in the plan's order.
    """
    left: dict[str, float] = defaultdict(float)
    for node in reversed(list(pending)):  # what needs a node comes after it
        left[node.key] += math.inf if node.forecast_s is None else node.forecast_s
        for need in node.needs:
            left[need] = max(left[need], left[node.key])
    return left


def longest_first(nodes: Iterable[Node], left: Mapping[str, float]) -> list[Node]:
    """Nodes by :func:`seconds_left`, equal ones in the order they come in, references after all others."""
    return sorted(nodes, key=lambda node: _turn(node, left))


def until_done_s(pending: Collection[Node], jobs: int, gone: Mapping[str, float] | None = None) -> float:
    """Forecast seconds until nodes are done that run :func:`longest_first`; those without a forecast count nothing.

    Args:
        pending: Nodes of a plan that are not done, in the plan's order.
        jobs: How many run at once.
        gone: Key → for how long a node has been running [s].
    """
    gone = gone or {}
    seconds = {node.key: max(0.0, (node.forecast_s or 0.0) - gone.get(node.key, 0.0)) for node in pending}
    if jobs == 1:
        return sum(seconds.values())
    left, nodes = seconds_left(pending), {node.key: node for node in pending}
    waits, users = {}, defaultdict(list)
    for node in pending:
        needs = [need for need in node.needs if need in seconds]
        waits[node.key] = len(needs)
        for need in needs:
            users[need].append(node.key)
    place = {key: at for at, key in enumerate(seconds)}
    ready: list[tuple[bool, tuple[bool, float], int, str]] = []
    ends: list[tuple[float, str]] = []
    now = 0.0

    def may_start(key: str) -> None:
        heappush(ready, (key not in gone, _turn(nodes[key], left), place[key], key))

    for key, count in waits.items():
        if not count:
            may_start(key)
    while ready or ends:
        while ready and len(ends) < jobs:
            key = heappop(ready)[-1]
            heappush(ends, (now + seconds[key], key))
        now, done = heappop(ends)
        for key in users[done]:
            waits[key] -= 1
            if not waits[key]:
                may_start(key)
    return now


def _turn(node: Node, left: Mapping[str, float]) -> tuple[bool, float]:
    return node.is_reference, -left.get(node.key, math.inf)
