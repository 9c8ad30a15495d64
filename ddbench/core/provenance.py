"""Where a record comes from: versions, machine and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@cache
def environment(plugin: str) -> dict[str, Any]:
    """Versions and machine, for records.

    Args:
        plugin: Distribution of the method, or the hash of a one-file plugin.
    """
    import torch

    try:
        plugin_version = f"{plugin} {version(plugin)}"
    except PackageNotFoundError:
        plugin_version = plugin
    return {
        "ddbench": version("ddbench"),
        "plugin": plugin_version,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "git": _git(),
    }


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
