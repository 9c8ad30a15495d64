"""Which machine this is, and how fast one of its cores computes: by a short probe in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ddbench.core import cpu
from ddbench.core.keys import digest
from ddbench.core.specs import Frozen

_CPU_INFO = Path("/proc/cpuinfo")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PATIENCE_S = 30.0


class Machine(Frozen):
    """A machine whose nodes take as long as each other's.

    Attributes:
        host: Its name in the network.
        cpu: The model of its CPU.
        cores: How many of its cores this process may use.
    """

    host: str = ""
    cpu: str = ""
    cores: int = 0

    @property
    def slug(self) -> str:
        """What files are called that are about it."""
        return digest(self.model_dump())[:16]


def this_machine() -> Machine:
    """The machine that this process runs on."""
    model = ""
    with suppress(OSError):  # no Linux
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return Machine(host=platform.node(), cpu=model or platform.processor() or platform.machine(), cores=cpu.cores())


def probe_s() -> float | None:
    """CPU seconds of a fixed piece of numpy work on one core [s]; it takes some tenths of a second.

    Another process does it: libraries of this one keep their threads, and no generator is drawn from.

    Returns:
        None where no process can be started, or it says nothing.
    """
    script = Path(__file__).with_name("probing.py")
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        # -P: the script's folder holds modules that are named like those of others
        done = subprocess.run(
            [sys.executable, "-P", str(script)], capture_output=True, timeout=_PATIENCE_S, check=True, text=True,
            stdin=subprocess.DEVNULL, env={**os.environ, **_ONE_THREAD},
        )  # fmt: skip
        seconds = float(done.stdout)
        return seconds if seconds > 0 else None
    return None
