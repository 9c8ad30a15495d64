"""A longer run goes on where a shorter one of the same cell ended, if the method says that it would begin the same."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

from ddbench.core.api import DistillationParams, Params
from ddbench.core.documents import Artifacts, CellDocument
from ddbench.core.errors import CorruptFileError
from ddbench.core.specs import CellSpec
from ddbench.core.store.files import StoreWarning, atomic_write
from ddbench.core.store.folder import CHECKPOINT, CONDENSE, SPEC, read_record
from ddbench.core.store.tensors import load_state, save_state
from ddbench.work.engine import Engine

FINAL = "final.safetensors"
"""State after the last step, as in a checkpoint."""


def continues(params: Params) -> bool:
    """Whether a run with these params begins exactly like a shorter one, and a longer one like it.

    ``selection: val`` does not: it chooses among snapshots that the other run has not made.
    """
    return isinstance(params, DistillationParams) and params.continues and not params.keeps_best_snapshot


def adopt(folder: Path, document: CellDocument, engine: Engine) -> None:
    """Begin the cell in ``folder`` with the state and the snapshots of its longest shorter run, if there is one.

    What cannot be read costs only its time: the cell then starts from nothing.

    Args:
        folder: Of a cell whose params continue; nothing happens if it has a checkpoint of its own.
        document: The cell's.
        engine: What computes it: a run by another one, or elsewhere, is no forerunner, its numbers would differ.

    Raises:
        StoreError: If nothing can be written.
    """
    if (folder / CHECKPOINT).exists():
        return
    for _, key, place in sorted(shorter(folder, document), reverse=True):
        try:
            spec = json.loads((place / SPEC).read_bytes())
            if not Engine.model_validate(spec["engine"]).agrees_with(engine):
                continue
            state = load_state(place / FINAL)
            snapshots = {path.name: path.read_bytes() for path in sorted((place / "snapshots").glob("*.safetensors"))}
        except (OSError, ValueError, KeyError, TypeError, RecursionError, CorruptFileError) as error:
            warnings.warn(f"{place}: cannot be continued ({error}); starting over", StoreWarning, stacklevel=2)
            continue
        for name, content in snapshots.items():
            atomic_write(folder / "snapshots" / name, content)
        spec["document"] = document.model_dump(mode="json")
        atomic_write(folder / SPEC, json.dumps(spec, indent=1).encode())
        save_state(folder / CHECKPOINT, {**state, "forerunner": key})  # last: it says that there is a start
        return


def shorter(folder: Path, document: CellDocument) -> Iterator[tuple[int, str, Path]]:
    """Steps asked for, key and folder of the finished shorter runs of a cell."""
    own, wanted = document.cell.params["iterations"], _without_length(document)
    for state in folder.parent.glob(f"*/{FINAL}"):
        place = state.parent
        record = read_record(place / CONDENSE)
        if record is None or record.status != "ok" or _without_length(record.document.set) != wanted:
            continue
        length = record.document.cell.params["iterations"]
        if 0 < length < own:
            yield length, record.key, place


def _without_length(document: CellDocument) -> tuple[CellSpec, Artifacts]:
    """What must agree: the cell without its number of iterations, and the artifacts it reads."""
    params = {name: value for name, value in document.cell.params.items() if name != "iterations"}
    return document.cell.model_copy(update={"params": params}), document.artifacts
