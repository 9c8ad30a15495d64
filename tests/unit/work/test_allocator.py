"""Freed memory is kept where glibc can be told so, and nothing else changes: neither numbers nor other systems."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from ddbench.core.settings import KEEP_MEMORY
from ddbench.work import allocator

WORK = """
import resource, sys, torch
from ddbench.work.allocator import keep_freed
told = keep_freed()
a = torch.ones(12_000_000)
def step():
    return (a * 1.5 + 2).sum().item()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
total = sum(step() for _ in range(20))
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, total)
"""


def run(**environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", KEEP_MEMORY))} | environment
    done = subprocess.run([sys.executable, "-c", WORK], env=env, capture_output=True, text=True, check=True)
    told, faults, total = done.stdout.split(" ")
    return told, int(faults), float(total)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_steps_reuse_pages_instead_of_fetching_them_anew():
    kept, returned = run(), run(**{KEEP_MEMORY: "0"})
    assert (kept[0], returned[0]) == ("kept", "returned")
    assert 3 * kept[1] < returned[1], "pages fetched in 20 steps"
    assert kept[2] == returned[2]


@pytest.mark.parametrize("broken", ["missing", "refuses", "no library"])
def test_where_the_allocator_takes_no_orders_nothing_is_claimed(monkeypatch, broken):
    class Library:
        def __getattr__(self, name):
            if broken == "missing":
                raise AttributeError(name)
            return lambda *values: 0

    def load(name):
        if broken == "no library":
            raise OSError(name)
        return Library()

    monkeypatch.setattr(allocator.ctypes, "CDLL", load)
    assert allocator.keep_freed() == ""
    allocator.give_back()
