"""Progress on stderr: a bar over the nodes and one over the running node's steps, or lines, or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from tqdm import tqdm

from ddbench.plan import Node

Style = Literal["auto", "bar", "plain", "json"]
TELL_S = 60.0
"""Seconds between lines about the running node in plain style."""


class Progress:
    """Watches a run; also the steps inside nodes.

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
        self._started: dict[str, float] = {}
        self._nodes: Any = tqdm(total=total, desc="nodes", unit="node", file=sys.stderr) if style == "bar" else None
        self._steps: Any = None
        self._title = ""
        self._told = 0.0

    def begin(self, node: Node) -> None:
        """A node starts."""
        self._started[node.key] = time.monotonic()
        self._title = node.title
        self._told = time.monotonic()
        if self.style == "bar":
            self._steps = tqdm(total=node.steps or None, desc=node.title, unit="step", leave=False, file=sys.stderr)
        elif self.style == "json":
            self._line({"event": "begin", "node": node.title, "key": node.key, "steps": node.steps})

    def progress(self, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node is at ``done`` of ``total``."""
        if self.style == "plain" and time.monotonic() - self._told >= TELL_S:
            self._told = time.monotonic()
            shown = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
            print(f"  {self._title}: {done} of {total} {what} {shown}".rstrip(), file=sys.stderr, flush=True)
        if self._steps is not None:
            self._steps.total = total
            if metrics:
                self._steps.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
            self._steps.update(done - self._steps.n)

    def end(self, node: Node) -> None:
        """A node is done."""
        self.done += 1
        began = self._started.get(node.key)
        seconds = 0.0 if began is None else time.monotonic() - began
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        if self._nodes is not None:
            self._nodes.update(1)
        state = "done" if node.state == "cached" else node.state
        if self.style == "plain":
            reason = f": {node.reason}" if node.reason else ""
            took = "" if began is None else f" in {seconds:.1f} s"
            print(f"[{self.done}/{self.total}] {node.title} · {state}{took}{reason}", file=sys.stderr, flush=True)
        elif self.style == "json":
            self._line({"event": "end", "node": node.title, "key": node.key, "state": state, "reason": node.reason,
                        "seconds": round(seconds, 3)})  # fmt: skip

    def waiting(self, nodes: int) -> None:
        """Other processes hold what is left."""
        if self._nodes is not None:
            self._nodes.set_postfix_str(f"waiting for {nodes} nodes of another process")

    def close(self) -> None:
        """Leave the terminal clean."""
        for bar in (self._steps, self._nodes):
            if bar is not None:
                bar.close()

    def _line(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)
