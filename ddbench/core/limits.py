"""The limits of resources of a process, read and put back as far as it may. Imports no torch."""

from __future__ import annotations

import contextlib
from functools import cache


def now() -> dict[int, tuple[int, int]]:
    """The soft and hard limits of the process."""
    import resource

    return {number: resource.getrlimit(number) for number in _numbers()}


def put(value: dict[int, tuple[int, int]]) -> None:
    """Set limits; where a hard one was lowered, which only root can raise, it stays, and bounds the soft one."""
    import resource

    for number, (soft, hard) in value.items():
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):
            highest = resource.getrlimit(number)[1]
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(number, (min(soft, highest, key=_extent), highest))


def _extent(limit: int) -> float:
    import resource

    return float("inf") if limit == resource.RLIM_INFINITY else limit


@cache
def _numbers() -> tuple[int, ...]:
    import resource

    return tuple({value for name, value in vars(resource).items() if name.startswith("RLIMIT_")})
