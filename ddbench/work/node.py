"""Runs one node. Needs nothing but the node's document, ``--out``, ``$DDBENCH_HOME`` and the same plugins."""

from __future__ import annotations

import contextlib
import sys
import warnings

from ddbench.core.api import Limits
from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument, precision_of
from ddbench.core.errors import CorruptFileError, UsageError
from ddbench.core.keys import short
from ddbench.core.plugin.limited import PluginWarning
from ddbench.core.plugin.loader import Registries
from ddbench.core.process_state import kept
from ddbench.core.store.folder import Store
from ddbench.work.artifact_builds import build_artifact
from ddbench.work.attempt import Job, Outcome
from ddbench.work.cells import condense_cell
from ddbench.work.engine import Engine
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Monitor
from ddbench.work.students import evaluate_student
from ddbench.work.warm import warm_up, warm_up_for


def run_node(
    document: Document,
    store: Store,
    engine: Engine,
    *,
    registries: Registries,
    interrupts: Interrupts,
    monitor: Monitor,
    limits: Limits | None = None,
    keep_logits: bool = False,
) -> Outcome:
    """Run one node in this process, and publish what it makes.

    Args:
        document: What to compute.
        store: Where results go.
        engine: How it is computed unless it is resumed.
        registries: Loaded plugins.
        interrupts: Whether the user wants to stop.
        monitor: Is told about progress.
        limits: Bounds; None: none.
        keep_logits: Store logits beside predictions.

    Raises:
        InterruptedRunError: If the user asked to stop.
        StoreError: If nothing can be written.
    """
    refusal = refuse(document, registries) or _other_precision(document, engine)
    if refusal is not None:
        return Outcome(status="failed", reason=refusal)
    engine.apply()  # what is computed from here on has the node's threads
    warm_up(engine.device)
    with kept() as changes:
        warm_up_for(document, registries)
    if changes.names:
        text = f"what {short(document.key)} is made of, when it was imported, {changes.text}"
        warnings.warn(text, PluginWarning, stacklevel=2)
    given = (store, registries, engine, limits or Limits(), interrupts, monitor, keep_logits)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the table: a plugin's print goes to stderr
            match document:
                case ArtifactDocument():
                    return build_artifact(Job(document, *given))
                case CellDocument():
                    return condense_cell(Job(document, *given))
                case EvaluationDocument():
                    return evaluate_student(Job(document, *given))
    except CorruptFileError as error:
        return Outcome(status="damaged", reason=str(error))


def _other_precision(document: Document, engine: Engine) -> str | None:
    """Why an engine is not the one of a node, whose key says in which precision networks are trained."""
    wanted = precision_of(document)
    if (engine.engine == "bf16") == (wanted == "bf16"):
        return None
    return f"planned in {wanted}, which engine {engine.engine} does not compute in"


def refuse(document: Document, registries: Registries) -> str | None:
    """Why the plugins that are loaded here cannot run a node; None when they are those that it was planned with.

    A node that is refused leaves no record: its result would stand under the key of another plugin.
    """
    try:
        reason = registries.changed_since(document.spec)
    except UsageError as error:
        return f"{error}; run the command again with the plugins that it was planned with"
    return reason and f"{reason}: run the command again"
