"""Folders of the benchmarks. No torch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
FOLDER = ROOT / "benchmarks"
"""Where results are written."""


def work() -> Path:
    """A folder for data, pools and scratch files, kept between runs: ``$DDBENCH_BENCHMARKS``, or a temporary one."""
    path = Path(os.environ.get("DDBENCH_BENCHMARKS") or Path(tempfile.gettempdir(), "ddbench-benchmarks")).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def environment(**changed: str) -> dict[str, str]:
    """Of a process that is to import this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", **changed}


def peer(name: str) -> Path | None:
    """The checkout of the authors' repository OWNER+NAME below ``$PEERS``; None: there is none."""
    peers = os.environ.get("PEERS")
    path = Path(peers, name).absolute() if peers and name else None
    return path if path is not None and path.is_dir() else None
