"""Durations as people write them."""

from __future__ import annotations

import re

from ddbench.core.errors import UsageError, shown_value

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(value: float | str, name: str = "") -> float:
    """Seconds of a duration such as ``90``, ``"30s"``, ``"45m"``, ``"2h"``.

    Args:
        value: Seconds, or a text.
        name: What has this value, for the message.

    Raises:
        UsageError: If it is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value).strip())
    if match is None:
        raise UsageError(f"{name}{'=' * bool(name)}{shown_value(value)} is not a duration such as 90, 30s, 45m or 2h")
    return float(match[1]) * UNITS[match[2]]
