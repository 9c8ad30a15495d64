"""What all code of a process shares, kept as it is around code that is not ours. Imports no torch by itself."""

from __future__ import annotations

import contextlib
import gc
import locale
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ddbench.core import limits

SHOWN = 3
"""Environment variables that a sentence names."""
SAME_S = 0.1
"""Seconds between two alarms that are the same one, read at two moments."""
lost: list[str] = []
"""What code changed in this process and nothing could put back, in words: no other node must run beside it."""
_held: list[Any] = []
"""Guards of torch's inference mode that undo one which was never left."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a process has once.

    Attributes:
        name: For people; what torch calls it, or a short noun.
        get: Its value now.
        set: Gives it a value that ``get`` returned.
        known: The value that a node starts with; None: what the process has.
        drawn: Whether code that uses it moves it on: random generators, which nobody is blamed for.
    """

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]
    known: Any = None
    drawn: bool = False


@dataclass
class Changes:
    """What the code of a block changed and did not put back; filled at its end.

    Attributes:
        names: Parts, in words.
        lost: Those among them that could not be put back for it.
        threads: Names of threads that it left running, which nobody can end.
    """

    names: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """``changed os.environ (HOME) for the whole process, which was put back``; empty: nothing is changed."""
        back = [name for name in self.names if name not in self.lost]
        found = [f"changed {', '.join(back)} for the whole process, which was put back"] * bool(back)
        lost = f"changed {', '.join(self.lost)} for the whole process, which could not be put back"
        found += [lost] * bool(self.lost)
        n = len(self.threads)
        found += [f"left {n} thread{'' if n == 1 else 's'} running"] * bool(n)
        return "; ".join(found)


@contextlib.contextmanager
def kept(*, known: bool = False, seed: int | None = None) -> Iterator[Changes]:
    """A block after which the process is as it was before.

    Args:
        known: Start from one state, whatever the process has; else from that.
        seed: Start from that state, and the global generators from this seed.
    """
    parts, changes, around = _parts(), Changes(), contextlib.ExitStack()
    before = _read(parts)
    if known or seed is not None:
        _set(parts, {part.name: part.known for part in parts if part.known is not None and part.name in before})
        around.enter_context(_on_the_cpu())
    if seed is not None:
        _seed(seed)
    start = _read(parts)
    threads, modules = set(threading.enumerate()), len(sys.modules)
    try:
        yield changes
    finally:
        parts = _parts()  # torch may have been imported meanwhile
        start = _fresh(parts, start)
        changes.names += changed(start, imported=len(sys.modules) != modules)
        changes.threads += sorted(t.name for t in threading.enumerate() if t not in threads and not t.daemon)
        around.close()
        before = _fresh(parts, before)
        _set(parts, before)
        after = changed(before) if changes.names else ()
        changes.lost += [name for name in changes.names if name in after]
        lost.extend(changes.lost)


def settings() -> dict[str, Any]:
    """What a process shares besides its generators, by names for people."""
    return _read([part for part in _parts() if not part.drawn])


def changed(before: dict[str, Any], *, imported: bool = False) -> list[str]:
    """Which of :func:`settings` are no longer what they were, in words.

    Args:
        before: What they were; generators among it are ignored.
        imported: Whether modules were imported meanwhile: those of libraries add filters for warnings of their own.
    """
    found = []
    for part in _parts():
        if part.name not in before or part.drawn or (imported and part.name == _FILTERS):
            continue
        with contextlib.suppress(Exception):
            now = part.get()
            if not _same(before[part.name], now):
                found.append(_told(part.name, before[part.name], now))
    if _PRECISION in found:  # torch has three names for it
        found = [name for name in found if not name.endswith("matmul.fp32_precision")]
    return found


def restore(before: dict[str, Any]) -> None:
    """Give the process what :func:`settings` returned."""
    _set(_parts(), before)


def _told(name: str, before: Any, now: Any) -> str:
    if name != _ENVIRON:
        return name
    names = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{name} ({', '.join(names[:SHOWN])}{more})"


def _read(parts: list[Part]) -> dict[str, Any]:
    found = {}
    for part in parts:
        with contextlib.suppress(Exception):  # this platform or this torch does not have it
            found[part.name] = part.get()
    return found


def _fresh(parts: list[Part], values: dict[str, Any]) -> dict[str, Any]:
    """Values, and what a library has when it is imported for what was imported after they were read."""
    return {part.name: part.known for part in parts if part.known is not None} | values


