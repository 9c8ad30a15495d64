"""The executor `local`: nodes run in this process, one at a time; those of plugins in a process beside it."""

from __future__ import annotations

from dataclasses import replace

from ddbench.core.api import Limits
from ddbench.core.documents import Document
from ddbench.work import engine
from ddbench.work.attempt import Outcome
from ddbench.work.executors.base import Handle, Resources, Run
from ddbench.work.executors.processes import Processes
from ddbench.work.node import run_node
from ddbench.work.warm import warm_up


class Local:
    """Runs the submitted node when it is asked how far it is."""

    claims, slots = False, 1

    def __init__(self, run: Run) -> None:
        warm_up()
        self._run = run
        self._submitted: tuple[Document, Resources] | None = None
        self._beside: Processes | None = None

    def has_room(self, resources: Resources) -> bool:
        """Always: there is nothing beside it."""
        return True

    def submit(self, document: Document, resources: Resources) -> Handle:
        """Keep the node for :meth:`poll`, or give it to the process that is for such nodes."""
        if resources.apart is not None:
            self._beside = self._beside or Processes(replace(self._run, jobs=1))
            return self._beside.submit(document, resources)
        self._submitted = document, resources
        return document.key

    def poll(self, wait_s: float) -> list[tuple[Handle, Outcome]]:
        """Run the node; takes as long as it takes. Another process's: hear of it for ``wait_s`` seconds."""
        if self._submitted is None:
            return [] if self._beside is None else self._beside.poll(wait_s)
        (document, resources), self._submitted = self._submitted, None
        run = self._run
        outcome = run_node(
            document,
            run.store,
            engine.choose(device=resources.device, threads=resources.threads, engine=resources.engine),
            registries=run.registries,
            interrupts=run.interrupts,
            monitor=run.monitor,
            limits=Limits(timeout_s=resources.timeout_s),
            keep_logits=run.keep_logits,
        )
        return [(document.key, outcome)]

    def cancel(self, handle: Handle) -> None:
        """Forget the node, which this process does not run where it can call this; another one is asked to stop."""
        self._submitted = None
        if self._beside is not None:
            self._beside.cancel(handle)

    def close(self) -> None:
        """Let the other process end."""
        if self._beside is not None:
            self._beside.close()
