"""Where ddbench keeps what it shares between runs."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``$DDBENCH_HOME``, default ``~/.cache/ddbench``: decoded data, artifacts, ``full`` trainings."""
    return Path(os.environ.get("DDBENCH_HOME") or Path.home() / ".cache" / "ddbench").expanduser()
