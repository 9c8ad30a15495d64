"""How wide the terminal is that tables are read in, and whether it shows bold type."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddbench.publish.text.terminal import Screen

ENDLESS = 100_000
"""Characters of a line that nothing is broken for."""


def screen(*, wide: bool = False) -> Screen:
    """What stdout is: a file or pipe, whose text depends on nobody's terminal, or a terminal.

    Args:
        wide: Whether tables stay whole in a terminal that is narrower.
    """
    from ddbench.publish.text.terminal import Screen

    looks = sys.stdout.isatty()
    bold = looks and os.name != "nt" and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return Screen(ENDLESS if wide else shutil.get_terminal_size().columns if looks else None, bold)
