"""`ddbench env`: what a bug report needs."""

from __future__ import annotations

import os

import click

from ddbench.core.store.files import home

MEANING = {
    "kept": "kept for the next step (DDBENCH_KEEP_MEMORY=0 gives it back)",
    "returned": "given back to the system (DDBENCH_KEEP_MEMORY=0)",
    "": "left to this system's allocator",
}


@click.command()
def env() -> None:
    """Print versions, devices and folders."""
    import torch
    from tabulate import tabulate

    from ddbench.core.provenance import environment
    from ddbench.models.fused.library import missing, no_bf16
    from ddbench.work.allocator import keep_freed
    from ddbench.work.engine import choose

    chosen, lacks = choose(device="auto", threads=None), missing() or no_bf16()
    rows = {
        **{name: value for name, value in environment("ddbench").items() if name != "plugin"},
        "device": chosen.device if chosen.device == "cpu" else torch.cuda.get_device_name(),
        "threads": chosen.threads if chosen.threads == 1 else f"{chosen.threads} (1 for narrow networks)",
        "engine": chosen.engine + (f" ({missing()})" if missing() else ""),
        "engine bf16": f"not available ({lacks})" if lacks else "available, where it is asked for",
        "freed memory": MEANING[keep_freed()],
        "DDBENCH_HOME": str(home()) + ("" if os.environ.get("DDBENCH_HOME") else " (default)"),
    }
    click.echo(tabulate(rows.items(), tablefmt="plain"))
