"""The rates that ddbench ships for forecasts, ``ddbench/plan/rates.jsonl``: `python -m benchmarks.rates --write FILE`.

A rate says how many seconds a node of a kind takes before its first step, and for each. It has one of two sources, and
the file tells which:

- measured here: each node of the plan runs for at most ``--seconds``, as ``ddbench run --timeout`` does, so that
  presets stay as they are. What this machine measured before counts as well (``$DDBENCH_HOME/rates``).
- records (``--records``): CPU seconds of records that were made on other machines, for what takes too long here. Those
  of a file are multiplied by the median ratio of both machines over the kinds that are known of both, measured here or
  from an earlier file; without such a kind the file is left out, and that is said.

Renew the file whenever speed or presets change. What FILE has and was not measured again is kept, scaled by the probes
of then and now.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.kit.machine import describe
from benchmarks.kit.places import work
from ddbench.core.documents import ArtifactDocument, CellDocument, EvaluationDocument
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.loader import active
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.profiles import profile
from ddbench.core.records import Record
from ddbench.core.store.folder import Store
from ddbench.core.store.jsonl import read_records
from ddbench.library.progress import Progress
from ddbench.library.runs import How, perform
from ddbench.library.suites import suite_of
from ddbench.plan import grid, planner
from ddbench.plan.graph import Plan
from ddbench.plan.kinds import Kind, kinds, size_of, where_of
from ddbench.plan.rates import Kept, Rates
from ddbench.plan.speeds import Pace, middle, own_kinds, pace_of
from ddbench.plan.status import assess

DATA: Mapping[str, Any] = {
    "digits": "digits",
    "fm14": {"name": "fashionmnist", "view": {"pool": 2, "train_size": 5000}},
    "fm10k": {"name": "fashionmnist", "view": {"train_size": 10000}},
    "fashionmnist": "fashionmnist",
    "mnist14": {"name": "mnist", "view": {"pool": 2, "train_size": 5000}},
}
"""Data sets with the views that the suites of ``configs/`` have, by short names."""
WHERE = "cpu 1 fused"
WORTH_S = 0.02
"""A cell's steps below are mostly the price of a file or a call: they compare no machines."""


@dataclass(frozen=True)
class Wanted:
    """What rates are about: a plan for each data set.

    Attributes:
        plans: The plans.
        kinds: Kinds of their cells and artifacts.
        data: Their data, as kinds say it.
        artifacts: Key → document of their artifacts.
    """

    plans: Sequence[Plan]
    kinds: set[Kind] = field(default_factory=set)
    data: set[str] = field(default_factory=set)
    artifacts: dict[str, ArtifactDocument] = field(default_factory=dict)

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> Wanted:
        """What these plans are about."""
        found = cls(plans)
        for node in (node for plan in plans for node in plan.nodes.values()):
            document = node.document
            if isinstance(document, EvaluationDocument):
                found.data.add(kinds(document)[0][2])
            else:
                found.kinds.update(kinds(document, WHERE))
            if isinstance(document, ArtifactDocument):
                found.artifacts[node.key] = document
        return found

    def holds(self, kind: Kind) -> bool:
        """Whether a rate of this kind is wanted: of students all networks and protocols are."""
        return kind in self.kinds or (kind[0] == "evaluation" and kind[2] in self.data)


