"""`ddbench env`: what a bug report needs."""

from __future__ import annotations

import os

import click

from ddbench.core.store.files import home


@click.command()
def env() -> None:
    """Print versions, devices and folders."""
    import torch
    from tabulate import tabulate

    from ddbench.core.provenance import environment
    from ddbench.work.engine import choose

    chosen = choose(device="auto", threads=None)
    rows = {
        **{name: value for name, value in environment("ddbench").items() if name != "plugin"},
        "device": chosen.device if chosen.device == "cpu" else torch.cuda.get_device_name(),
        "threads": chosen.threads,
        "DDBENCH_HOME": str(home()) + ("" if os.environ.get("DDBENCH_HOME") else " (default)"),
    }
    click.echo(tabulate(rows.items(), tablefmt="plain"))
