"""`ddbench artifacts list | rm`."""

from __future__ import annotations

import click

from ddbench import artifacts as store
from ddbench.errors import UsageError


@click.group()
def artifacts() -> None:
    """List and remove shared inputs (features, whitening matrices)."""


@artifacts.command("list")
def list_() -> None:
    """What has been built, from what, and what it cost."""
    from tabulate import tabulate

    rows = [
        {
            "kind": kind,
            "key": key,
            "data": content["spec"]["data"]["name"],
            "arch": content["spec"]["arch"] or "",
            "seconds": round(content["cost"]["seconds"], 1),
            "MB": round(sum(file["bytes"] for file in content["files"].values()) / 1e6, 1),
        }
        for kind, key, content in store.stored()
    ]
    click.echo(tabulate(rows, headers="keys", tablefmt="simple") if rows else "no artifacts yet")


@artifacts.command()
@click.argument("kind")
@click.argument("key")
def rm(kind: str, key: str) -> None:
    """Remove one; it is built again when a run needs it."""
    if not store.remove(kind, key):
        raise UsageError(f"no artifact {kind} {key} (see `ddbench artifacts list`)")
    click.echo(f"removed {kind} {key}")