def main() -> None:
    """Measure, add what records say, and print or write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", help="names, with commas [all of ddbench's own]")
    parser.add_argument("--measure", help="names of those that run here; none: ''  [the same]")
    parser.add_argument("--datasets", default="digits,fm14", help=f"of {', '.join(DATA)} [digits,fm14]")
    parser.add_argument("--suites", help="suites of configs/ as they are, in place of --methods and --datasets")
    parser.add_argument("--ipc", help="[1,10,50, or as suites say]")
    parser.add_argument("--fraction", help="shares of the training images, in place of --ipc")
    parser.add_argument("--protocols", help="[hard, or as suites say]")
    parser.add_argument("--networks", help="of students  [that of the sets]")
    parser.add_argument("--profile", help="[short, or as suites say]")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.PARAM=VALUE", dest="settings")
    parser.add_argument("--seconds", type=float, default=3.0, help="longest time of a node that runs here")
    parser.add_argument("--records", nargs="*", type=Path, default=[], help="files of records made elsewhere")
    parser.add_argument("--out", type=Path, default=work() / "rates", help="results folder of what runs here")
    parser.add_argument("--write", type=Path, help="file to write; else the rates go to stdout")
    given = parser.parse_args()
    if given.suites:
        plans = [_plan(given, {"suite": name}) for name in given.suites.split(",")]
    else:
        plans = [_plan(given, _compared(given, DATA[name])) for name in given.datasets.split(",")]
    wanted = Wanted.of(plans)
    names = given.methods if given.measure is None else given.measure
    for plan in wanted.plans:
        _measure(plan, Store(given.out), set(names.split(",")) if names is not None else None, given.seconds)
    found = _measured(wanted)
    for path in given.records:
        _add(found, wanted, path)
    if given.write is None:
        sys.stdout.write(found.text)
        return
    _merge(found, Rates.read(given.write))
    given.write.write_text(found.text)
    print(f"{given.write}: {len(found.seen)} kinds", file=sys.stderr)


def _compared(given: argparse.Namespace, data: Any) -> dict[str, Any]:
    """Methods on a data set, as ``ddbench run`` compares them where nothing else is said."""
    methods = active().methods
    ours = [info.name for info in methods if methods.origin(info.name).distribution == FIRST_PARTY]
    own = [name for name in ours if name != IMPORTED]
    return {
        "methods": given.methods.split(",") if given.methods else own, "datasets": [data], "ipc": [1, 10, 50],
        "protocols": ["hard"], "profile": "short",
    }  # fmt: skip


def _plan(given: argparse.Namespace, words: Mapping[str, Any]) -> Plan:
    """One repetition of what words name, with what the command line says of it."""
    settings = [
        (*name.split("."), yaml.safe_load(value)) for name, _, value in (s.partition("=") for s in given.settings)
    ]
    said: dict[str, Any] = {"seeds": 1, "eval_seeds": 1, "random_seeds": 1, "settings": settings}
    lists = {"ipc": (given.ipc, int), "fraction": (given.fraction, float), "protocols": (given.protocols, str),
             "eval_archs": (given.networks, str)}  # fmt: skip
    said |= {name: [*map(read, text.split(","))] for name, (text, read) in lists.items() if text}
    if given.profile:
        said["profile"] = given.profile
    if given.fraction:
        words = {name: value for name, value in words.items() if name != "ipc"}
    suite = suite_of({**words, **said}, active())
    return planner.make(grid.build(suite, active(), profile(suite.profile)))


def _measure(plan: Plan, store: Store, methods: set[str] | None, seconds: float) -> None:
    """Run the artifacts, the sets and the students of random and full, each node for so long at most.

    Args:
        plan: The plan.
        store: Where results go; what is there was measured before.
        methods: Names; None: all.
        seconds: Of one node; artifacts are built to their end.
    """
    assess(plan, store)
    for node in plan.nodes.values():
        document = node.document
        runs = isinstance(document, ArtifactDocument) or (
            (methods is None or document.cell.method in methods)
            and (isinstance(document, CellDocument) or document.cell.method in ("random", "full"))
        )
        if node.pending and not runs:
            node.state = "unneeded"
    inputs = {key for node in plan.pending() if node.kind != "artifact" for key in node.needs}
    later = [node for node in plan.pending() if node.kind != "artifact"]
    for node in plan.pending():
        node.state = "run" if node.key in inputs and node.kind == "artifact" else "unneeded"
    how = {"jobs": 1, "threads": 1, "device": "cpu", "reference_limit_s": 1e9}
    perform(plan, store, How(**how), lambda: Progress("auto"), print)
    for node in later:
        node.state = "run"
    perform(plan, store, How(**how, timeout_s=seconds), lambda: Progress("auto"), print)


def _measured(wanted: Wanted) -> Rates:
    """What this machine knows of the wanted kinds."""
    kept = Kept()
    about = {name: value for name, value in describe().items() if name in ("date", "commit", "torch")}
    found = Rates(kept.machine, kept.probe_s(), about)
    for kind, sizes in kept.own.seen.items():
        if wanted.holds(kind):
            found.seen[kind] = {size: [middle(paces)] for size, paces in sizes.items()}
            found.origins[kind] = dict.fromkeys(sizes, "measured")
    return found


def _add(found: Rates, wanted: Wanted, path: Path) -> None:
    """Add what the records of a file say of kinds that were not measured, as it is on this machine."""
    there = _said(read_records(path), wanted)
    known = {place: pace for place in there if (pace := found.paces(place[0]).get(place[1]))}
    ratios = [
        pace[1] / there[place][1]
        for place, pace in known.items()
        if place[0][0] == "evaluation" or there[place][1] >= WORTH_S
    ]
    if not ratios:
        print(f"{path}: no kind is known here as well; left out", file=sys.stderr)
        return
    ratio, origin = median(ratios), f"{path.stem} × {median(ratios):.2f}"
    print(f"{origin}: {len(ratios)} ratios from {min(ratios):.2f} to {max(ratios):.2f}", file=sys.stderr)
    for (kind, size), (before, step) in there.items():
        if size not in found.seen.get(kind, {}):
            found.add(kind, size, (before * ratio, step * ratio))
            found.origins.setdefault(kind, {})[size] = origin


def _said(records: Iterable[Record], wanted: Wanted) -> dict[tuple[Kind, float], Pace]:
    """The median paces of wanted kinds in records that know their CPU seconds."""
    seen: dict[tuple[Kind, float], list[Pace]] = defaultdict(list)
    for record in records:
        pace, document = pace_of(record, quiet=True), record.document
        if pace is None or record.cost.cpu is None or record.env.get("device") != "cpu":
            continue
        for kind in own_kinds(document, where_of(record.env)):
            if wanted.holds(kind):
                seen[kind, size_of(document)].append(pace)
        shared = [key for _, key in document.artifacts.values()] if isinstance(document, CellDocument) else []
        artifact_s = _artifact_s(record)
        if len(shared) == 1 and artifact_s and shared[0] in wanted.artifacts:
            where = " ".join(["cpu", str(record.env["threads"]), *record.env.get("inputs", [])])
            for kind in own_kinds(wanted.artifacts[shared[0]], where):
                seen[kind, 0].append((0.0, artifact_s))
    return {place: middle(paces) for place, paces in seen.items()}


def _artifact_s(record: Record) -> float | None:
    """CPU seconds to build all of the artifacts that a cell reads."""
    spent = record.cost.cpu
    if spent is None or spent.artifact_s is None:
        return None
    return spent.artifact_s + (spent.artifact_rest_s or 0.0)


def _merge(found: Rates, before: Rates) -> None:
    """Keep what a file had of other kinds, scaled by the probes of then and now."""
    if found.probe_s is None or before.probe_s is None:
        print("what the file had is left out: one of the machines has no probe", file=sys.stderr)
        return
    ratio = found.probe_s / before.probe_s
    for kind, sizes in before.seen.items():
        for size, paces in sizes.items():
            if size not in found.seen.get(kind, {}):
                for first, step in paces:
                    found.add(kind, size, (first * ratio, step * ratio))
                found.origins.setdefault(kind, {})[size] = before.origins[kind][size]


if __name__ == "__main__":
    main()
