"""Attempts at a node: what they took together, and what went wrong in one."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ddbench.errors import DDBenchError, FailureStatus, NodeFailureError
from ddbench.files import atomic_write, store_error
from ddbench.meter import Meter

ATTEMPTS = ".attempts.json"


@dataclass
class Spent:
    """What the attempts so far took.

    Attributes:
        seconds: Over all phases.
        steps: Outer steps or updates.
        peak_mb: The largest peak.
        attempts: How many.
    """

    seconds: float = 0.0
    steps: int = 0
    peak_mb: float = 0.0
    attempts: int = 0

    def add(self, meter: Meter, steps: int = 0) -> Spent:
        """Count the running attempt as well."""
        self.seconds += sum(meter.running().values())
        self.steps += steps
        self.peak_mb = max(self.peak_mb, meter.peak_mb)
        self.attempts += 1
        return self

    @classmethod
    def read(cls, folder: Path) -> Spent:
        """What :meth:`write` kept in an artifact's partial folder."""
        try:
            return cls(**json.loads((folder / ATTEMPTS).read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep it for the next attempt."""
        if folder.is_dir():
            atomic_write(folder / ATTEMPTS, json.dumps(asdict(self)).encode())


def failure(error: BaseException, folder: Path) -> tuple[FailureStatus, str]:
    """Status and one-line reason of what went wrong inside a node.

    Raises:
        StoreError: If the disk was full: that is nobody's result, and the node is done again when there is space.
    """
    text = " ".join(str(error).split())
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "os error 28" in text:  # safetensors' way to say ENOSPC
        raise store_error(folder, OSError(errno.ENOSPC, "no space left")) from error
    if isinstance(error, NodeFailureError):
        return error.status, text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "oom", text[:200] or "out of memory"
    if isinstance(error, SystemExit):
        return "failed", f"the plugin called sys.exit({error.code!r})"
    if isinstance(error, DDBenchError):
        return "failed", text
    return "failed", f"{type(error).__name__}: {text}"[:300].rstrip(": ")


def warm_up() -> None:
    """Run one update of a tiny model: torch imports its optimisers' machinery (150 MB) only then."""
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.0, momentum=0.9, foreach=True)
    torch.autograd.backward(weight.sum())
    optimiser.step()
