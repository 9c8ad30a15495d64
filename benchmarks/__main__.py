"""All rows, one after the other, and benchmarks/RESULTS.md: `python -m benchmarks`.

`PEERS=FOLDER` names checkouts of the authors' repositories, as OWNER+NAME. Nothing else should run meanwhile. What is
measured with ``--only`` replaces the lines of the same rows; ``--render`` measures nothing.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from benchmarks.kit import run
from benchmarks.kit.places import FOLDER
from benchmarks.kit.report import PLOT, draw, report

MODULES = ("training", "experts", "evaluation", "dm", "dsa", "dc", "dc_passes", "idc", "frepo_step", "mtt", "datm",
           "tesla", "memory", "bptt_memory", "selection", "selectors", "kernels", "demo", "commands", "page",
           "scaling")  # fmt: skip


def main() -> None:
    """Measure, keep the lines, and render them."""
    parser = run.parser(__doc__)
    parser.add_argument("--render", action="store_true", help="write RESULTS.md again from results.jsonl")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where results are written")
    given = parser.parse_args()
    rows = [row for name in MODULES for row in importlib.import_module(f"benchmarks.{name}").ROWS]
    found = []
    kept, order = given.folder / "results.jsonl", [row.name for row in rows]
    if given.render and not kept.exists():
        sys.exit(f"{kept} is not there: nothing to render")
    given.folder.mkdir(parents=True, exist_ok=True)
    if not given.render:
        began, wanted = time.monotonic(), run.chosen(rows, given.only)
        for line in run.lines(wanted, run.options(given)):
            found.append(line)
            run.write(kept, found, order)
        print(f"{len(found)} rows in {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    lines = run.read(kept)
    plotted = draw(lines, given.folder / PLOT)
    page = given.folder / "RESULTS.md"
    page.write_text(report(lines, PLOT if plotted else None))
    print(page, file=sys.stderr)
    if any(line["error"] for line in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
