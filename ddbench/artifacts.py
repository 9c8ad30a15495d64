"""The content-addressed store of shared inputs: ``$DDBENCH_HOME/artifacts/<kind>/<key16>/``."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddbench.errors import CorruptFileError
from ddbench.files import atomic_write, sha256_file, store_error
from ddbench.keys import short
from ddbench.paths import home
from ddbench.store import StoreWarning

MANIFEST = "artifact.json"


def folder_of(kind: str, key: str) -> Path:
    """Where an artifact lies once it is built."""
    return home() / "artifacts" / kind / short(key)


def partial_folder(kind: str, key: str) -> Path:
    """Where it is being built; survives kills, so that builders resume from their own checkpoints."""
    return folder_of(kind, key).with_suffix(".partial")


def manifest(kind: str, key: str) -> dict[str, Any] | None:
    """What is known of a built artifact: spec, files with their sizes and sha256, cost; None when it is not there.

    A manifest that cannot be read, or whose files are gone or cut short, counts as missing.
    """
    path = folder_of(kind, key) / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        for name, facts in content["files"].items():
            if (path.parent / name).stat().st_size != facts["bytes"]:
                raise ValueError(f"{name} has another size")
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.parent.is_dir():
            discard(kind, key, f"{error.filename} is missing")
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        discard(kind, key, str(error))
        return None
    return content


def verify(kind: str, key: str) -> Path:
    """The folder of a built artifact, after comparing every file with its sha256.

    Raises:
        CorruptFileError: If a file is missing or changed; the artifact is discarded, so that it is built again.
    """
    content = manifest(kind, key)
    folder = folder_of(kind, key)
    if content is None:
        raise CorruptFileError(f"artifact {kind} {short(key)} is missing")
    for name, facts in content["files"].items():
        if sha256_file(folder / name) != facts["sha256"]:
            discard(kind, key, f"{name} was changed")
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
    names = sorted(path.name for path in partial.iterdir() if not path.name.startswith(".") and path.name != MANIFEST)
    listing = {n: {"bytes": (partial / n).stat().st_size, "sha256": sha256_file(partial / n)} for n in names}
    atomic_write(partial / MANIFEST, json.dumps({**facts, "files": listing}, indent=1, sort_keys=True).encode())
    try:
        if final.is_dir():  # another process was faster: the same key holds the same content
            shutil.rmtree(partial)
        else:
            partial.rename(final)
    except OSError as error:
        raise store_error(final, error) from error
    return final


def discard(kind: str, key: str, why: str) -> None:
    """Remove an artifact that cannot be used; it is built again when it is needed."""
    folder = folder_of(kind, key)
    warnings.warn(f"{folder}: {why}; it will be built again", StoreWarning, stacklevel=3)
    shutil.rmtree(folder, ignore_errors=True)


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
    for path in sorted(root.glob(f"*/*/{MANIFEST}")):
        if os.access(path, os.R_OK):
            yield path.parent.parent.name, path.parent.name, json.loads(path.read_bytes())
