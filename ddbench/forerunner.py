"""A longer run goes on where a shorter one of the same cell ended, if the method says that it would begin the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddbench.files import atomic_file, atomic_write
from ddbench.store import CHECKPOINT, CONDENSE, read_record

FINAL = "final.safetensors"
"""State after the last step, as in a checkpoint."""

FORERUNNER = "continues"
"""Field of ``spec.json``, and of the record's ``env``."""


def continues(params: Any) -> bool:
    """Whether a run with these params begins exactly like a shorter one, and a longer one like it.

    ``selection: val`` does not: it chooses among snapshots that the other run has not made.
    """
    return bool(getattr(params, "continues", False)) and params.selection == "last"


def adopt(folder: Path, document: Mapping[str, Any]) -> None:
    """Begin the cell in ``folder`` with the state and the snapshots of its longest shorter run, if there is one.

    Args:
        folder: Of a cell whose params continue; nothing happens if it has a checkpoint of its own.
        document: The cell's.
    """
    if (folder / CHECKPOINT).exists():
        return
    found = max(_shorter(folder, document), default=None)
    if found is None:
        return
    _, key, place = found
    shutil.copytree(place / "snapshots", folder / "snapshots", dirs_exist_ok=True)
    spec = json.loads((place / "spec.json").read_bytes()) | {"document": dict(document), FORERUNNER: key}
    atomic_write(folder / "spec.json", json.dumps(spec, indent=1).encode())

    def copy(path: Path) -> None:
        shutil.copyfile(place / FINAL, path)

    atomic_file(folder / CHECKPOINT, copy)  # last: now there is a start


def forerunner(folder: Path) -> str | None:
    """Key of the shorter run that the cell in ``folder`` began with."""
    try:
        key: str | None = json.loads((folder / "spec.json").read_bytes()).get(FORERUNNER)
    except (OSError, ValueError):
        return None
    return key


def _shorter(folder: Path, document: Mapping[str, Any]) -> Iterator[tuple[int, str, Path]]:
    """Steps asked for, key and folder of the finished shorter runs of a cell."""
    own, wanted = document["cell"]["params"]["iterations"], _without_length(document)
    for state in folder.parent.glob(f"*/{FINAL}"):
        place = state.parent
        record = read_record(place / CONDENSE)
        if record is None or record.status != "ok" or _without_length(record.spec) != wanted:
            continue
        length = record.spec["cell"]["params"]["iterations"]
        if 0 < length < own and (place / "spec.json").exists():
            yield length, record.key, place


def _without_length(document: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree: the cell without its number of iterations, and the artifacts it reads."""
    cell = document["cell"]
    params = {name: value for name, value in cell["params"].items() if name != "iterations"}
    return {"cell": {**cell, "params": params}, "artifacts": document["artifacts"]}
