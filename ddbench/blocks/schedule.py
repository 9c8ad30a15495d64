"""The learning rate of each update: drops, cosine, a warm-up before them, or a rate that was learned for each.

Pure functions of the number of updates done, so that a training which stops and goes on needs to remember nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["step", "drops", "cosine", "constant"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the learning rate goes.

    Attributes:
        updates: U, length of the training.
        lr: η, the rate before anything lowers it.
        kind: ``step``: 0.1 η after ``drop_after``; ``drops``: × ``drop_factor`` after each share in ``drops``;
            ``cosine``: from η to ``lr_end`` · η, which update U, the first that is not made, would have; ``constant``.
        drop_after: Updates before the one drop of ``step``, the warm-up among them.
        drops: Shares of the updates behind the warm-up, rising, in (0, 1); a share that is no whole number of updates
            is rounded up.
        drop_factor: See ``kind``.
        lr_end: See ``kind``.
        warmup: W; update u < W, from 0, has η (u + 1) / W. The rest of the schedule has U − W updates.
        lrs: The rates of all updates instead, over and over; empty: as ``kind`` says.
    """

    updates: int
    lr: float
    kind: Kind = "constant"
    drop_after: int = 0
    drops: Sequence[float] = ()
    drop_factor: float = 0.1
    lr_end: float = 0.0
    warmup: int = 0
    lrs: Sequence[float] = ()

    def rate(self, done: int) -> float:
        """The learning rate of the update before which ``done`` were made."""
        if self.lrs:
            return self.lrs[done % len(self.lrs)]
        if done < self.warmup:
            return self.lr * (done + 1) / self.warmup
        if self.kind == "step":
            return 0.1 * self.lr if done >= self.drop_after else self.lr
        past, rest = done - self.warmup, self.updates - self.warmup
        if self.kind == "drops":
            passed = sum(past >= math.ceil(round(share * rest, 6)) for share in self.drops)
            return self.lr * self.drop_factor**passed
        if self.kind == "cosine":
            half = 0.5 * self.lr * (1 + math.cos(math.pi * (past / rest)))
            return self.lr_end * self.lr + (1 - self.lr_end) * half
        return self.lr

    def starts_afresh(self, done: int) -> bool:
        """Whether the optimiser forgets its momentum before this update: at the drop of ``step``."""
        return not self.lrs and self.kind == "step" and done == self.drop_after


def middle(updates: int, warmup: int) -> int:
    """Where ``step`` drops: after half of the updates behind the warm-up, rounded up."""
    return warmup - (warmup - updates) // 2
