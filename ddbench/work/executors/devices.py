"""GPUs by name: which there are, and how a process is shown one of them only. No torch."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from runpy import run_path

from ddbench.core.errors import UsageError, shown_value

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Names the GPUs that a process sees, by index or by id; to that process the first one is ``cuda:0``."""
FILES = Path("/dev")
"""Where a driver shows its GPUs."""
OWN = "nvidia[0-9]*"
"""A file for each: ``nvidia0``, ``nvidia1``."""
OTHERS = ("nvidiactl", "kfd", "dxg", "nvhost*", "nvgpu*", "nvmap")
"""Files that do not tell how many GPUs there are: of the driver alone, of AMD, of Windows below WSL, of Tegra."""
ELSE = "say cpu or auto"
NO_MPS = f"ddbench computes in float64, too, which Apple's GPUs cannot; {ELSE}"

_GPU = r"cuda:(0|[1-9]\d*)"


def visible() -> list[str] | None:
    """The GPUs that processes started here see, as :data:`VARIABLE` names them, by their index.

    None: cannot be told without torch (another system, or another maker's GPUs).
    """
    told = os.environ.get(VARIABLE)
    if told is not None:
        return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, told.split(","))))
    return [str(index) for index, _ in enumerate(FILES.glob(OWN))] or None


def misnamed(device: str, *, several: bool = True) -> str | None:
    """Why a text names no device, whatever this machine has; None: it names one, or of ``several`` some."""
    more, known = (rf"|all|{_GPU}(,{_GPU})+", "; cuda:0,cuda:1; all") if several else ("", "")
    if device == "mps":
        return NO_MPS
    if re.fullmatch(rf"auto|cpu|cuda|{_GPU}{more}", device) is None:
        return f"{shown_value(device)} is none of auto, cpu, cuda, cuda:1{known}"
    names = device.split(",")
    if len(set(names)) < len(names):
        return f"{shown_value(device)} names a GPU twice; --jobs {len(names)} starts so many processes"
    return None


def check_name(device: str) -> None:
    """Refuse what names no device on any machine.

    Raises:
        UsageError: If it is such.
    """
    if why := misnamed(device):
        raise UsageError(f"--device {device}: {why}" if device == "mps" else f"--device {why}")


def named(device: str) -> tuple[str, ...]:
    """The GPUs that ``--device`` names: each is for processes of its own; none: torch chooses where a process runs.

    Args:
        device: ``cuda:0,cuda:1``, ``all``, or a word for torch: ``auto``, ``cpu``, ``cuda``.

    Raises:
        UsageError: If it names none, if one is not there or cannot be used, or nothing says how many are.
    """
    check_name(device)
    if device in ("auto", "cpu"):
        return ()
    there = visible()
    if there == [] or _no_driver():
        told = f" ({VARIABLE} is {shown_value(os.environ[VARIABLE])})" if VARIABLE in os.environ else ""
        raise UsageError(f"--device {device}: no GPU is found here{told}; {ELSE}")
    if _for_cpus():
        raise UsageError(f"--device {device}: the torch that is installed here computes on CPUs alone; {ELSE}")
    known = [f"cuda:{index}" for index, _ in enumerate(there or [])]
    if device == "all" and not known:
        raise UsageError("--device all: how many GPUs there are is not known here; name them: cuda:0,cuda:1")
    if device in ("all", "cuda"):
        return tuple(known) if device == "all" else ()
    wanted = tuple(device.split(","))
    missing = [name for name in wanted if name not in known]
    if there is not None and missing:
        raise UsageError(f"--device {missing[0]}: there is no such GPU here; there are: {', '.join(known)}")
    return wanted


def _no_driver() -> bool:
    """Whether no file of any driver is there; of other systems than Linux nothing is known."""
    return sys.platform == "linux" and not any(any(FILES.glob(name)) for name in (OWN, *OTHERS))


def _for_cpus() -> bool:
    """Whether the torch that is installed was built without any GPU's library."""
    found = find_spec("torch")
    version = Path(found.origin).with_name("version.py") if found and found.origin else None
    if version is None or not version.is_file():
        return False
    built = run_path(str(version))
    return not (built.get("cuda") or built.get("hip"))


def environment(name: str) -> dict[str, str]:
    """What shows a process one GPU only, as ``cuda``.

    Args:
        name: ``cuda:1``: the second one that processes started here see.
    """
    index = int(name.partition(":")[2])
    there = visible()
    return {VARIABLE: str(index) if there is None else there[index]}
