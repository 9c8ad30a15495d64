"""`ddbench artifacts list | import | rm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from ddbench.cli.listing import listing
from ddbench.cli.options import PLUGIN, Place
from ddbench.core.errors import UsageError
from ddbench.core.store import artifacts as store
from ddbench.core.words import plural

USUAL_WINDOW = 22
"""Last snapshot that presets for trajectories of 50 epochs and more rely on."""


@click.group()
def artifacts() -> None:
    """List, import and remove shared inputs (experts, features, whitening matrices)."""


@artifacts.command("list")
@PLUGIN
def list_() -> None:
    """What has been built, from what, and what it cost."""
    rows = [
        {
            "kind": kind,
            "key": key,
            "data": spec["data"]["name"],
            "preprocess": spec["data"]["preprocess"],
            "arch": spec["arch"] or "",
            "what": ", ".join([_what(spec["params"]), *([spec["precision"]] if "precision" in spec else [])]),
            **{f"{timer} s": _rounded(store.seconds_of(content, timer)) for timer in ("cpu", "wall")},
            "MB": round(sum(file["bytes"] for file in content["files"].values()) / 1e6, 1),
        }
        for kind, key, content in store.stored()
        for spec in (content["spec"],)
    ]
    click.echo(listing(rows) if rows else "no artifacts yet")


def _rounded(seconds: float | None) -> float | str:
    return "" if seconds is None else round(seconds, 1)


def _what(params: dict[str, Any]) -> str:
    """What tells artifacts of a kind apart, in a few words."""
    if params.get("source") and "experts" not in params:
        return f"imported {params['source']}"
    if params.get("source"):
        return f"imported {params['source']}: {params['experts']} × {plural(params['epochs'], 'epoch')}"
    shown = [name for name in ("experts", "epochs", "lr", "batch", "optimiser", "variant") if name in params]
    return ", ".join(f"{name} {params[name]}" for name in shown or params)  # all, for kinds of plugins


@artifacts.command("import")
@click.argument("files", type=Place(path_type=Path), nargs=-1, required=True)
@click.option("--dataset", required=True, help="What the experts were trained on; a prepared data set.")
@click.option("--arch", help="Their network. [the data set's default]")
@click.option("--preprocess", required=True, help="The space they were trained in: meanstd, meanstd-mtt, zca-kornia.")
@click.option("--split", type=click.Choice(["default", "paper"]), default="default", show_default=True,
              help="The split of the runs that will use them.")  # fmt: skip
@PLUGIN
def import_(
    files: tuple[Path, ...], dataset: str, arch: str | None, preprocess: str, split: Literal["default", "paper"]
) -> None:
    """Import expert trajectories: replay_buffer_*.pt files of MTT, TESLA, FTD or DATM.

    The files say neither their data nor their architecture or whitening: the options do. Shapes are checked; how the
    experts were trained stays unknown, and tables that use them say so.
    """
    from ddbench.work.import_experts import import_experts

    found = import_experts(files, dataset=dataset, arch=arch, preprocess=preprocess, split=split)
    size = f"{plural(found.experts, 'expert')} of {plural(found.last + 1, 'snapshot')}"
    click.echo(f"{size}; mtt, tesla, ftd and datm use them with, e.g.")
    options = {"expert_source": found.source, "experts": found.experts, "expert_epochs": found.last}
    if found.last < USUAL_WINDOW:
        options["max_start"] = max(1, found.last - 2)
    settings = " ".join(f"--set mtt.{name}={value}" for name, value in options.items())
    where = f"--datasets {dataset} --archs {found.arch} --preprocess {preprocess} --split {split}"
    protocol = " --protocols hard-fixed" if split == "paper" else ""
    click.echo(f"  ddbench run --methods mtt --ipc 10 {where}{protocol} {settings}")
    if found.top1 is not None:
        click.echo(f"expert 0 on train: {found.top1[0]:.1f} % at its start, {found.top1[1]:.1f} % at its end", err=True)
        if found.top1[1] <= found.top1[0]:
            click.echo("ddbench: it learned nothing that shows here: is this their data, and their space?", err=True)
    if split == "default":
        click.echo(
            "ddbench: the authors' experts saw all training images, also those that are val here: nothing that these "
            "runs choose on val is clean; --split paper has no val",
            err=True,
        )


@artifacts.command()
@click.argument("kind")
@click.argument("key")
@PLUGIN
def rm(kind: str, key: str) -> None:
    """Remove one; it is built again when a run needs it."""
    if not store.remove(kind, key):
        raise UsageError(f"no artifact {kind} {key} (see `ddbench artifacts list`)")
    click.echo(f"removed {kind} {key}")
