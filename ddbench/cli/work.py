"""`ddbench work`: what `ddbench run --jobs N` starts N times; not meant for people."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import click

from ddbench.cli.options import PLUGIN, Place
from ddbench.core.plugin.limited import PluginWarning
from ddbench.core.plugin.loader import active
from ddbench.library.folders import opened


@click.command(hidden=True)
@click.option("--out", type=Place(path_type=Path), required=True, help="Results folder.")
@PLUGIN
@click.option("--keep-logits", is_flag=True, help="Store test logits beside the predictions.")
@click.option("--device", default="cpu", help="Where most nodes will run: what is free there is told.")
def work(out: Path, keep_logits: bool, device: str) -> int:
    """Run the nodes whose documents come in on stdin, one JSON line each, and answer on stdout."""
    from ddbench.work.executors.serve import serve

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the run that started this has said so
        registries = active()
    code = serve(opened(out, aside=True), registries, keep_logits=keep_logits, device=device)
    sys.stderr.flush()
    os._exit(code)  # whatever a plugin left running
