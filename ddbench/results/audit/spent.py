"""What a study cost, for the methods section of a paper: CPU and GPU hours by method, failures and inputs included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ddbench.core.documents import CellDocument
from ddbench.core.records import Record

Manifest = Callable[[str, str], Mapping[str, Any] | None]
"""What is known of a built artifact, by its kind and key; None: it is not here."""


@dataclass
class Spent:
    """Sums over nodes.

    Attributes:
        nodes: How many.
        failed: How many of them have no result.
        wall_s: Wall seconds, one node after the other.
        cpu_s: CPU seconds, where they were measured.
        gpu_s: Wall seconds of nodes that ran on a GPU.
        unmeasured: Nodes of which no CPU seconds are known (records of before).
    """

    nodes: int = 0
    failed: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    unmeasured: int = 0

    def add(self, wall_s: float, cpu_s: float | None, *, on_gpu: bool, failed: bool = False) -> None:
        """A node more."""
        self.nodes += 1
        self.failed += failed
        self.wall_s += wall_s
        self.cpu_s += cpu_s or 0.0
        self.unmeasured += cpu_s is None
        self.gpu_s += wall_s if on_gpu else 0.0


def spent(records: Iterable[Record], manifest: Manifest) -> tuple[dict[str, Spent], int]:
    """What all records took, and each artifact that they read, once.

    Args:
        records: Of sets and of students, failures included.
        manifest: Finds artifacts.

    Returns:
        Sums by method, by ``students`` and by kind of artifact in parentheses; and how many artifacts are not here.
    """
    found: dict[str, Spent] = {}
    read: set[tuple[str, str]] = set()
    for record in records:
        document, cost = record.document, record.cost
        name = document.called if isinstance(document, CellDocument) else "students"
        cpu = None if cost.cpu is None else _own(cost.cpu)
        on_gpu = cost.device is not None or cost.device_mb is not None
        found.setdefault(name, Spent()).add(_own(cost), cpu, on_gpu=on_gpu, failed=record.status != "ok")
        read |= {*document.artifacts.values()}
    return found, _add_artifacts(found, read, manifest)


def _own(cost: Any) -> float:
    """A node's own seconds, without those of what it reads."""
    return float(cost.prepare_s + cost.condense_s + cost.evaluate_s)


def _add_artifacts(found: dict[str, Spent], read: set[tuple[str, str]], manifest: Manifest) -> int:
    """Add artifacts and what these were built from, each once; how many are not here.

    Artifacts of before do not say what they were built from.
    """
    seen: set[tuple[str, str]] = set()
    lost, left = 0, sorted(read)
    while left:
        place = left.pop()
        if place in seen:
            continue
        seen.add(place)
        if (content := manifest(*place)) is None:
            lost += 1
            continue
        cost = content["cost"]
        on_gpu = "device_seconds" in cost or "device_mb" in cost
        cpu = cost.get("cpu_seconds", None if cost["seconds"] else 0.0)
        found.setdefault(f"({place[0]})", Spent()).add(float(cost["seconds"]), cpu, on_gpu=on_gpu)
        left += [(kind, key) for kind, key in content.get("artifacts", {}).values()]
    return lost


def total(groups: Iterable[Spent]) -> Spent:
    """All together."""
    whole = Spent()
    for one in groups:
        for name in vars(one):
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
    return whole
