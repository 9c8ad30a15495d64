"""When a network has learned what it can: the moving mean of its errors has not fallen for as long as it looks back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class Plateau:
    """Watches the errors of one network after the other.

    Args:
        gap: g, errors in the moving mean, and steps that it may go without a new minimum.

    Attributes:
        lengths: R, at which step the mean of each network that was given up had been least.
    """

    def __init__(self, gap: int) -> None:
        self.gap = gap
        self.lengths: list[int] = []
        self._begin()

    def _begin(self) -> None:
        self._last: list[float] = []
        self._least, self._steps, self._since = math.inf, 0, 0

    def gives_up(self, error: float) -> bool:
        """Note the error of a step; whether the network starts anew now.

        The first mean is that of g steps; the network is given up at the (g + 1)th step without a lower one.
        """
        self._last = [*self._last, error][-self.gap :]
        self._steps += 1
        if len(self._last) < self.gap:
            return False
        total = math.fsum(self._last)
        self._since = 0 if total < self._least else self._since + 1
        self._least = min(total, self._least)
        if self._since <= self.gap:
            return False
        self.lengths.append(self.at_least)
        self._begin()
        return True

    @property
    def at_least(self) -> int:
        """The step at which the mean of the present network was least so far; its last, while there is no mean."""
        return self._steps - self._since

    def updates(self, last: int = 3) -> int:
        """How long a network learns: the mean of the last lengths; before the first, that of the present network."""
        known = self.lengths[-last:] or [self.at_least]
        return max(1, round(sum(known) / len(known)))

    def state(self) -> dict[str, Any]:
        """All that changes."""
        return {
            "lengths": list(self.lengths), "last": list(self._last), "least": self._least, "steps": self._steps,
            "since": self._since,
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state`."""
        self.lengths, self._last = list(state["lengths"]), list(state["last"])
        self._least, self._steps, self._since = state["least"], state["steps"], state["since"]
