"""`ddbench results quantise`: accuracy after uint8 quantisation, for what has been evaluated."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from ddbench.cli.results.amend import SELECT, amend_records, select_protocols
from ddbench.cli.run import options
from ddbench.library.folders import opened


@click.command()
@options(SELECT)
def quantise(out: Path, protocols: tuple[list[str], ...]) -> int:
    """Write accuracy after uint8 quantisation into the evaluations of a results folder.

    Each student of synthetic images is trained a second time, with the same seed and learning rate, on the images as
    image files would keep them: 256 levels, nothing outside black and white. Records get `top1_uint8` and
    `uint8_clipped` (pixel values that had to be clipped, in percent); keys and all else stay. Records that already have
    these metrics are skipped, so that the same command continues after an interruption. Real images are uint8 already.
    Exit code 1 when a student failed.
    """
    from ddbench.results.audit.quantised import TOP1_UINT8, jobs_of, note_quantised

    registries, names = select_protocols(protocols)
    store = opened(out)
    jobs = jobs_of(((path, record) for path, record in store.records() if out in path.parents), names)
    total = sum(job.trains for job in jobs)
    return amend_records(out, jobs, partial(note_quantised, store), TOP1_UINT8, total, registries)
