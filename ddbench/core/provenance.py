"""Where a record comes from: versions, machine and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ddbench.core.plugin.registry import owner_of


@cache
def environment(plugin: str, **others: str) -> dict[str, Any]:
    """Versions and machine, for records.

    Args:
        plugin: Distribution of the method, or the hash of a one-file plugin.
        others: The same for what else took part, by its part: ``protocol``, ``arch``, ``data``.
    """
    import torch

    return {
        "ddbench": version("ddbench"),
        "plugin": _with_version(plugin),
        **{part: _with_version(origin) for part, origin in others.items()},
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "git": _git(),
    }


def _with_version(origin: str) -> str:
    name = owner_of(origin)
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return origin


def _git() -> str | None:
    """Commit of ddbench's own checkout, ``+`` when it has changes; None for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
