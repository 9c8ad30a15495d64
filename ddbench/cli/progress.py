"""Progress on stderr: a bar over the nodes and one over the steps of each running node, or lines, or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tqdm import tqdm

from ddbench.plan.graph import Node

Style = Literal["auto", "bar", "plain", "json"]
TELL_S = 60.0
"""Seconds between lines about the running node in plain style."""


@dataclass(slots=True)
class _Running:
    """A node that runs: when it started, when a line was written about it, and its bar."""

    node: Node
    started: float
    told: float
    bar: Any = None


class Progress:
    """Watches a run; also the steps inside nodes (the :class:`ddbench.work.monitor.Monitor` of the command line).

    Args:
        style: ``auto`` draws bars on a terminal and writes lines elsewhere.
        total: Nodes to run.
    """

    def __init__(self, style: Style, total: int) -> None:
        if style == "auto":
            style = "bar" if sys.stderr.isatty() else "plain"
        self.style = style
        self.total = total
        self.done = 0
        self._running: dict[str, _Running] = {}
        self._waits = ""
        self._nodes: Any = tqdm(total=total, desc="nodes", unit="node", file=sys.stderr) if style == "bar" else None

    def begin(self, node: Node) -> None:
        """A node starts, perhaps again."""
        self._forget(node.key)
        running = _Running(node, time.monotonic(), time.monotonic())
        self._running[node.key] = running
        if self.style == "bar":
            running.bar = tqdm(total=node.steps or None, desc=node.title, unit="step", leave=False, file=sys.stderr)
        elif self.style == "json":
            self._line({"event": "begin", "node": node.title, "key": node.key, "steps": node.steps})

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node ``key`` is at ``done`` of ``total``."""
        running = self._running.get(key)
        if running is None:
            return
        if self.style == "plain" and time.monotonic() - running.told >= TELL_S:
            running.told = time.monotonic()
            shown = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
            text = f"  {running.node.title}: {done} of {total} {what} {shown}"
            print(text.rstrip(), file=sys.stderr, flush=True)
        if running.bar is not None:
            running.bar.total = total
            if metrics:
                running.bar.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
            running.bar.update(done - running.bar.n)

    def end(self, node: Node) -> None:
        """A node is done."""
        self.done += 1
        running = self._forget(node.key)
        seconds = 0.0 if running is None else time.monotonic() - running.started
        if self._nodes is not None:
            self._nodes.update(1)
        state = "done" if node.state == "cached" else node.state
        if self.style == "plain":
            reason = f": {node.reason}" if node.reason else ""
            took = "" if running is None else f" in {seconds:.1f} s"
            print(f"[{self.done}/{self.total}] {node.title} · {state}{took}{reason}", file=sys.stderr, flush=True)
        elif self.style == "json":
            self._line({"event": "end", "node": node.title, "key": node.key, "state": state, "reason": node.reason,
                        "seconds": round(seconds, 3)})  # fmt: skip

    def waiting(self, nodes: int, holders: Sequence[str]) -> None:
        """Other processes hold what is left."""
        text = f"waiting for {nodes} nodes of {', '.join(holders) or 'another process'}"
        if self._nodes is not None:
            self._nodes.set_postfix_str(text)
        elif self.style == "plain" and text != self._waits:
            print(text, file=sys.stderr, flush=True)
        self._waits = text

    def close(self) -> None:
        """Leave the terminal clean."""
        for key in list(self._running):
            self._forget(key)
        if self._nodes is not None:
            self._nodes.close()

    def _forget(self, key: str) -> _Running | None:
        """The node runs no more; what was known of it."""
        running = self._running.pop(key, None)
        if running is not None and running.bar is not None:
            running.bar.close()
        return running

    def _line(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)
