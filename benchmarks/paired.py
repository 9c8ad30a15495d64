"""What benchmarks of two ways of one step share: options, and timing them in turns in one run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

Prepare = Callable[[int], Callable[[], Any]]
"""Repeat → what is timed; making it is not."""


def options(doc: str | None, *, repeats: int) -> argparse.Namespace:
    """``width``, ``repeats`` and ``threads``, the latter applied."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    found = parser.parse_args()
    torch.set_num_threads(found.threads)
    return found


def medians(ways: Mapping[str, Prepare], repeats: int) -> dict[str, float]:
    """Median seconds of each way over ``repeats`` turns, after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, prepare in ways.items():
            step = prepare(repeat)
            start = time.perf_counter()
            step()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return {name: median(found) for name, found in times.items()}
