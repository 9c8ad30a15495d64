"""Compiles the C file of this room, once per machine and compiler, and opens it. No torch."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from ddbench.core.errors import DDBenchError, StoreError
from ddbench.core.store.files import atomic_file, home

SOURCE = Path(__file__).with_name("norm_relu_pool.c")
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
THREADS = ("-fopenmp", "-fopenmp-simd", "")
"""From what compilers like most to what all of them know: threads and vectors, vectors, neither."""
SECONDS = 60
"""Longest compilation."""


class NoLibraryError(DDBenchError):
    """The C file cannot be compiled or opened here."""


@cache
def library() -> ctypes.CDLL:
    """The compiled file; compiled where this machine has not done so yet, which takes a second.

    ``$CC`` names the compiler, else it is ``cc``.

    Raises:
        NoLibraryError: If there is no compiler, it fails, or what it made cannot be kept or opened.
    """
    command = shlex.split(os.environ.get("CC", "") or "cc")
    if shutil.which(command[0]) is None:
        raise NoLibraryError(f"there is no C compiler ({command[0]})")
    try:
        path = home() / "compiled" / f"norm_relu_pool-{_identity(command)}.so"
        with contextlib.suppress(OSError):  # not there yet, or damaged
            return _opened(path)
        atomic_file(path, lambda temporary: _compile(command, temporary))
        return _opened(path)
    except (OSError, StoreError, subprocess.SubprocessError) as error:
        raise NoLibraryError(str(error)) from error


def missing() -> str:
    """Why there is no library; empty: there is one."""
    try:
        library()
    except NoLibraryError as error:
        return str(error)
    return ""


def no_bf16() -> str:
    """Why this processor trains no networks in bfloat16 faster than in float32; empty: it does."""
    return "" if "avx512_bf16" in _processor() else "this processor does not multiply bfloat16 (AVX512_BF16)"


def _opened(path: Path) -> ctypes.CDLL:
    """The library in a file, with what its functions take: pointers (one number among those of ``forward``), sizes.

    Raises:
        OSError: If there is no such file, or it is no such library.
    """
    found = ctypes.CDLL(str(path))
    pointers = {"forward": 6, "backward": 9, "tangent": 9, "second": 10}
    try:
        every = [*itertools.product(pointers, ("_f32", "_f64")), ("forward", "_bf16"), ("backward", "_bf16")]
        for name, suffix in every:
            takes: list[type] = [ctypes.c_void_p] * pointers[name]
            takes[3:3] = [ctypes.c_double] if name == "forward" else []  # eps
            getattr(found, name + suffix).argtypes = [*takes, ctypes.c_long, *[ctypes.c_int] * 4]
    except AttributeError as error:
        raise OSError(str(error)) from error
    return found


def _identity(command: list[str]) -> str:
    """Names a compiled file by what it was made from: machines with one home may have other processors."""
    version = subprocess.run([*command, "--version"], capture_output=True, check=True, timeout=SECONDS).stdout
    parts = SOURCE.read_bytes(), version, " ".join(FLAGS + THREADS).encode(), _processor().encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    """What this machine's processor can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
    return "\n".join([platform.platform(), platform.machine(), platform.processor(), *told])


def _compile(command: list[str], target: Path) -> None:
    """Compile into a file with as many flags as the compiler knows.

    Raises:
        NoLibraryError: If it fails with the fewest.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for threads in THREADS:
            made = Path(scratch, "library.so")
            line = [*command, *FLAGS, *filter(None, [threads]), "-o", str(made), str(SOURCE), "-lm"]
            done = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)
            if done.returncode == 0:
                _opened(made)
                shutil.copyfile(made, target)
                return
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    raise NoLibraryError(f"{shlex.join(line)}: {said[-1]}")
