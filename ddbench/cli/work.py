"""`ddbench work`: what `ddbench run --jobs N` starts N times; not meant for people."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from ddbench.plugins import PluginWarning, installed, load
from ddbench.store import Store


@click.command(hidden=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Results folder.")
@click.option("--plugin", "plugins", type=click.Path(path_type=Path), multiple=True, help="A one-file plugin.")
@click.option("--keep-logits", is_flag=True, help="Store test logits beside the predictions.")
def work(out: Path, plugins: tuple[Path, ...], keep_logits: bool) -> int:
    """Run the nodes whose documents come in on stdin, one JSON line each, and answer on stdout."""
    from ddbench.work.executors.serve import serve

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the run that started this has said so
        registries = load(plugins) if plugins else installed()
    return serve(Store(out), registries, keep_logits=keep_logits)
