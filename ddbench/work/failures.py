"""What went wrong inside a node: the status and the reason that its row shows, or that it is nobody's result."""

from __future__ import annotations

import errno
import os
import tempfile
import traceback
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from ddbench.core.documents import Document
from ddbench.core.errors import (
    DDBenchError,
    FailureStatus,
    InterruptedRunError,
    NodeFailureError,
    StoreError,
    first_problem,
    printable,
    text_of,
)
from ddbench.core.plugin.places import placed
from ddbench.core.store.files import home, store_error
from ddbench.core.store.folder import Store
from ddbench.work.interrupts import Interrupts
from ddbench.work.surroundings import Surroundings

GPU_OOM = "GPU memory"
"""How the reason begins of what a GPU has too little memory for."""
PROBE = 1 << 20
"""Bytes that a disk takes which is not full."""


def is_nobodys(error: BaseException, folder: Path, interrupts: Interrupts) -> bool:
    """Whether the user stopped, or a file that ddbench keeps is damaged or cannot be written.

    A plugin may raise the same exceptions by itself: then the user asked for nothing, ddbench's code did not raise
    them, and the disk takes what is written.

    Args:
        error: What came out of a node.
        folder: The node's.
        interrupts: Whether the user wants to stop.

    Raises:
        StoreError: If the disk is full: the node is done again when there is space.
    """
    if isinstance(error, KeyboardInterrupt):
        return interrupts.meant()
    if isinstance(error, InterruptedRunError):
        return interrupts.requested or is_ours(error)
    if isinstance(error, StoreError):
        return is_ours(error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "os error 28" in text_of(error):  # safetensors' way to say ENOSPC
        for place in (folder, home(), Path(tempfile.gettempdir()), Path()):
            if is_ours(error) or not _takes(place):
                raise store_error(place, OSError(errno.ENOSPC, "no space left")) from error
    return False


def is_its_own(error: DDBenchError, document: Document, store: Store) -> bool:
    """Whether the error that ended a process of plugins comes from what their code did to it.

    So it is where ddbench's code has failed there without a word, and where that could not write, and this process can.
    """
    if type(error) is DDBenchError:
        return True
    if not isinstance(error, StoreError):
        return False
    try:
        Surroundings.of(document).check()
        for place in (store.out, home()):
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(bytes(PROBE))
                file.flush()
    except (OSError, DDBenchError):
        return False
    return True


def is_ours(error: BaseException) -> bool:
    """Whether a module of ddbench raised it, in the last frame of its traceback."""
    frame, found = error.__traceback__, ""
    while frame is not None:
        found, frame = str(frame.tb_frame.f_globals.get("__name__", "")), frame.tb_next
    return found.partition(".")[0] == "ddbench"


def _takes(folder: Path) -> bool:
    """Whether a disk takes another megabyte; True where that cannot be tried."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in (errno.ENOSPC, errno.EDQUOT)
    return True


def failure(error: BaseException) -> tuple[FailureStatus, str]:
    """Status and one-line reason of what went wrong inside a node, with the place in the plugin that it came from.

    A failure that is a result (:class:`NodeFailureError`) speaks of the method and not of its code: it has no place.
    """
    text = text_of(error)
    if isinstance(error, NodeFailureError):
        return error.status if error.status in get_args(FailureStatus) else "failed", text
    status, reason = _kind(error, text)
    return status, placed(reason, error)


def _kind(error: BaseException, text: str) -> tuple[FailureStatus, str]:
    """Status and reason of what was raised; ``text``: what it says."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "oom", f"{GPU_OOM}: {text[:200]}"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "oom", text[:200] or "out of memory"
    if isinstance(error, SystemExit):
        return "failed", f"the plugin called sys.exit({printable(ascii_of(error.code))})"
    if isinstance(error, DDBenchError):
        return "failed", text
    if isinstance(error, ValidationError):
        return "failed", f"{error.title}: {first_problem(error)}"[:300]
    return "failed", f"{type(error).__name__}: {text}"[:300].rstrip(": ")


def ascii_of(value: object) -> str:
    """A value as code would write it; its type where it cannot say."""
    try:
        return ascii(value)
    except BaseException:
        return f"a {type(value).__name__}"


def trace_of(error: BaseException) -> str:
    """The traceback of an exception, whatever that does when it is shown."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:
        return "".join(traceback.format_tb(error.__traceback__))
