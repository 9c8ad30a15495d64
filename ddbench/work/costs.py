"""What a node's record says of its cost. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ddbench.core.documents import Artifacts
from ddbench.core.records import Cost, Seconds, Timer
from ddbench.core.store import artifacts
from ddbench.work.allocator import keep_freed
from ddbench.work.meter import Meter, Spent
from ddbench.work.timers import PREPARE

PHASES = (PREPARE, "condense", "evaluate")


def cost_of(
    spent: Spent, meter: Meter, used: Artifacts, *, steps: int, shares: Mapping[str, float] | None = None,
    starts: Sequence[Cost] = (),
) -> Cost:  # fmt: skip
    """What a node's record says of its cost.

    Args:
        spent: By all attempts.
        meter: Of the running one.
        used: The artifacts that it reads.
        steps: Outer steps or updates done.
        shares: See :func:`charged`.
        starts: What making the set took that it starts from, apart from artifacts.
    """

    def seconds(timer: Timer) -> Seconds | None:
        if spent.seconds is None or timer not in spent.seconds:
            return None
        phases = {f"{phase}_s": spent.seconds[timer].get(phase, 0.0) for phase in PHASES}
        artifact_s, artifact_rest_s = charged(used, timer, shares)
        for start in starts:
            by = start.by(timer)
            artifact_s = None if artifact_s is None or by is None else artifact_s + by.prepare_s + by.condense_s
        return Seconds(**phases, artifact_s=artifact_s, artifact_rest_s=artifact_rest_s)

    wall = seconds("wall") or Seconds(artifact_s=0.0)
    return Cost(
        **wall.model_dump(), cpu=seconds("cpu"), device=seconds("device"), steps=steps,
        peak_mb=spent.peak_mb, peak_from=meter.peak_from, warm=True, kept=keep_freed() == "kept",
        device_mb=spent.device_mb,
        contended=spent.contended, beside=spent.beside, attempts=spent.attempts,
    )  # fmt: skip


def charged(used: Artifacts, timer: Timer, shares: Mapping[str, float] | None) -> tuple[float | None, float | None]:
    """What it took to build what a node can open of the artifacts that it reads, and the rest of them [s].

    Args:
        used: What it reads, whether or not that was built for it.
        timer: Which seconds.
        shares: Name → share that it can open; all of those that are not named. None: nobody knows, and the rest is
            None.

    Returns:
        None for what is not known: an artifact was built before this timer was read.
    """
    opened, rest = 0.0, 0.0
    for name, place in used.items():
        content = artifacts.manifest(*place)
        if content is None:
            continue
        seconds = artifacts.seconds_of(content, timer)
        if seconds is None:
            return None, None
        share = 1.0 if shares is None else shares.get(name, 1.0)
        opened, rest = opened + share * seconds, rest + (1 - share) * seconds
    return opened, None if shares is None else rest
