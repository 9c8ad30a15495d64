"""Compiles the C file of this room, once per machine and compiler, and opens it. No torch."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from ddbench.core.errors import DDBenchError
from ddbench.core.store.files import atomic_write, home

SOURCE = Path(__file__).with_name("norm_relu_pool.c")
FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
FURTHER = (
    ("-march=native", "-fopenmp"),
    ("-march=native", "-fopenmp-simd"),
    ("-march=native",),
    ("-fopenmp-simd",),
    (),
)
"""From what most compilers know to what all of them do: this processor's vectors and threads first."""
SECONDS = 60
"""Longest compilation."""
FOLDER = "compiled"


class NoLibraryError(DDBenchError):
    """The C file cannot be compiled or opened here."""


@cache
def library() -> ctypes.CDLL:
    """The compiled file, opened: after torch is imported, so that both use torch's OpenMP.

    Raises:
        NoLibraryError: If there is none here.
    """
    path, why = _found()
    if path is None:
        raise NoLibraryError(why)
    return _opened(path)


def missing() -> str:
    """Why there is no library; empty: there is one, compiled now if this machine has not done so yet (a second).

    ``$CC`` names the compiler, else it is ``cc``. A process tries once.
    """
    return _found()[1]


def unlikely() -> str:
    """Why there will be no library, as far as can be told without compiling; empty: there is a compiler."""
    try:
        _compiler()
    except NoLibraryError as error:
        return str(error)
    return ""


def lend(other: Path) -> None:
    """Let another home, which is there, share what is compiled here; where that is impossible, it has its own."""
    with suppress(OSError):
        (home() / FOLDER).mkdir(parents=True, exist_ok=True)
        (other / FOLDER).symlink_to((home() / FOLDER).absolute(), target_is_directory=True)


def build() -> str:
    """Names the library by what it was made from and what came out; empty: there is none."""
    path = _found()[0]
    return "" if path is None else path.stem.partition("-")[2]


@cache
def _found() -> tuple[Path | None, str]:
    """The compiled file, or why there is none."""
    try:
        command = _compiler()
        folder, name = home() / FOLDER, f"norm_relu_pool-{_identity(command)}-"
        for path in folder.glob(f"{name}*.so"):
            if path.stem == name + _digest(path.read_bytes()):  # else it is damaged
                return path, ""
        return _compile(command, folder, name), ""
    except subprocess.SubprocessError as error:
        return None, f"the C compiler fails: {error}"
    except (DDBenchError, OSError) as error:
        return None, f"its library cannot be made: {error}" if isinstance(error, OSError) else str(error)


def _compiler() -> list[str]:
    """The compiler and its arguments.

    Raises:
        NoLibraryError: If there is none.
    """
    try:
        command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    except ValueError as error:
        raise NoLibraryError(f"$CC is no command: {error}") from error
    if shutil.which(command[0]) is None:
        raise NoLibraryError(f"there is no C compiler ({command[0]})")
    return command


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
    parts = SOURCE.read_bytes(), repr(command).encode(), version, repr(FLAGS + FURTHER).encode(), _processor().encode()
    return _digest(b"\0".join(parts))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _processor() -> str:
    """What this machine's processor can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
    return "\n".join([platform.platform(), platform.machine(), platform.processor(), *told])


def _compile(command: list[str], folder: Path, name: str) -> Path:
    """Compile with as many flags as the compiler knows, into a file whose name ends with a digest of its content.

    Raises:
        NoLibraryError: If it fails with the fewest.
        OSError: If the folder cannot be written.
        StoreError: The same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = ""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch, "library.so")
        for further in FURTHER:
            line = [*command, *FLAGS, *further, "-o", str(made), str(SOURCE), "-lm"]
            for step in (line, [sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", str(made)]):
                done = subprocess.run(step, capture_output=True, text=True, timeout=SECONDS, check=False)
                if done.returncode:
                    said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
                    break
            else:
                content = made.read_bytes()
                path = folder / f"{name}{_digest(content)}.so"
                atomic_write(path, content)
                return path
    raise NoLibraryError(f"{shlex.join(command)}: {said}")
