"""Progress on stderr: a bar over the nodes and one over the steps of each running node, or lines, or JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tqdm.std import TqdmWarning

from ddbench.core.words import plural
from ddbench.plan.forecast import duration
from ddbench.plan.graph import Node
from ddbench.plan.order import until_done_s
from ddbench.plan.outlook import known_s, names, unknown
from ddbench.work.monitor import Silent

with warnings.catch_warnings():  # of a notebook without ipywidgets: bars are text there
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

Style = Literal["auto", "bar", "plain", "json"]
TELL_S = 60.0
"""Seconds between lines about the running node in plain style."""
REFRESH_S = 1.0
"""Seconds between looks at the clock in bar style: a node may be long, and a step, too."""
MANY = 1000
"""From so many nodes on a look at all of them is not made at the end of each."""
ENOUGH = 0.05
"""Share of the work that must be done before its pace says for how long the rest goes on."""
WORTH_S = 10.0
"""Forecast seconds of references from which the table of the other rows is shown before them."""
COUNTED = {"artifact": "steps", "cell": "steps", "evaluation": "updates"}
"""What the steps of nodes are called before the first one says so."""
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} {unit} [{elapsed}{postfix}]"
INNER = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} {unit} [{elapsed}, {remaining} left{postfix}]"


@dataclass(slots=True)
class _Running:
    """A node that runs: when it started, when a line was written about it, and its bar."""

    node: Node
    started: float
    told: float
    bar: Any = None


class Progress(Silent):
    """Watches a run; also the steps inside nodes (the :class:`ddbench.work.monitor.Monitor` of the command line).

    Args:
        style: ``auto`` draws bars on a terminal and writes lines elsewhere.
        total: Nodes to run, where nobody tells by :meth:`expect`.
        so_far: Gives the table of the rows that are whole.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        style: Style,
        total: int = 0,
        *,
        so_far: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if style == "auto":
            style = "bar" if sys.stderr.isatty() else "plain"
        self.style = style
        self.total = total
        self.done = 0
        self._so_far, self._clock = so_far, clock
        self._expected: Sequence[Node] = ()
        self._jobs: int | None = 1
        self._begun, self._gone_s = 0.0, 0.0
        self._running: dict[str, _Running] = {}
        self._waits = ""
        self._looked = -REFRESH_S
        self._left: tuple[float | None, int] = (0.0, 0)
        self._nodes: Any = None
        self._closed = threading.Event()
        if total:
            self._open()

    def _open(self) -> None:
        if self.style == "bar":
            self._nodes = tqdm(total=self.total, desc="nodes", unit="nodes", bar_format=BAR, file=sys.stderr)
            threading.Thread(target=self._keep_up, daemon=True).start()

    def _keep_up(self) -> None:
        """Let the clocks of the bars go on between steps."""
        while not self._closed.wait(REFRESH_S):
            self._show_left()
            for running in list(self._running.values()):
                if running.bar is not None:
                    running.bar.refresh()

    def expect(self, line: str, nodes: Sequence[Node], jobs: int | None) -> None:
        """What the run will take; ``nodes``, with forecasts, run ``jobs`` at a time; None: nobody knows how many do."""
        self._expected, self._jobs, self.total = nodes, jobs, len(nodes)
        self._begun = self._clock()
        if self.style == "json":
            known = known_s(nodes)
            self._line({"event": "plan", "nodes": len(nodes), "forecast_s": round(known, 1), "unknown": unknown(nodes)})
        else:
            self._write(f"ddbench: {line}")
        if nodes:
            self._open()

    def left(self) -> tuple[float | None, int]:
        """Forecast seconds until all is done, and how many nodes are left of which nothing is known.

        Where nobody knows how many run at once, at the pace so far; None: nothing is done by which that could be told.
        Of thousands of nodes that is found out once a second at most.
        """
        if len(self._expected) > MANY and self._clock() - self._looked < REFRESH_S:
            return self._left
        self._looked, self._left = self._clock(), self._look()
        return self._left

    def _look(self) -> tuple[float | None, int]:
        nodes = [node for node in self._expected if node.pending]
        if self._jobs is not None:
            gone = {key: self._clock() - running.started for key, running in list(self._running.items())}
            return until_done_s(nodes, self._jobs, gone), unknown(nodes)
        seconds = known_s(nodes)
        if self._gone_s < ENOUGH * (self._gone_s + seconds):
            return None, unknown(nodes)
        return seconds * (self._clock() - self._begun) / max(self._gone_s, 1e-9), unknown(nodes)

    def _left_text(self) -> str:
        """``about 2 min left, 3 nodes of unknown length``; empty where nothing is to be said."""
        seconds, others = self.left()
        parts = [f"about {duration(seconds)} left"] if seconds else []
        parts += [f"{plural(others, 'node')} of unknown length"] if others else []
        return ", ".join(parts)

    def begin(self, node: Node) -> None:
        """A node starts, perhaps again."""
        self._forget(node.key)
        running = _Running(node, self._clock(), self._clock())
        if self.style == "bar":
            running.bar = tqdm(
                total=node.steps or None, desc=node.title, unit=COUNTED[node.kind], leave=False, bar_format=INNER,
                file=sys.stderr,
            )  # fmt: skip
        elif self.style == "json":
            self._line({"event": "begin", "node": node.title, "key": node.key, "steps": node.steps})
        self._running[node.key] = running

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """The running node ``key`` is at ``done`` of ``total``."""
        running = self._running.get(key)
        if running is None:
            return
        if self.style == "plain" and self._clock() - running.told >= TELL_S:
            running.told = self._clock()
            shown = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
            text = f"  {running.node.title}: {done} of {total} {what} {shown}"
            print(text.rstrip(), file=sys.stderr, flush=True)
        if running.bar is not None:
            running.bar.total, running.bar.unit = total, what or running.bar.unit
            if metrics:
                running.bar.set_postfix({name: f"{value:.3g}" for name, value in metrics.items()}, refresh=False)
            running.bar.update(done - running.bar.n)

    def end(self, node: Node) -> None:
        """A node is done."""
        running = self._forget(node.key)
        self.done += node.state != "unmeasured"
        self.total = max(self.total, self.done)  # a reference that was expected to take too long, and does not
        self._gone_s += (node.forecast_s or 0.0) if running is not None else 0.0
        seconds = 0.0 if running is None else self._clock() - running.started
        if self._nodes is not None:
            self._nodes.total = self.total
            self._nodes.update(self.done - self._nodes.n)
            self._show_left()
        state = "done" if node.state == "cached" else node.state
        if self.style == "plain":
            reason = f": {node.reason}" if node.reason else ""
            took = "" if running is None else f" in {seconds:.1f} s"
            left = f" · {text}" if (text := self._left_text()) else ""
            print(f"[{self.done}/{self.total}] {node.title} · {state}{took}{reason}{left}", file=sys.stderr, flush=True)
        elif self.style == "json":
            left_s, others = self.left()
            left_s = left_s if left_s is None else round(left_s, 1)
            self._line({"event": "end", "node": node.title, "key": node.key, "state": state, "reason": node.reason,
                        "seconds": round(seconds, 3), "left_s": left_s, "unknown": others})  # fmt: skip

    def waiting(self, nodes: int, holders: Sequence[str]) -> None:
        """Other processes hold what is left."""
        text = f"waiting for {plural(nodes, 'node')} of {', '.join(holders) or 'another process'}"
        if self.style == "plain" and text != self._waits:
            print(text, file=sys.stderr, flush=True)
        self._waits = text
        self._show_left()

    def only_references(self, nodes: Sequence[Node]) -> None:
        """Show the other rows while one waits for the references; stdout holds the final table alone."""
        seconds = until_done_s(nodes, self._jobs or len(nodes))
        if self._so_far is None or self.style == "json" or seconds < WORTH_S:
            return
        which = names(nodes)
        self._write(
            f"ddbench: all rows but {which}, which takes about {duration(seconds)} more (not the final table):\n"
            f"{self._so_far().rstrip()}\n"
            f"ddbench: end of the table without {which}"
        )

    def close(self) -> None:
        """Leave the terminal clean."""
        self._closed.set()
        for key in list(self._running):
            self._forget(key)
        if self._nodes is not None:
            self._nodes.close()

    def _show_left(self) -> None:
        """Say beside the outer bar for how long it will go on, or for what it waits."""
        if self._nodes is not None:
            self._nodes.set_postfix_str(self._waits or self._left_text())

    def _forget(self, key: str) -> _Running | None:
        """The node runs no more; what was known of it."""
        running = self._running.pop(key, None)
        if running is not None and running.bar is not None:
            running.bar.close()
        return running

    def _write(self, text: str) -> None:
        """A text above the bars."""
        if self.style == "bar":
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _line(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)
