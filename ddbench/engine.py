"""How a node is computed: device, threads, code path."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from ddbench.core.cores import cores
from ddbench.errors import UsageError
from ddbench.specs import Frozen

LARGE_BLOCK = 32 * 2**20
"""Bytes from which glibc gives a block back as soon as it is freed; fixed, because left alone it drifts."""


def steady_heap() -> None:
    """Keep glibc from raising its threshold for large blocks; elsewhere nothing happens.

    When it does, the heap fragments: peak memory of 80 equal steps was twice that of 10 (1.1 times with this, as
    fast; benchmarks/trajectory_memory.py).
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(-3, LARGE_BLOCK)  # M_MMAP_THRESHOLD


class Engine(Frozen):
    """What a resumed node must reuse to continue to the bit.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
        engine: ``eager``; compiled paths come with names of their own.
    """

    device: str
    threads: PositiveInt
    engine: str = "eager"

    def apply(self) -> None:
        """Make this process compute so."""
        import torch

        steady_heap()
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


def choose(*, device: str, threads: int | None) -> Engine:
    """The engine for a device option (``auto``, ``cpu``, ``cuda``) and a thread option.

    Without the latter there are as many threads as ``OMP_NUM_THREADS`` says, else as there are cores.

    Raises:
        UsageError: If the device does not exist.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from None
    wished = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(wished) if wished.isdigit() and int(wished) else cores()
    return Engine(device=device, threads=threads or allowed)


@cache
def environment(plugin: str, **others: str) -> dict[str, Any]:
    """Versions and machine, for records.

    Args:
        plugin: Distribution of the method, or the hash of a one-file plugin.
        others: The same for what else took part, by its part: ``protocol``, ``arch``, ``data``.
    """
    import torch

    return {
        "ddbench": version("ddbench"),
        "plugin": _with_version(plugin),
        **{part: _with_version(origin) for part, origin in others.items()},
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "git": _git(),
    }


def _with_version(origin: str) -> str:
    try:
        return f"{origin} {version(origin)}"
    except PackageNotFoundError:
        return origin


def _git() -> str | None:
    """Commit of ddbench's own checkout, ``+`` when it has changes; None for an installed package."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
