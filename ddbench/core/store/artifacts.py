"""The content-addressed store of shared inputs: ``$DDBENCH_HOME/artifacts/<kind>/<key16>/``."""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddbench.core.errors import CorruptFileError, NewerRecordError, is_later, shown_value
from ddbench.core.keys import short
from ddbench.core.records import Timer
from ddbench.core.store.files import (
    NewerRecordWarning,
    StoreWarning,
    atomic_write,
    below,
    home,
    set_aside,
    sha256_file,
    store_error,
)

MANIFEST = "artifact.json"


def folder_of(kind: str, key: str) -> Path:
    """Where an artifact lies once it is built."""
    return home() / "artifacts" / kind / short(key)


def partial_folder(kind: str, key: str) -> Path:
    """Where it is being built; survives kills, so that builders resume from their own checkpoints."""
    return folder_of(kind, key).with_suffix(".partial")


def manifest(kind: str, key: str) -> dict[str, Any] | None:
    """What is known of a built artifact: spec, files with their sizes and sha256, cost; None when it is not there.

    A manifest that cannot be read, or whose files are gone or cut short, counts as missing; looking changes nothing.

    Raises:
        NewerRecordError: If a newer ddbench wrote it.
    """
    path = folder_of(kind, key) / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        _refuse_newer(path, content)
        for name, facts in content["files"].items():
            if (path.parent / name).stat().st_size != facts["bytes"]:
                raise ValueError(f"{name} has another size")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if path.parent.is_dir():
            warnings.warn(f"{path.parent}: {error}; it will be built again", StoreWarning, stacklevel=2)
        return None
    return content


def _refuse_newer(path: Path, content: Any) -> None:
    """Manifests of this ddbench say no schema.

    Raises:
        NewerRecordError: If one does, and it is later than 1.
        ValueError: If it is none.
    """
    schema = content.get("schema", 1) if isinstance(content, dict) else 1
    if is_later(schema, 1):
        raise NewerRecordError(str(path), f"schema {json.dumps(schema)[:40]}")
    if schema is True or schema != 1:
        raise ValueError(f"schema {shown_value(schema)}")


def cost_facts(
    seconds: Mapping[Timer, float], *, peak_mb: float = 0.0, device_mb: float | None = None, beside: int | None = None,
    contended: bool = False, attempts: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """What a manifest says of an artifact's cost: ``seconds`` are wall seconds, the others beside them where measured.

    Args:
        seconds: By timer.
        peak_mb: As in :class:`ddbench.core.records.Cost`, like all that follows.
        device_mb: None is left out, like ``beside``.
        beside: Other nodes.
        contended: Whether other processes used the cores.
        attempts: Starts.
    """
    known = {"cpu_seconds": seconds.get("cpu"), "device_seconds": seconds.get("device"), "device_mb": device_mb}
    facts = {"seconds": seconds.get("wall", 0.0), "peak_mb": peak_mb, "contended": contended, "attempts": attempts}
    return facts | {name: value for name, value in (known | {"beside": beside}).items() if value is not None}


def seconds_of(content: Mapping[str, Any], timer: Timer) -> float | None:
    """What building an artifact took [s]; None where that timer was not read.

    Args:
        content: Its manifest. What took nothing here (an import) took nothing by any timer.
        timer: Which seconds.
    """
    cost = content["cost"]
    found = cost.get("seconds" if timer == "wall" else f"{timer}_seconds", None if cost["seconds"] else 0.0)
    return None if found is None else float(found)


def verify(kind: str, key: str) -> Path:
    """The folder of a built artifact, after comparing every file with its sha256.

    Raises:
        CorruptFileError: If a file is missing or changed; the artifact is set aside, so that it is built again.
    """
    content = manifest(kind, key)
    folder = folder_of(kind, key)
    if content is None:
        raise CorruptFileError(f"artifact {kind} {short(key)} is missing")
    for name, facts in content["files"].items():
        if sha256_file(folder / name) != facts["sha256"]:
            warnings.warn(f"{folder / name}: was changed; it will be built again", StoreWarning, stacklevel=2)
            set_aside(folder)
            raise CorruptFileError(f"artifact {kind} {short(key)}: {name} was changed; run the same command again")
    return folder


def publish(kind: str, key: str, facts: dict[str, Any]) -> Path:
    """Turn a finished partial folder into the artifact: manifest last, then one rename.

    Args:
        kind: Artifact kind.
        key: Its key.
        facts: What the manifest says besides the files (spec, cost, environment).

    Raises:
        StoreError: If the folder cannot be written.
    """
    partial, final = partial_folder(kind, key), folder_of(kind, key)
    files = {str(path.relative_to(partial)): path for path in sorted(partial.rglob("*")) if path.is_file()}
    listing = {
        name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for name, path in files.items()
        if not path.name.startswith(".") and name != MANIFEST
    }
    atomic_write(partial / MANIFEST, json.dumps({**facts, "files": listing}, indent=1, sort_keys=True).encode())
    try:
        if final.is_dir() and manifest(kind, key) is None:
            set_aside(final)
        partial.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise store_error(final, error) from error
        shutil.rmtree(partial, ignore_errors=True)  # another process was faster: the same key holds the same content
    return final


def remove(kind: str, key16: str) -> bool:
    """Delete an artifact by its short key; False when there is none."""
    folder = home() / "artifacts" / kind / key16
    if not (folder / MANIFEST).is_file():
        return False
    shutil.rmtree(folder)
    return True


def stored() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All built artifacts: kind, short key, manifest."""
    root = home() / "artifacts"
    for path in [path for path in below(root, MANIFEST) if len(path.relative_to(root).parts) == 3]:
        try:
            content = json.loads(path.read_bytes())
            _refuse_newer(path, content)
            complete = {"spec", "cost", "files"} <= content.keys() and content["spec"]["data"]["name"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            complete = False
        except NewerRecordError as error:
            warnings.warn(NewerRecordWarning(error), stacklevel=2)
            continue
        if complete:
            yield path.parent.parent.name, path.parent.name, content
        else:
            warnings.warn(f"{path}: unreadable; it will be built again", StoreWarning, stacklevel=2)
