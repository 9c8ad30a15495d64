"""Arrays of MATLAB's ``.mat`` files, read by a process of its own: SciPy's parser trusts what such a file claims.

Run as a script it is that process, and imports nothing of ddbench.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECONDS = 600
"""Longest time to read a file; SVHN's larger one takes five."""
MEMORY = 8 << 30
"""Bytes of address space; SVHN's larger file takes one GiB."""


def load_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """The numeric arrays of these names.

    Raises:
        DataError: If the file cannot be read, lacks one, or needs more memory or time than any known one.
    """
    import numpy as np

    from ddbench.core.errors import DataError

    what = f"a readable .mat file with {' and '.join(names)}"
    with tempfile.TemporaryDirectory(prefix="ddbench-mat-") as folder:
        command = [sys.executable, "-P", __file__, str(path), folder, *names]
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise DataError(f"{path}: not {what} (reading took more than {SECONDS} s)") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            ended = f"the process that read it ended with {done.returncode}; is there enough memory?"
            why = said[-1][:200] if said else ended
            raise DataError(f"{path}: not {what} ({why})")
        return {name: np.load(Path(folder, f"{name}.npy"), allow_pickle=False) for name in names}


def _main(path: str, folder: str, *names: str) -> None:
    """Write the arrays of a file as ``<name>.npy``."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; a lower limit stands already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import numpy as np
    from scipy.io import loadmat

    content = loadmat(path, variable_names=list(names))
    for name in names:
        array = content.get(name)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
            sys.exit(f"holds no array {name}")
        np.save(Path(folder, f"{name}.npy"), array, allow_pickle=False)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except Exception as error:  # scipy raises a dozen kinds for a damaged file
        sys.exit(f"{type(error).__name__}: {error}")
