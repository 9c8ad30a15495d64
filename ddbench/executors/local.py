"""The local executor: this process runs the nodes, one after another, beside others that do the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ddbench.claims import Watch, acquire
from ddbench.errors import CorruptFileError, InterruptedRunError, NodeFailureError
from ddbench.forecast import limit_references
from ddbench.keys import short
from ddbench.lookup import look_up
from ddbench.plan import Node, Plan
from ddbench.records import Record
from ddbench.runner import Worker

WAIT_S = 0.5
REPAIRS = 2
"""How often a damaged input is made again before the node that reads it fails."""


class RunMonitor(Protocol):
    """Who watches the nodes come and go."""

    def begin(self, node: Node) -> None:
        """A node starts."""
        ...

    def end(self, node: Node) -> None:
        """A node is done, one way or another."""
        ...

    def waiting(self, nodes: int) -> None:
        """Only nodes that other processes work on are left."""
        ...


@dataclass
class Local:
    """Runs a plan.

    Attributes:
        plan: The assessed plan.
        worker: Runs one node.
        monitor: Who watches.
        reference_limit_s: Longest forecast for which a reference's row is measured; 0: never.
        retry_failed: Whether failures of other processes are run again too.
        sleep: Waits between looks at what other processes do.
    """

    plan: Plan
    worker: Worker
    monitor: RunMonitor
    reference_limit_s: float
    retry_failed: bool = False
    sleep: Callable[[float], None] = time.sleep
    watch: Watch = field(default_factory=Watch)
    repairs: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Run all pending nodes; each node's state, reason and record tell what became of it.

        Raises:
            InterruptedRunError: If the user asked to stop.
            StoreError: If nothing can be written.
        """
        self._drain(lambda node: not node.is_reference)
        for node in limit_references(self.plan, self.worker.store, self.reference_limit_s):
            self.monitor.end(node)
        self._drain(lambda node: True)

    def _drain(self, chosen: Callable[[Node], bool]) -> None:
        """Run the chosen nodes until none is left; where only other processes' are left, wait for those."""
        while queue := [node for node in self.plan.pending() if chosen(node)]:
            advanced = []
            for node in queue:
                if self.worker.interrupts.requested:  # a signal whose exception was swallowed by the code it hit
                    raise InterruptedRunError("interrupted")
                if node.pending:
                    advanced.append(self._advance(node))
            if not any(advanced):
                self.monitor.waiting(len(queue))
                self.sleep(WAIT_S)

    def _advance(self, node: Node) -> bool:
        """Run a node if its turn has come; whether anything changed."""
        needs = [self.plan.nodes[key] for key in node.needs]
        broken = next((need for need in needs if need.state in ("failed", "unmeasured")), None)
        if broken is not None:
            self._inherit(node, broken)
            return True
        if any(need.pending for need in needs):
            return False
        shared = node.kind == "artifact" or node.document.get("shared", False) or node.document.get("whole", False)
        claim = acquire(self.worker.store.claims(shared=shared), short(node.key), self.watch)
        if claim is None:
            return self._look(node)
        with claim:
            if not self._look(node):  # another process may have finished it while we were waiting for the claim
                self._run(node)
        return True

    def _look(self, node: Node) -> bool:
        """Take over what another process published meanwhile."""
        found = replace(node)
        look_up(self.plan, found, self.worker.store, retry_failed=self.retry_failed)
        if found.pending:
            return False
        node.state, node.reason, node.record = found.state, found.reason, found.record
        self.monitor.end(node)
        return True

    def _run(self, node: Node) -> None:
        self.monitor.begin(node)
        try:
            record = self.worker.run(node.document)
        except CorruptFileError as error:
            self._repair(node, error)
            return
        except NodeFailureError as error:
            node.state, node.status, node.reason = "failed", error.status, error.reason
        else:
            self._settle(node, record)
        self.monitor.end(node)

    def _settle(self, node: Node, record: Record | None) -> None:
        node.record = record
        if record is None or record.status == "ok":
            node.state, node.reason = "cached", None
        else:
            node.state, node.reason = "failed", f"{record.status}: {record.reason}"

    def _inherit(self, node: Node, broken: Node) -> None:
        """What needs a failed node fails as well; a cell says so in a record: it is a row, and is not retried."""
        if node.kind == "cell":
            node.record = self.worker.fail(node.document, broken.status, broken.reason or "its input failed")
            node.state, node.reason = "failed", f"{broken.status}: {broken.reason}"
        else:
            same = node.kind == "evaluation" and broken.key == node.needs[0]
            node.state, node.reason = "failed", broken.reason if same else f"needs {broken.title}, which failed"
        self.monitor.end(node)

    def _repair(self, node: Node, error: CorruptFileError) -> None:
        """Make the damaged inputs of a node again: they were set aside, so they count as missing now."""
        self.repairs[node.key] = self.repairs.get(node.key, 0) + 1
        revived = [self._revive(key) for key in node.needs] if self.repairs[node.key] <= REPAIRS else []
        if not any(revived):
            node.state, node.reason = "failed", str(error)
            self.monitor.end(node)

    def _revive(self, key: str) -> bool:
        """Put a node whose result is gone, and what it needs itself, back into the queue."""
        node = self.plan.nodes[key]
        found = replace(node)
        look_up(self.plan, found, self.worker.store)
        gone = found.pending
        if gone:
            node.state, node.reason = "run", None
            for need in node.needs:
                self._revive(need)
        return gone
