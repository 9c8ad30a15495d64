"""`--jobs N`: N − 1 more processes that run the same command into the same folder; claims share out the nodes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from ddbench.core.cores import cores


def threads_per_job(jobs: int, threads: int | None) -> int | None:
    """CPU threads of each job: as asked, else the cores divided among the jobs; None: all cores, for one job."""
    if threads is not None or jobs == 1:
        return threads
    return max(1, cores() // jobs)


@contextlib.contextmanager
def helpers(jobs: int, arguments: Sequence[str], threads: int | None) -> Iterator[None]:
    """Run the same command in ``jobs − 1`` processes beside this block.

    They end by themselves when no node is left. Where the block is left by an exception they are asked to checkpoint
    and stop; they have a session of their own, so that a Ctrl-C in the terminal does not reach them as a second signal.

    Args:
        jobs: How many processes in all, this one included.
        arguments: The command line of this one.
        threads: CPU threads of each.
    """
    command = [sys.executable, "-m", "ddbench", *arguments, "--jobs", "1"]
    if threads is not None:
        command += ["--threads", str(threads)]
    quiet = subprocess.DEVNULL
    running = [
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        for _ in range(jobs - 1)
    ]
    try:
        yield
    except BaseException:
        for process in running:
            process.terminate()
        raise
    finally:
        for process in running:
            process.wait()
