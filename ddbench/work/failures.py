"""What went wrong inside a node: the status and the reason that its row shows."""

from __future__ import annotations

import errno
from pathlib import Path

from pydantic import ValidationError

from ddbench.core.errors import DDBenchError, FailureStatus, NodeFailureError, first_problem
from ddbench.core.store.files import store_error


def failure(error: BaseException, folder: Path) -> tuple[FailureStatus, str]:
    """Status and one-line reason of what went wrong inside a node.

    Raises:
        StoreError: If the disk was full: that is nobody's result, and the node is done again when there is space.
    """
    import torch

    text = " ".join(str(error).split())
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "os error 28" in text:  # safetensors' way to say ENOSPC
        raise store_error(folder, OSError(errno.ENOSPC, "no space left")) from error
    if isinstance(error, NodeFailureError):
        return error.status, text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "oom", text[:200] or "out of memory"
    if isinstance(error, SystemExit):
        return "failed", f"the plugin called sys.exit({error.code!r})"
    if isinstance(error, DDBenchError):
        return "failed", text
    if isinstance(error, ValidationError):
        return "failed", f"{error.title}: {first_problem(error)}"[:300]
    return "failed", f"{type(error).__name__}: {text}"[:300].rstrip(": ")
