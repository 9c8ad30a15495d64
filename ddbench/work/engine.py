"""How a node is computed: device, threads, code path."""

from __future__ import annotations

import os

from pydantic import PositiveInt, field_validator

from ddbench.core.cpu import cores
from ddbench.core.errors import UsageError
from ddbench.core.records import ENGINES
from ddbench.core.specs import Frozen
from ddbench.work.allocator import keep_freed


class Engine(Frozen):
    """What a resumed node must reuse to continue to the bit.

    Attributes:
        device: ``cpu`` or ``cuda``, never which one of several GPUs: a node continues on another one.
        threads: CPU threads.
        engine: The code path, one of :data:`ddbench.core.records.ENGINES`.
    """

    device: str
    threads: PositiveInt
    engine: str = ENGINES[0]

    @field_validator("device")
    @classmethod
    def _without_index(cls, device: str) -> str:
        return device.partition(":")[0]

    def apply(self) -> None:
        """Make this process compute so."""
        import torch

        keep_freed()
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


def choose(*, device: str, threads: int | None) -> Engine:
    """The engine for a device option (``auto``, ``cpu``, ``cuda``) and a thread option.

    One GPU of several (``cuda:1``) is this process's ``cuda`` from now on.
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
    if ":" in device:
        torch.cuda.set_device(device)
    wished = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(wished) if wished.isdigit() and int(wished) else cores()
    return Engine(device=device, threads=threads or allowed)


def free_mb(engine: Engine) -> float | None:
    """Memory of the GPU that no process has taken [MB]; None on the CPU."""
    import torch

    return torch.cuda.mem_get_info()[0] / 2**20 if engine.device == "cuda" else None
