"""GPUs by name: which there are, and how a process is shown one of them only. No torch."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

from ddbench.core.errors import UsageError

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Names the GPUs that a process sees, by index or by id; to that process the first one is ``cuda:0``."""
FILES = Path("/dev")
"""Where a driver shows its GPUs: ``nvidia0``, ``nvidia1``."""
NO_MPS = "ddbench computes in float64, too, which Apple's GPUs cannot; use --device cpu"


def visible() -> list[str] | None:
    """The GPUs that processes started here see, as :data:`VARIABLE` names them, by their index.

    None: cannot be told without torch (another system, or another maker's GPUs).
    """
    told = os.environ.get(VARIABLE)
    if told is not None:
        return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, told.split(","))))
    return [str(index) for index, _ in enumerate(FILES.glob("nvidia[0-9]*"))] or None


def named(device: str) -> tuple[str, ...]:
    """The GPUs that ``--device`` names: each is for processes of its own; none: torch chooses where a process runs.

    Args:
        device: ``cuda:0,cuda:1``, ``all``, or a word for torch: ``auto``, ``cpu``, ``cuda``.

    Raises:
        UsageError: If one is not there or cannot be used, or nothing says how many are.
    """
    if device == "mps":
        raise UsageError(f"--device mps: {NO_MPS}")
    if device != "all" and ":" not in device:
        return ()
    there = visible()
    known = [f"cuda:{index}" for index, _ in enumerate(there or [])]
    if device == "all":
        if not known:
            raise UsageError("--device all: no GPU is found here; where there are some, name them: cuda:0,cuda:1")
        return tuple(known)
    wanted = tuple(device.split(","))
    missing = [name for name in wanted if name not in known]
    if there is not None and missing:
        raise UsageError(f"--device {missing[0]}: there is no such GPU here; there are: {', '.join(known) or 'none'}")
    return wanted


def environment(name: str) -> dict[str, str]:
    """What shows a process one GPU only, as ``cuda``.

    Args:
        name: ``cuda:1``: the second one that processes started here see.
    """
    index = int(name.partition(":")[2])
    there = visible()
    return {VARIABLE: str(index) if there is None else there[index]}
