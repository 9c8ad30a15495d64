"""The other end of the executor `processes`: runs the nodes that come in on stdin, and answers on stdout."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from ddbench.core import process_state
from ddbench.core.api import Limits
from ddbench.core.documents import parse
from ddbench.core.errors import DDBenchError, InterruptedRunError
from ddbench.core.plugin.loader import Registries
from ddbench.core.store.folder import Store
from ddbench.work.executors.base import Resources
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent

TELL_S = 0.1
"""Seconds between answers about the steps of a node."""
TOGETHER_S = 5.0
"""Signals within so many seconds are one request to stop."""


def serve(store: Store, registries: Registries, *, keep_logits: bool, device: str = "cpu") -> int:
    """Run nodes until stdin ends, or one leaves something behind; the exit code.

    A line of stdin is ``{"document", "resources"}``. Lines of stdout are ``{"ready", "free_mb"}`` once,
    ``{"progress"}`` now and then, and for each node ``{"outcome", "ends"}`` or, when the run cannot go on,
    ``{"error": {"kind", "text"}}``; ``ends``: it takes no other node.

    Args:
        store: Where results go.
        registries: The plugins that the run was planned with.
        keep_logits: Store logits beside predictions.
        device: Where most nodes will run; what is free there is ``free_mb``, None on the CPU.
    """
    interrupts, tasks, busy = Interrupts(TOGETHER_S), queue.SimpleQueue[str | None](), threading.Event()
    lines, channel = take_over_pipes()
    monitor = _Teller(channel)
    try:
        with interrupts.installed():  # before torch: what is raised inside its import can get lost there
            from ddbench.work import engine
            from ddbench.work.node import run_node
            from ddbench.work.warm import warm_up

            warm_up()
            free_mb = engine.free_mb(engine.choose(device=device, threads=1))
            threading.Thread(target=_listen, args=(lines, tasks, busy), daemon=True).start()
            known, lost = {*threading.enumerate()}, len(process_state.lost)
            monitor.tell({"ready": True, "free_mb": free_mb})
            while not interrupts.requested and (line := tasks.get()) is not None:
                task = json.loads(line)
                resources = Resources.model_validate(task["resources"])
                outcome = run_node(
                    parse(task["document"]),
                    store,
                    engine.choose(device=resources.device, threads=resources.threads, engine=resources.engine),
                    registries=registries,
                    interrupts=interrupts,
                    monitor=monitor,
                    limits=Limits(timeout_s=resources.timeout_s),
                    keep_logits=keep_logits,
                )
                busy.clear()
                ends = _left_behind(known, lost)
                monitor.tell({"outcome": outcome.model_dump(mode="json", by_alias=True), "ends": ends})
                if ends:
                    break
    except (KeyboardInterrupt, InterruptedRunError):
        return InterruptedRunError.exit_code  # whoever sent the signal knows
    except Exception as error:
        if interrupts.requested:  # the signal hit code that made another error of it
            return InterruptedRunError.exit_code
        busy.clear()
        monitor.tell({"error": {"kind": type(error).__name__, "text": str(error)}})
        return error.exit_code if isinstance(error, DDBenchError) else 1
    return InterruptedRunError.exit_code if interrupts.requested else 0


def _left_behind(known: set[threading.Thread], lost: int) -> bool:
    """Whether a node left threads or processes running, or changed what cannot be put back.

    Another node must not be measured beside them.
    """
    if len(process_state.lost) > lost:
        return True
    left = any(thread not in known and not thread.daemon for thread in threading.enumerate())
    return left or bool(multiprocessing.active_children())


def take_over_pipes() -> tuple[TextIO, TextIO]:
    """Stdin and stdout for us alone: plugins read nothing, and what they print goes to stderr."""
    lines, channel = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    return lines, channel


def _listen(lines: TextIO, tasks: queue.SimpleQueue[str | None], busy: threading.Event) -> None:
    """Hand on what comes in; when the run is gone in the middle of a node, so that its claim is free, end at once."""
    for line in lines:
        busy.set()
        tasks.put(line)
    if busy.is_set():
        os._exit(1)
    tasks.put(None)


class _Teller(Silent):
    """Writes answers."""

    def __init__(self, channel: TextIO) -> None:
        self._channel = channel
        self._key, self._told = "", 0.0

    def tell(self, answer: Mapping[str, Any]) -> None:
        """Write a line. When nobody reads it the run is gone: that must not look like the node's failure."""
        try:
            self._channel.write(json.dumps(answer) + "\n")
            self._channel.flush()
        except OSError:
            os._exit(1)

    def progress(self, key: str, done: int, total: int, what: str, metrics: Mapping[str, float]) -> None:
        """Say how far the node is, if nothing was just said of it."""
        if key != self._key or done >= total or time.monotonic() - self._told >= TELL_S:
            self._key, self._told = key, time.monotonic()
            self.tell({"progress": [key, done, total, what, {name: float(value) for name, value in metrics.items()}]})
