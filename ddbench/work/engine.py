"""How a node is computed: device, threads, code path."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import PositiveInt, field_validator

from ddbench.core.cpu import cores
from ddbench.core.errors import UsageError
from ddbench.core.records import ENGINES
from ddbench.core.specs import Frozen
from ddbench.models.fused.library import build, missing, no_bf16
from ddbench.work.allocator import keep_freed
from ddbench.work.executors.devices import ELSE


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

    def agrees_with(self, other: Engine) -> bool:
        """Whether what one of them began goes on by the other; numbers of threads may differ, the first one counts."""
        return (self.device, self.engine) == (other.device, other.engine)

    def facts(self, *, resumed: bool) -> dict[str, Any]:
        """What records say of the node that this process computed last.

        ``engine`` is left out where no part of the node depends on it: any engine gives its bits.

        Args:
            resumed: Whether another process may have used them for this node.
        """
        from ddbench.models.fused import block

        found: dict[str, Any] = self.model_dump()
        if self.engine != "bf16" and not (resumed or block.used()):
            return {name: value for name, value in found.items() if name != "engine"}
        return found if self.engine == "eager" else {**found, "compiled": build()}

    def apply(self) -> None:
        """Make this process compute so.

        Raises:
            NoLibraryError: If its code path does not exist on this machine.
        """
        import torch

        from ddbench.models.fused import block

        keep_freed()
        block.turn(self.engine != "eager", bf16=self.engine == "bf16")
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


def choose(*, device: str, threads: int | None, engine: str = "auto") -> Engine:
    """The engine for a device option (``auto``, ``cpu``, ``cuda``), a thread option, and one for the code path.

    One GPU of several (``cuda:1``) is this process's ``cuda`` from now on.
    Without the second there are as many threads as ``OMP_NUM_THREADS`` says, else as there are cores.

    Raises:
        UsageError: If the device or the code path does not exist here.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"--device {device}: torch cannot use it here ({why}); {ELSE}") from None
    if ":" in device:
        torch.cuda.set_device(device)
    wished = os.environ.get("OMP_NUM_THREADS", "")
    allowed = int(wished) if wished.isdigit() and int(wished) else cores()
    kind = device.partition(":")[0]
    return Engine(device=kind, threads=threads or allowed, engine=code_path(engine, kind))


def as_recorded(env: Mapping[str, Any]) -> Engine:
    """The engine that a record's ``env`` names, or what is nearest to it on this machine."""
    for how in (env, {**env, "engine": "auto"}, {}):  # a code path that is not here, or a device
        with contextlib.suppress(UsageError):
            return choose(
                device=how.get("device", "auto"), threads=how.get("threads"), engine=how.get("engine", "auto")
            )
    raise AssertionError("some device is always there")


def code_path(wished: str, device: str, *, why_not: Callable[[], str] | None = None) -> str:
    """What computes on a device. Imports no torch.

    Args:
        wished: What ``--engine`` says: ``auto``, or one of :data:`ddbench.core.records.ENGINES`.
        device: ``cpu`` or ``cuda``.
        why_not: Why the compiled engines do not exist here; None: :func:`missing`, which compiles.

    Returns:
        One of the engines; for ``auto`` the fastest one there is that computes in float32.

    Raises:
        UsageError: If there is none such.
    """
    if wished == "eager" or (wished == "auto" and device != "cpu"):
        return "eager"
    if wished not in ("auto", *ENGINES):
        raise UsageError(f"--engine {wished}: there is no such engine; there are: auto, {', '.join(ENGINES)}")
    why = f"it is for CPUs, not for {device}" if device != "cpu" else (why_not or missing)()
    if wished == "bf16":
        why = why or no_bf16()
    if why and wished != "auto":
        raise UsageError(f"--engine {wished}: {why}")
    return "eager" if why else "bf16" if wished == "bf16" else "fused"


def free_mb(engine: Engine) -> float | None:
    """Memory of the GPU that no process has taken [MB]; None on the CPU."""
    import torch

    return torch.cuda.mem_get_info()[0] / 2**20 if engine.device == "cuda" else None
