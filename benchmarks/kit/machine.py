"""The machine that numbers belong to. No torch."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from benchmarks.kit.places import ROOT
from ddbench.core.cpu import cores
from ddbench.core.machine import this_machine


@cache
def describe() -> dict[str, str | int]:
    """CPU, cores, torch, day and commit."""
    return {
        "cpu": this_machine().cpu, "cores": cores(), "torch": version("torch"), "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(), "commit": _commit(),
    }  # fmt: skip


def _commit() -> str:
    """The commit, ``-dirty`` where files differ from it that are not written by the benchmarks themselves."""

    def told(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    others = [f":(exclude)benchmarks/{name}" for name in ("results.jsonl", "RESULTS.md", "scaling.svg")]
    changed = told("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return (told("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else "")
