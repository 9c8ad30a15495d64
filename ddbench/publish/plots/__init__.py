"""Views as pictures, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ddbench.core.errors import UsageError

ENDINGS = (".png", ".svg", ".pdf")
"""How the name of a picture may end."""


def drawing() -> ModuleType:
    """The module that draws.

    Raises:
        UsageError: If matplotlib is not installed.
    """
    try:
        from ddbench.publish.plots import accuracy
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise UsageError("plots need matplotlib, which is not installed: pip install 'ddbench[report]'") from None
    return accuracy


def check_ending(target: Path, where: str) -> None:
    """Refuse a name that no picture can have.

    Args:
        target: The file.
        where: What the user wrote, for the message.

    Raises:
        UsageError: If it ends otherwise than in one of :data:`ENDINGS`.
    """
    if target.suffix not in ENDINGS:
        raise UsageError(f"{where}: a plot's name ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
