"""Whether two runs left the same: all files of numbers to the byte, all records but for what :data:`MAY_DIFFER` lists.

`python tests/cluster/compare.py OUT HOME OUT HOME` prints the differences, and ends with 1 where there are some.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAY_DIFFER = {
    "started", "finished",  # when
    "seal",  # of all that stands in the record
    "cost.prepare_s", "cost.condense_s", "cost.evaluate_s", "cost.artifact_s", "cost.artifact_rest_s",  # how long
    "cost.cpu", "cost.device", "cost.contended", "cost.beside",  # beside what
    "cost.peak_mb", "cost.peak_from", "cost.warm", "cost.kept", "cost.device_mb",  # in how much memory
    "env.machine", "env.cores", "env.python", "env.torch", "env.git",  # where
}  # fmt: skip
"""Of a record, by place."""
IF_RESUMED = ("cost.attempts", "env.engine", "env.compiled")
"""The same where one of two records was interrupted: it then names the engine also where no part depends on it."""
SECONDS_INSIDE = ("final.safetensors",)
"""Files of tensors that hold, too, how long it took."""


def differences(one: tuple[Path, Path], other: tuple[Path, Path]) -> list[str]:
    """What differs between two runs.

    Args:
        one: Results folder and home of a run.
        other: The same of the other one.
    """
    found = []
    for what, mine, yours in zip(("out", "home"), map(_contents, one), map(_contents, other), strict=True):
        found += [f"{what}/{name}: in one run only" for name in sorted(mine.keys() ^ yours.keys())]
        for name in sorted(mine.keys() & yours.keys()):
            if _resumed(mine[name]) or _resumed(yours[name]):
                for record in (mine[name], yours[name]):
                    _pop(record, *IF_RESUMED)
            if mine[name] != yours[name]:
                found.append(f"{what}/{name}: {_where(mine[name], yours[name])}")
    return found


def _contents(folder: Path) -> dict[str, Any]:
    """What a run left in a folder that decides or tells a result, by path."""
    return {str(path.relative_to(folder)): content for path, content in _read(folder)}


def _read(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.rglob("*")):
        places = path.relative_to(folder).parts
        if not path.is_file() or places[0] in ("data", "compiled", "rates") or ".claims" in places:
            continue
        if path.name == "artifact.json":
            manifest = json.loads(path.read_text())
            yield path, {name: manifest[name] for name in ("spec", "kind_version")} | {"files": [*manifest["files"]]}
        elif path.name == "condense.json" or (path.suffix == ".json" and path.parent.name == "eval"):
            yield path, _pop(json.loads(path.read_text()), *MAY_DIFFER)
        elif path.suffix == ".safetensors" and path.name not in SECONDS_INSIDE:
            yield path, path.read_bytes()


def _pop(record: dict[str, Any], *places: str) -> dict[str, Any]:
    """A record without some places."""
    for place in places:
        *outer, last = place.split(".")
        inner = record
        for name in outer:
            inner = inner.get(name, {})
        inner.pop(last, None)
    return record


def _resumed(content: Any) -> bool:
    return isinstance(content, dict) and content.get("cost", {}).get("attempts", 1) > 1


def _where(mine: Any, yours: Any, at: str = "") -> str:
    if isinstance(mine, dict) and isinstance(yours, dict):
        for name in sorted(mine.keys() | yours.keys()):
            if mine.get(name) != yours.get(name):
                return _where(mine.get(name), yours.get(name), f"{at}.{name}" if at else name)
    shown = "other bytes" if isinstance(mine, bytes) else f"{mine!r:.60} and {yours!r:.60}"
    return f"{at} {shown}".strip()


if __name__ == "__main__":
    first, second, third, fourth = map(Path, sys.argv[1:])
    told = differences((first, second), (third, fourth))
    print("\n".join(told) or "equal")
    sys.exit(bool(told))
