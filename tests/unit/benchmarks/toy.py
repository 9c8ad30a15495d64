"""Sides of rows for tests; a worker imports this module by its name."""

from __future__ import annotations

from benchmarks.kit.case import Case
from benchmarks.kit.worker import Turns


def ours(case: Case, turns: Turns) -> None:
    """Holds a block while it steps, and prints, which must not disturb the pipe."""

    def step() -> None:
        print("something that is no answer")
        block = bytearray(case.batch * 10**6)
        block[::4096] = b"x" * len(block[::4096])

    turns.serve(step)


def reference(case: Case, turns: Turns) -> None:
    """Steps by a hook, as main loops of others do."""
    from benchmarks.kit.peers import hook

    class Loop:
        @staticmethod
        def begin(number: int) -> int:
            return number + 1

    hook(turns, Loop, "begin", Loop.begin, skip=1)
    number = Loop.begin(0)  # before the first iteration
    for _ in range(10**6):
        number = Loop.begin(number)
        sum(range(10**5))


def broken(case: Case, turns: Turns) -> None:
    """Fails in its second step."""
    left = iter([None])
    turns.serve(lambda: next(left))


def absent(case: Case, turns: Turns) -> None:
    """Fails before it is ready."""
    raise RuntimeError("nothing to import")