def _set(parts: list[Part], values: dict[str, Any]) -> None:
    for part in parts:
        if part.name not in values:
            continue
        with contextlib.suppress(Exception):  # a working folder that is gone; a signal handler outside the main thread
            if not _same(part.get(), values[part.name]):
                part.set(values[part.name])


def _same(first: Any, second: Any) -> bool:
    if type(first).__module__ == "torch" and hasattr(first, "equal"):
        return bool(first.equal(second))
    if isinstance(first, tuple | list) and isinstance(second, type(first)) and len(first) == len(second):
        return all(map(_same, first, second))
    try:
        return bool(first == second)
    except ValueError:  # arrays, in the state of numpy's generator
        return bool((first == second).all())


def _seed(seed: int) -> None:
    """Let the global generators start from a seed; ddbench draws from generators of its own."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    if (torch := _torch()) is not None:
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


def _torch() -> Any:
    """torch, if it is imported, and not half of it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and hasattr(torch, "get_default_device") else None


_ENVIRON, _FILTERS, _PRECISION = "os.environ", "the filters of warnings", "torch's precision of matrix products"


def _parts() -> list[Part]:
    parts = [*_of_python(), *_signals()]
    if (numpy := sys.modules.get("numpy")) is not None and hasattr(numpy, "random"):
        parts += [
            Part("numpy.seterr", numpy.geterr, lambda v: numpy.seterr(**v)),
            Part("numpy's generator", numpy.random.get_state, numpy.random.set_state, drawn=True),
        ]
    if (torch := _torch()) is not None:
        parts += _of_torch(torch)
    return parts


