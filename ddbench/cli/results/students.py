"""Training students for commands other than `run`: what runs nodes as a record wants it, progress, and Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ddbench.core.errors import InterruptedRunError
from ddbench.library.progress import Progress
from ddbench.work.interrupts import Interrupts

if TYPE_CHECKING:
    from ddbench.core.documents import EvaluationDocument
    from ddbench.core.plugin.loader import Registries
    from ddbench.core.store.folder import Store
    from ddbench.results.audit.retrain import MakeWorker, RunNode


@contextlib.contextmanager
def students(registries: Registries, total: int) -> Iterator[tuple[MakeWorker, Progress]]:
    """What :func:`ddbench.results.audit.retrain.train_again` needs; torch is imported here and not before.

    Args:
        registries: Loaded plugins.
        total: Students to train.

    Raises:
        InterruptedRunError: If the user stopped; the student that was being trained is lost.
    """
    interrupts = Interrupts()
    watcher = Progress("auto", total)
    try:
        with interrupts.installed():  # before torch: what is raised inside its import can get lost there
            from ddbench.work.attempt import Outcome
            from ddbench.work.engine import as_recorded
            from ddbench.work.node import run_node

            def worker(scratch: Store, env: Mapping[str, Any]) -> RunNode:
                engine = as_recorded(env)

                def train(document: EvaluationDocument) -> Outcome:
                    if (reason := registries.unlike_record(document.spec)) is not None:
                        return Outcome(status="failed", reason=reason)
                    return run_node(
                        document, scratch, engine, registries=registries, interrupts=interrupts, monitor=watcher
                    )

                return train

            yield worker, watcher
    except InterruptedRunError as error:
        raise InterruptedRunError("interrupted; what was written before stays") from error
    finally:
        watcher.close()
