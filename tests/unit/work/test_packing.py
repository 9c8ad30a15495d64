"""Nodes that ask for the same share jobs worth so many seconds; none is lost and none comes twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ddbench.work.executors.base import Resources
from ddbench.work.executors.elsewhere import UNKNOWN_S, Need, Task, time_s
from ddbench.work.executors.packing import MOST_NODES, packed, with_rest


def task(key: str, seconds: float | None, cpus: int = 1) -> Task:
    document: Any = SimpleNamespace(key=key)
    return Task(document, Resources(threads=cpus, seconds=seconds))


def need(one: Task) -> Need:
    return Need(one.resources.threads or 1, 0, 1024.0)


@pytest.mark.parametrize("worth", [0.0, 30.0, 600.0, 1e9])
@pytest.mark.parametrize("seconds", [[1.0] * 700, [700.0, 1.0, 2.0], [None] * 25, [500.0, None, 3.0] * 40])
def test_every_task_is_in_one_job(worth: float, seconds: list[float | None]) -> None:
    tasks = [task(str(i), s, cpus=1 + i % 2) for i, s in enumerate(seconds)]
    full, left = packed(tasks, need, worth)
    jobs = [job for group in full.values() for job in group]
    for asked, group in full.items():
        for job in group:
            assert {need(one) for one in job} == {asked}
            assert len(job) == MOST_NODES or sum(one.seconds for one in job) >= worth
            assert sum(one.seconds for one in job[:-1]) < worth or len(job) == 1, "no longer than it must be"
    more = [job for group in with_rest({}, left, need).values() for job in group]
    assert sorted(one.key for job in jobs + more for one in job) == sorted(one.key for one in tasks)
    assert all(sum(one.seconds for one in job) < worth for job in more)


def test_the_order_of_tasks_is_kept() -> None:
    full, _ = packed([task(str(i), 5.0) for i in range(9)], need, 15.0)
    assert [[one.key for one in job] for job in full[Need(1, 0, 1024.0)]] == [list("012"), list("345"), list("678")]


def test_time_asked_for_grows_with_the_forecast() -> None:
    assert time_s([task("a", 1.0)], None) == 1800.0
    assert time_s([task("a", 3600.0)], None) == 3 * 3600 + 600
    assert time_s([task("a", None)] * 100, None) == 3 * 100 * UNKNOWN_S + 600
    assert time_s([task("a", 3600.0)], 60.0) == 60.0