def _of_python() -> list[Part]:
    return [
        Part(_ENVIRON, _environment, _set_environment),
        Part("the working folder", os.getcwd, os.chdir),
        Part("sys.path", lambda: list(sys.path), lambda v: sys.path.__setitem__(slice(None), v)),
        Part(_FILTERS, lambda: list(warnings.filters), _set_filters),
        Part("sys.stdout", lambda: _Itself(sys.stdout), lambda v: setattr(sys, "stdout", v.what)),
        Part("sys.stderr", lambda: _Itself(sys.stderr), lambda v: setattr(sys, "stderr", v.what)),
        Part("sys.stdin", lambda: _Itself(sys.stdin), lambda v: setattr(sys, "stdin", v.what)),
        Part("sys.settrace", lambda: _Itself(sys.gettrace()), lambda v: sys.settrace(v.what)),
        Part("sys.setprofile", lambda: _Itself(sys.getprofile()), lambda v: sys.setprofile(v.what)),
        Part("sys.excepthook", lambda: _Itself(sys.excepthook), lambda v: setattr(sys, "excepthook", v.what)),
        Part("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Part("the garbage collector", gc.isenabled, lambda v: gc.enable() if v else gc.disable()),
        Part("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda v: locale.setlocale(locale.LC_ALL, v)),
        Part("the mask of new files", _umask, os.umask),
        Part("limits of resources", limits.now, limits.put),
        Part("Python's generator", random.getstate, random.setstate, drawn=True),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Itself:
    """An object that equals no other one."""

    what: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.what is other.what

    __hash__ = None  # type: ignore[assignment]


OF_LIBRARIES = ("KMP_", "NUMBA_", "QT_", "TORCHINDUCTOR_", "TRITON_")
"""How variables begin that libraries set for themselves when they are imported; without them they may not go on."""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_LIBRARIES)}


def _set_environment(value: dict[str, str]) -> None:
    for name in set(_environment()) - set(value):
        del os.environ[name]
    os.environ.update(value)


def _set_filters(value: list[Any]) -> None:
    warnings.filters[:] = value  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _signals() -> list[Part]:
    """Handlers, and the timer that sends SIGALRM; only the main thread can set handlers."""
    found = _handlers().items()
    parts = [part for number, part in found if signal.getsignal(number) is not None]  # None: not Python's to set
    if hasattr(signal, "getitimer"):
        parts.append(Part("a timer of signals", _Timer.now, _Timer.set))
    return parts


@cache
def _handlers() -> dict[int, Part]:
    """The handler of each signal."""
    return {number: _handler(number) for number in signal.valid_signals()}


def _handler(number: int) -> Part:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return Part(
        f"the handler of {name}", lambda: _Itself(signal.getsignal(number)), lambda v: signal.signal(number, v.what)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Timer:
    """When SIGALRM comes [monotonic s], and how often from then on; None: never."""

    at: float | None
    every: float

    @classmethod
    def now(cls) -> _Timer:
        left, every = signal.getitimer(signal.ITIMER_REAL)
        return cls(time.monotonic() + left if left else None, every)

    def set(self) -> None:
        left = 0.0 if self.at is None else max(self.at - time.monotonic(), 1e-3)
        signal.setitimer(signal.ITIMER_REAL, left, self.every)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Timer) or self.at is None or other.at is None:
            return isinstance(other, _Timer) and self.at is other.at
        return self.every == other.every and abs(self.at - other.at) < SAME_S

    __hash__ = None  # type: ignore[assignment]


def _of_torch(torch: Any) -> list[Part]:
    deterministic = torch.are_deterministic_algorithms_enabled
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled
    parts = [
        Part("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        Part("torch's default device", torch.get_default_device, lambda v: _set_device(torch, v), torch.device("cpu")),
        Part(_PRECISION, torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        Part("torch's grad mode", torch.is_grad_enabled, torch._C._set_grad_enabled, known=True),
        Part("torch's inference mode", torch.is_inference_mode_enabled,
             lambda v: _held.append(torch._C._InferenceMode(v)), known=False),
        Part("torch's deterministic algorithms", lambda: (deterministic(), warn_only()),
             lambda v: torch.use_deterministic_algorithms(v[0], warn_only=v[1]), known=(False, False)),
        Part("torch's anomaly detection", torch.is_anomaly_enabled, torch.set_anomaly_enabled, known=False),
        Part("torch's denormal numbers", lambda: _flushes(torch), torch.set_flush_denormal, known=False),
        Part("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        Part("torch's generator", torch.get_rng_state, torch.set_rng_state, drawn=True),
    ]  # fmt: skip
    for kind in ("cpu", "cuda"):
        parts.append(_autocast(torch, kind))
    for path in _FLAGS:
        if (part := _flag(torch, path)) is not None:
            parts.append(part)
    if torch.cuda.is_initialized():
        parts.append(
            Part("the GPUs' generators", torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all, drawn=True)
        )
    return parts


_FLAGS = (
    "cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic", "mkldnn.enabled", "opt_einsum.enabled",
    "mkldnn.matmul.fp32_precision", "mkldnn.conv.fp32_precision", "mkldnn.rnn.fp32_precision",
    "cuda.matmul.fp32_precision", "cudnn.conv.fp32_precision", "cudnn.rnn.fp32_precision",
    "cuda.matmul.allow_fp16_reduced_precision_reduction", "cuda.matmul.allow_bf16_reduced_precision_reduction",
)  # fmt: skip
"""Settings below ``torch.backends``; those that this torch does not have are left out."""


def _flag(torch: Any, path: str) -> Part | None:
    owner, (*way, name) = torch.backends, path.split(".")
    try:
        for step in way:
            owner = getattr(owner, step)
        getattr(owner, name)
    except Exception:
        return None
    return Part(f"torch.backends.{path}", lambda: getattr(owner, name), lambda v: setattr(owner, name, v))


def _autocast(torch: Any, kind: str) -> Part:
    def get() -> tuple[bool, Any]:
        return torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

    def set_(value: tuple[bool, Any]) -> None:
        torch.set_autocast_enabled(kind, value[0])
        torch.set_autocast_dtype(kind, value[1])
        torch.clear_autocast_cache()

    known = (False, torch.bfloat16 if kind == "cpu" else torch.float16)
    return Part(f"torch's autocast on {kind}", get, set_, known)


def _set_device(torch: Any, device: Any) -> None:
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _on_the_cpu() -> contextlib.AbstractContextManager[Any]:
    """Where the caller is inside ``with torch.device(…)``, which stands above the default device."""
    torch = _torch()
    if torch is None or torch.get_default_device() == torch.device("cpu"):
        return contextlib.nullcontext()
    cpu: contextlib.AbstractContextManager[Any] = torch.device("cpu")
    return cpu


def _flushes(torch: Any) -> bool:
    """Whether this thread rounds denormal numbers to 0."""
    return bool((torch.full((1,), 1e-40, dtype=torch.float32, device="cpu") * 1).item() == 0)
