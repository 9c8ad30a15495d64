"""`ddbench results quartiles`: accuracy by difficulty of the test images, for what has been evaluated."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click

from ddbench.cli.options import PLUGIN, Device
from ddbench.cli.records import none_in
from ddbench.cli.results.verify_rm import OUT
from ddbench.core.plugin.loader import active
from ddbench.core.records import Record
from ddbench.core.specs import ArtifactSpec
from ddbench.library.folders import opened
from ddbench.results.tables.observations import Owners
from ddbench.work.executors.devices import named

if TYPE_CHECKING:
    from ddbench.results.audit.quartiles import Noted


@click.command()
@OUT
@click.option("--device", type=Device(), default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. [all cores]")
@PLUGIN
def quartiles(out: Path, device: str, threads: int | None) -> int:
    """Write accuracy by difficulty quartile into the evaluations of a results folder, and show it.

    Computed from the stored predictions: no student is trained again, and no key changes. How hard a test image is
    comes from one small network that learns all real images, once for each data set and view (a minute or so; kept in
    $DDBENCH_HOME, see `ddbench artifacts list`). Exit code 1 when some could not be
    noted: damaged predictions, a record that was removed meanwhile, fewer than four test images.
    """
    from ddbench.results.audit.quartiles import note_quartiles, wanted

    named(device)
    families = active().architectures
    records = wanted(opened(out).records())
    own = {_data(record) for path, record in records if out in path.parents}
    if not own:
        raise none_in(out)

    def build(spec: ArtifactSpec) -> None:
        from tqdm import tqdm

        from ddbench.results.audit.difficulty import build as train
        from ddbench.work.engine import choose

        engine = choose(device=device, threads=threads)
        with tqdm(total=spec.params["updates"], desc=f"difficulty of {spec.data.name}", disable=None) as bar:
            train(spec, engine, families, lambda done: bar.update(done - bar.n))

    noted, problems = note_quartiles([(p, r) for p, r in records if _data(r) in own], families, build)
    if noted:
        _print(noted)
    click.echo(f"ddbench: {sum(one.changed for one in noted)} of {len(noted)} records written", err=True)
    for problem in problems:
        click.echo(f"ddbench: {problem}", err=True)
    return 1 if problems else 0


def _data(record: Record) -> tuple[str, str, str]:
    data = record.document.cell.data
    return data.name, data.revision, str(data.view)


def _print(noted: list[Noted]) -> None:
    """Means over repetitions and students."""
    from tabulate import tabulate

    owners = Owners.of(one.record for one in noted)
    rows: dict[tuple[str, ...], list[list[float]]] = {}
    for one in noted:
        document, metrics = one.record.evaluation, one.record.metrics
        origins = document.eval.origins
        budget = "" if document.whole else document.cell.budget.label
        data = document.facts.dataset or document.cell.data.name
        place = (data, document.label, budget, owners.tell(document.protocol, origins.get("protocol")),
                 owners.tell(document.eval.arch, origins.get("arch")))  # fmt: skip
        rows.setdefault(place, []).append([metrics["top1"], *metrics["quartiles"]])
    names = ("data", "method", "budget", "protocol", "student", "top-1 %", "easiest", "2nd", "3rd", "hardest", "n")
    table = [
        (*place, *(f"{fmean(column):.1f}" for column in zip(*found, strict=True)), len(found))
        for place, found in sorted(rows.items())
    ]
    click.echo(tabulate(table, headers=names, tablefmt="simple", disable_numparse=True))
    click.echo("accuracy in each quarter of the test images, by how hard a small network finds them; n students")
