"""Whether a node's memory fits beside what runs; numbers in, an answer out. No torch."""

from __future__ import annotations

from collections.abc import Sequence

SPARE = 0.9
"""Share of free memory that forecasts may fill: they leave out what processes hold before their first node."""


def fits(need: float, beside: Sequence[float], *, idle: float | None, now: float | None) -> bool:
    """Whether a node fits; with nothing beside it, always.

    What runs may have taken its memory already, or not yet. So there is at most what was free when nothing ran, and
    at most what is free now with all that the running nodes could have taken by now.

    Args:
        need: Peak of the node [MB].
        beside: Peaks of those that run [MB].
        idle: What was free when nothing ran [MB]; None: not known.
        now: What is free now [MB]; None: not known.
    """
    taken = sum(beside)
    bounds = [*([] if idle is None else [idle]), *([] if now is None else [now + taken])]
    return not beside or not bounds or need + taken <= SPARE * min(bounds)
