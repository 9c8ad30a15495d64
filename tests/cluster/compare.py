"""Whether two results folders hold the same results: what may differ between machines and runs is listed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ddbench.work.continuation import FINAL

MAY_DIFFER = {"cost", "env", "started", "finished", "seal"}
"""Of a record: what the work took, where it was done, and when; and the sum over all of it."""
TIMINGS = {"evaluate_s", "train_s", "seconds"}
"""Of what is measured on the way: seconds."""


def without(content: Any) -> Any:
    """A record without what may differ."""
    if isinstance(content, dict):
        return {name: without(value) for name, value in content.items() if name not in MAY_DIFFER | TIMINGS}
    return [without(value) for value in content] if isinstance(content, list) else content


def results(folder: Path) -> dict[str, Any]:
    """What a results folder, or a home, holds: records without what may differ, sets and predictions to the byte.

    The last state of a condensation holds seconds as well, and is left out.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.name == "condense.json" or (path.parent.name == "eval" and path.suffix == ".json"):
            found[name] = without(json.loads(path.read_text()))
        elif path.name != FINAL and path.suffix in (".safetensors", ".npz", ".npy", ".pt"):
            found[name] = path.read_bytes()
    return found


def assert_same(one: Path, other: Path) -> None:
    """Refuse any difference that is not listed above."""
    mine, theirs = results(one), results(other)
    assert mine, f"{one} holds nothing"
    assert mine.keys() == theirs.keys()
    for name, content in mine.items():
        assert content == theirs[name], name
