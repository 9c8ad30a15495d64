"""Who is told how far a run is: which nodes begin and end, and the steps inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ddbench.plan.graph import Node


class Monitor(Protocol):
    """Watches a run; nodes that run at the same time are told apart by their keys."""

    def begin(self, node: Node) -> None:
        """A node starts."""
        ...

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node ``key`` is at ``done`` of ``total`` steps of ``what``."""
        ...

    def end(self, node: Node) -> None:
        """A node is done, one way or another; its state says which."""
        ...

    def waiting(self, nodes: int) -> None:
        """Only nodes that other runs work on are left."""
        ...


class Silent:
    """A monitor that tells nobody."""

    def begin(self, node: Node) -> None:
        """Ignore it."""

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """Ignore it."""

    def end(self, node: Node) -> None:
        """Ignore it."""

    def waiting(self, nodes: int) -> None:
        """Ignore it."""
