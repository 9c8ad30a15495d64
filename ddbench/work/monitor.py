"""Who is told how far a run is: which nodes begin and end, and the steps inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ddbench.core.store.claims import Claim
from ddbench.plan.graph import Node


class Monitor(Protocol):
    """Watches a run; nodes that run at the same time are told apart by their keys."""

    def begin(self, node: Node) -> None:
        """A node starts."""
        ...

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node ``key`` is at ``done`` of ``total`` steps of ``what``."""
        ...

    def moved(self, key: str, place: str) -> None:
        """The node ``key``, whose claim this run holds, runs at a place from now on; empty: it waits for one."""
        ...

    def end(self, node: Node) -> None:
        """A node is done, one way or another; its state says which."""
        ...

    def waiting(self, nodes: int, holders: Sequence[str]) -> None:
        """Only nodes that other runs work on are left; ``holders``: which processes, for people."""
        ...

    def only_references(self, nodes: Sequence[Node]) -> None:
        """Only these students of references are left: all other rows are whole. Said once, with forecasts."""
        ...


class Silent:
    """A monitor that tells nobody."""

    def begin(self, node: Node) -> None:
        """Ignore it."""

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """Ignore it."""

    def moved(self, key: str, place: str) -> None:
        """Ignore it."""

    def end(self, node: Node) -> None:
        """Ignore it."""

    def waiting(self, nodes: int, holders: Sequence[str]) -> None:
        """Ignore it."""

    def only_references(self, nodes: Sequence[Node]) -> None:
        """Ignore it."""


class Beats(Silent):
    """A monitor that hands everything on, and lets the claims of nodes know of their steps.

    Args:
        told: Whom it tells.

    Attributes:
        claims: Of the nodes that run, by their keys.
    """

    def __init__(self, told: Monitor) -> None:
        self._told = told
        self.claims: dict[str, Claim] = {}

    def begin(self, node: Node) -> None:
        """A node starts."""
        self._told.begin(node)

    def moved(self, key: str, place: str) -> None:
        """The claim of the node ``key`` says where it runs."""
        if (claim := self.claims.get(key)) is not None:
            claim.move(place)

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node ``key`` is a step further."""
        if (claim := self.claims.get(key)) is not None:
            claim.beat(last=done >= total, at=(done, total, what))
        self._told.progress(key, done, total, what, metrics)

    def end(self, node: Node) -> None:
        """A node is done."""
        self.claims.pop(node.key, None)
        self._told.end(node)

    def waiting(self, nodes: int, holders: Sequence[str]) -> None:
        """Only nodes that other runs work on are left."""
        self._told.waiting(nodes, holders)

    def only_references(self, nodes: Sequence[Node]) -> None:
        """Only students of references are left."""
        self._told.only_references(nodes)
