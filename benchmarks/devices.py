"""A table on digits by a device and by the CPU: `python -m benchmarks.devices --device cuda`.

Sets and students have the same seeds on both, so that scores differ by rounding alone, which a training amplifies: a
row's mean may differ by as many points as `--tolerance` says. Exit code 1 if one differs by more.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from benchmarks.kit.places import environment

ARGUMENTS = ["--methods", "random,herding,dm,dsa,idc,mtt", "--ipc", "1,10", "--seeds", "3", "--eval-seeds", "2"]

Scores = Mapping[tuple[str, str], float]
"""(row, budget) → mean accuracy [%]."""


def main() -> int:
    """Run both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", default="short")
    parser.add_argument("--tolerance", type=float, default=3.0, help="points")
    parser.add_argument("--folder", type=Path, default=Path("devices"), help="where results are kept")
    given = parser.parse_args()
    found = {name: table(name, given.profile, given.folder / name) for name in dict.fromkeys((given.device, "cpu"))}
    theirs, ours = found[given.device], found["cpu"]
    rows = compared(theirs, ours, given.tolerance)
    print(
        tabulate(
            rows, headers=["row", "budget", given.device, "cpu", "difference", ""], floatfmt=".1f", tablefmt="github"
        )
    )
    return int(any(row[-1] for row in rows))


def table(device: str, profile: str, folder: Path) -> Scores:
    """Scores of a run on a device."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ddbench", "run", *ARGUMENTS, "--profile", profile, "--reference-limit", "0"]
    run = subprocess.run(
        [*command, "--device", device, "--format", "csv", "--progress", "plain"], cwd=folder, check=True, text=True,
        stdout=subprocess.PIPE, env=environment(DDBENCH_HOME=str(folder / "home")),
    )  # fmt: skip
    return scores(run.stdout)


def scores(text: str) -> Scores:
    """What a CSV table says."""
    rows = csv.DictReader(io.StringIO(text))
    return {(row["row"], row["budget"]): float(row["mean"]) for row in rows if row["mean"]}


def compared(first: Scores, second: Scores, tolerance: float) -> list[tuple[str, str, float, float, float, str]]:
    """Row, budget, both means, their difference, and what is wrong with it; a row that one of them lacks is wrong."""
    found = []
    for key in {**first, **second}:
        a, b = first.get(key, float("nan")), second.get(key, float("nan"))
        found.append((*key, a, b, a - b, "" if abs(a - b) <= tolerance else "differs"))
    return found


if __name__ == "__main__":
    sys.exit(main())
