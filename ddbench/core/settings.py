"""The environment variables of ddbench, refused before anything is done where they say what cannot be meant."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from ddbench.core.errors import UsageError

CHECKPOINT_S = "DDBENCH_CHECKPOINT_S"
KEEP_MEMORY = "DDBENCH_KEEP_MEMORY"


def _is_folder(value: str) -> str | None:
    if not value.strip():
        return "is empty: name a folder, or unset it"
    try:
        path = Path(value).expanduser()
        path.stat()
    except FileNotFoundError:
        return None  # it is made
    except RuntimeError:
        return "names the home of a user who has none"
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    return None if path.is_dir() else "is no folder"


def _is_seconds(value: str) -> str | None:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    return None if 0 <= seconds < math.inf else "is no number of seconds from 0"


def _is_switch(value: str) -> str | None:
    return None if value in ("", "0", "1") else "is neither 0 nor 1"


VARIABLES: dict[str, Callable[[str], str | None]] = {
    "DDBENCH_HOME": _is_folder,
    CHECKPOINT_S: _is_seconds,
    "DDBENCH_PLUGINS_STRICT": _is_switch,
    "DDBENCH_DOWNLOAD": _is_switch,
    KEEP_MEMORY: _is_switch,
}


def check_environment() -> None:
    """Refuse values that cannot be meant.

    Raises:
        UsageError: If there is one.
    """
    for name, problem_of in VARIABLES.items():
        value = os.environ.get(name)
        if value is not None and (problem := problem_of(value)) is not None:
            raise UsageError(f"${name} {problem} ({value[:80]!r})")


def keeps_memory() -> bool:
    """Whether memory may be held to save time: what is freed, and what could be computed again."""
    return os.environ.get(KEEP_MEMORY, "") != "0"


def checkpoint_s() -> float:
    """Seconds between checkpoints."""
    value = os.environ.get(CHECKPOINT_S, "60")
    return float(value) if _is_seconds(value) is None else 60.0
