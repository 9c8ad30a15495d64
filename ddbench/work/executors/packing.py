"""Which nodes share a job: those that ask for the same, worth so many seconds together. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ddbench.work.executors.elsewhere import Need, Task

MOST_NODES = 500
"""Nodes of a job at most: what is lost with it is done again."""


def packed(
    tasks: Iterable[Task], need: Callable[[Task], Need], worth_s: float
) -> tuple[dict[Need, list[list[Task]]], list[Task]]:
    """Nodes as jobs worth at least ``worth_s`` seconds, and those that are left over.

    The order within a job is that of the tasks.

    Args:
        tasks: What waits, the most urgent first.
        need: What a node asks for.
        worth_s: Least forecast of a job [s].

    Returns:
        Jobs by what they ask for, and the tasks that are too few for one.
    """
    full: dict[Need, list[list[Task]]] = {}
    open_: dict[Need, list[Task]] = {}
    for task in tasks:
        asked = need(task)
        job = open_.setdefault(asked, [])
        job.append(task)
        if len(job) >= MOST_NODES or sum(one.seconds for one in job) >= worth_s:
            full.setdefault(asked, []).append(open_.pop(asked))
    return full, [task for job in open_.values() for task in job]


def with_rest(
    full: Mapping[Need, Sequence[list[Task]]], left: Iterable[Task], need: Callable[[Task], Need]
) -> dict[Need, list[list[Task]]]:
    """Jobs, and what is left over as one more job for each thing that is asked for."""
    found = {asked: [*jobs] for asked, jobs in full.items()}
    more: dict[Need, list[Task]] = {}
    for task in left:
        more.setdefault(need(task), []).append(task)
    for asked, job in more.items():
        found.setdefault(asked, []).append(job)
    return found
