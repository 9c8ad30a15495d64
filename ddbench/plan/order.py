"""Which nodes come first where several run at once: the longest way to the end decides when all is done. No torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from ddbench.plan.graph import Node, Plan


def seconds_left(plan: Plan) -> dict[str, float]:
    """Key of each pending node → forecast seconds from its start until all that needs it is done.

    inf where a forecast on the way is missing: what is not known may be long, and when one of its kind is done it is
    known.
    """
    left: dict[str, float] = defaultdict(float)
    for node in reversed(plan.pending()):  # what needs a node comes after it
        left[node.key] += math.inf if node.forecast_s is None else node.forecast_s
        for need in node.needs:
            left[need] = max(left[need], left[node.key])
    return left


def longest_first(nodes: Iterable[Node], left: dict[str, float]) -> list[Node]:
    """Nodes by :func:`seconds_left`, equal ones in the order they come in."""
    return sorted(nodes, key=lambda node: -left.get(node.key, math.inf))
