"""The order in which nodes run: what is ready, claims, inherited failures, damaged inputs made again. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument
from ddbench.core.errors import InterruptedRunError
from ddbench.core.keys import short
from ddbench.core.records import said
from ddbench.core.store.artifacts import manifest
from ddbench.core.store.claims import Watch, acquire, holder_of
from ddbench.core.store.folder import Store
from ddbench.plan.collect import cause
from ddbench.plan.forecast import forecast, limit_references, sure_references
from ddbench.plan.graph import SET_FAILED, Node, Plan, needs_failed
from ddbench.plan.memory import Peaks
from ddbench.plan.order import longest_first, seconds_left
from ddbench.plan.speeds import Speeds
from ddbench.plan.status import look_up
from ddbench.work.attempt import Outcome, fail_unstarted
from ddbench.work.executors.base import Executor, Handle, Resources
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Beats

WAIT_S = 0.5
REPAIRS = 2
"""How often a damaged input is made again before the node that reads it fails."""


@dataclass
class Schedule:
    """Runs a plan on an executor, beside other runs into the same folder: claims share out the nodes.

    Attributes:
        plan: The assessed plan.
        store: Where results go.
        executor: Where nodes run; closed at the end.
        resources: What a node may use.
        interrupts: Whether the user wants to stop.
        monitor: Is told which nodes begin and end, and holds their claims.
        reference_limit_s: Longest forecast for which a reference's row is measured; 0: never.
        retry_failed: Whether failures of other runs are run again too.
        parallel: Whether several nodes run at once: then forecasts say which goes first and what memory it needs; else
            the order is that of the plan.
        speeds: What is known of how long nodes take; it learns from those that are done.
        peaks: What is known of the memory that they need.
        settled: Nodes that ran here.
        returned: Keys of nodes that another run published, as the executor says, and that could not be seen here then.
        sleep: Waits between looks at what other runs do.
    """

    plan: Plan
    store: Store
    executor: Executor
    resources: Callable[[Document], Resources]
    interrupts: Interrupts
    monitor: Beats
    reference_limit_s: float
    retry_failed: bool = False
    parallel: bool = False
    speeds: Speeds = field(default_factory=Speeds)
    peaks: Peaks = field(default_factory=Peaks)
    sleep: Callable[[float], None] = time.sleep
    watch: Watch = field(default_factory=Watch)
    repairs: dict[str, int] = field(default_factory=dict)
    running: dict[Handle, tuple[Node, ExitStack]] = field(default_factory=dict, init=False)
    alone: bool = field(default=False, init=False)
    waits_for_room: bool = field(default=False, init=False)
    measured: set[str] = field(default_factory=set, init=False)
    settled: list[Node] = field(default_factory=list, init=False)
    returned: set[str] = field(default_factory=set, init=False)
    told_last: bool = field(default=False, init=False)
    left: dict[str, float] = field(default_factory=dict, init=False)

    def run(self) -> None:
        """Run all pending nodes; each node's state, reason and record tell what became of it.

        Raises:
            InterruptedRunError: If the user asked to stop.
            StoreError: If nothing can be written.
            UsageError: If the executor cannot give what the nodes may use.
        """
        try:
            self._forecast()
            self._drain()
        finally:
            for handle in self.running:
                self.executor.cancel(handle)
            self.executor.close()  # claims are held until nodes have stopped
            for _, claim in self.running.values():
                claim.close()

    def _drain(self) -> None:
        """Run nodes until none is left; where only other runs' are left, wait for those."""
        while self.plan.pending():
            advanced, queue, self.waits_for_room = False, self._queue(), False
            for node in queue:
                self._stop_if_asked()
                if self.waits_for_room or len(self.running) >= self.executor.slots:
                    break  # else small nodes would go on passing a large one by
                if node.pending:
                    advanced = self._advance(node) or advanced
            if self.running or not self.executor.slots:
                self._collect()
            elif queue and not advanced:
                self.monitor.waiting(len(queue), self._holders(queue))
                self.sleep(WAIT_S)

    def _holders(self, nodes: list[Node]) -> list[str]:
        """Which other processes work on nodes."""
        found = (holder_of(self.store.claims_of(node.document), short(node.key)) for node in nodes)
        return sorted({one for one in found if one is not None})

    def _queue(self) -> list[Node]:
        """What may start, the next one first; references of which it is not decided yet whether they are measured wait.

        That is decided for all when nothing else is left, and before only for what is sure to be below the limit.
        """
        pending = self.plan.pending()
        if all(node.is_reference for node in pending):
            for node in limit_references(self.plan, self.store, self.reference_limit_s, self.measured):
                self.monitor.end(node)
            pending = self.plan.pending()
            self.measured |= {node.key for node in pending}
            if pending and not self.told_last:
                self.told_last = True
                self._forecast()
                self.monitor.only_references(pending)
        running = {node.key for node, _ in self.running.values()}
        queue = [
            node for node in pending if node.key not in running and (not node.is_reference or node.key in self.measured)
        ]
        return longest_first(queue, self.left) if self.parallel else queue

    def _learn(self, node: Node) -> None:
        """Learn from a node that is done, and forecast again where that is news."""
        news = False
        if node.record is not None:
            self.peaks.add(node.record)
            news = self.speeds.add(node.record)
        elif isinstance(node.document, ArtifactDocument) and node.state == "cached":
            content = manifest(node.document.artifact.kind, node.key)
            news = content is not None and self.speeds.add_artifact(node.document, content)
        if news:
            self._forecast()

    def _forecast(self) -> None:
        forecast(self.plan, self.speeds)
        if self.parallel:
            self.left = seconds_left(self.plan.pending())
            self.measured |= {node.key for node in sure_references(self.plan, self.reference_limit_s)}

    def _stop_if_asked(self) -> None:
        """Notice a signal whose exception was swallowed by the code it hit.

        Raises:
            InterruptedRunError: If the user asked to stop.
        """
        if self.interrupts.requested:
            raise InterruptedRunError("interrupted")

    def _advance(self, node: Node) -> bool:
        """Submit a node if its turn has come; whether anything changed."""
        needs = [self.plan.nodes[key] for key in node.needs]
        broken = next((need for need in needs if need.state in ("failed", "unmeasured")), None)
        if broken is not None:
            self._inherit(node, broken)
            return True
        if any(need.pending for need in needs):
            return False
        resources = self.resources(node.document)
        host, device = self.peaks.of(node.document)
        expected = {"peak_mb": host, "device_mb": device, "seconds": node.forecast_s}
        resources = resources.model_copy(update=expected)
        if self.running and (resources.alone or self.alone):
            return False
        if self.running and not self.executor.has_room(resources):
            self.waits_for_room = True
            return False
        return self._start(node, resources)

    def _start(self, node: Node, resources: Resources) -> bool:
        """Submit a node that nothing of this run stands in the way of; whether anything changed."""
        claim = None
        with ExitStack() as held:
            if not self.executor.claims:
                claim = acquire(self.store.claims_of(node.document), short(node.key), self.watch)
                if claim is None:
                    return self._look(node)
                held.enter_context(claim)
            if (claim or node.key in self.returned) and self.watch.hides(self.store.result(node.document)):
                return False  # another machine has made it; what it left cannot be read here yet, and others go first
            if not self._look(node):  # another run may have finished it meanwhile
                if claim is not None:  # else it begins when its place claims it, which status shows
                    self.monitor.claims[node.key] = claim
                    self.monitor.begin(node)
                handle = self.executor.submit(node.document, resources)
                self.running[handle] = node, held.pop_all()
                self.alone = resources.alone
        return True

    def _look(self, node: Node) -> bool:
        """Take over what another run published meanwhile."""
        found = replace(node)
        look_up(self.plan, found, self.store, retry_failed=self.retry_failed)
        if found.pending:
            return False
        node.state, node.reason, node.record = found.state, found.reason, found.record
        self._learn(node)
        self.monitor.end(node)
        return True

    def _collect(self) -> None:
        """Wait a moment for nodes that run, and settle those that are done."""
        self._stop_if_asked()
        for handle, outcome in self.executor.poll(WAIT_S):
            node, claim = self.running.pop(handle)
            with claim:
                if outcome is not None:
                    self._settle(node, outcome)
                elif not self._look(node):
                    self.monitor.claims.pop(node.key, None)
                    self.returned.add(node.key)

    def _settle(self, node: Node, outcome: Outcome) -> None:
        if outcome.status == "damaged":
            self._repair(node, outcome.reason)
            return
        node.record = outcome.record
        if outcome.status == "ok":
            node.state, node.reason = "cached", None
        else:
            node.state, node.status, node.reason = "failed", outcome.status, outcome.reason
            if outcome.record is not None:
                node.reason = said(outcome.status, outcome.reason)
        self._learn(node)
        self.settled.append(node)
        self.monitor.end(node)

    def _inherit(self, node: Node, broken: Node) -> None:
        """What needs a failed node fails as well.

        It says so in a record, because it is a row, unless a record of its set does; failed ones are not retried.
        """
        document = node.document
        node.state, node.status = "failed", broken.status
        if isinstance(document, CellDocument):
            found = cause(self.plan, node)
            why = found[1] if found else broken.reason or "its input failed"
            node.record = fail_unstarted(self.store, document, broken.status, why)
            node.reason = needs_failed(broken)
        elif broken.state != "failed":
            node.reason = broken.reason
        elif broken.kind == "cell" and broken.key == node.needs[0]:
            node.reason = SET_FAILED
        else:
            node.reason = needs_failed(broken)
            if isinstance(document, EvaluationDocument):
                made = self.plan.nodes[node.needs[0]].record
                status, reason = cause(self.plan, node) or (broken.status, node.reason)
                node.record = fail_unstarted(
                    self.store, document, status, reason, set_sha256=None if made is None else made.set_sha256
                )
        self.monitor.end(node)

    def _repair(self, node: Node, reason: str | None) -> None:
        """Make the damaged inputs of a node again: they were set aside, so they count as missing now."""
        self.repairs[node.key] = self.repairs.get(node.key, 0) + 1
        revived = [self._revive(key) for key in node.needs] if self.repairs[node.key] <= REPAIRS else []
        if not any(revived):
            node.state, node.reason = "failed", reason
            self.monitor.end(node)

    def _revive(self, key: str) -> bool:
        """Put a node whose result is gone, and what it needs itself, back into the queue."""
        node = self.plan.nodes[key]
        found = replace(node)
        look_up(self.plan, found, self.store)
        gone = found.pending
        if gone:
            node.state, node.reason = "run", None
            for need in node.needs:
                self._revive(need)
        return gone
