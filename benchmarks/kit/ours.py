"""ddbench's side of a method: its plugin makes a step whenever it is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from benchmarks.kit import data
from benchmarks.kit.case import Case
from benchmarks.kit.places import work
from benchmarks.kit.pool import pool
from benchmarks.kit.worker import Turns

FOREVER = 10**6
"""Outer steps: more than anybody asks for."""


def apply_engine(case: Case) -> None:
    """Make this process compute as ddbench does."""
    from ddbench.work.engine import choose

    choose(device=case.device, threads=case.threads, engine=case.engine).apply()


def serve(case: Case, turns: Turns, params: Mapping[str, Any], *, experts: bool = False) -> None:
    """Serve steps of ``case.method``.

    Args:
        case: The work.
        turns: The pipe.
        params: What makes a step do what the authors' does.
        experts: Whether it reads a pool of experts.
    """
    os.environ["DDBENCH_HOME"] = str(work() / "home")
    apply_engine(case)
    from ddbench.core.api import Limits
    from ddbench.core.plugin.loader import installed, method_class, params_class
    from ddbench.core.profiles import profile
    from ddbench.core.specs import Budget, CellSpec, DataSpec
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source
    from ddbench.work.context import open_context
    from ddbench.work.monitor import Silent

    registries = installed()
    info = registries.methods.get(case.method)
    archive = data.archive(case)
    prepared = resolve(parse_source(f"{archive.stem.replace('_', '-')}=npz:{archive}", registries.datasets))
    spec = CellSpec(
        method=case.method, method_version=info.version, origin="", params={}, master=0, r=0, arch=case.arch,
        data=DataSpec(name=archive.stem.replace("_", "-"), revision=prepared.revision), budget=Budget(ipc=case.ipc),
    )  # fmt: skip
    ctx = open_context(
        spec, owner=case.method, folders={"experts": pool(case)[0]} if experts else {}, registries=registries,
        profile=profile("short"), device=case.device, limits=Limits(), monitor=Silent(), key="",
    )  # fmt: skip
    method = method_class(info)(params_class(info).model_validate(dict(params)))
    method.prepare(ctx)

    def step() -> None:
        method.step(ctx)
        ctx.step += 1

    turns.serve(step)
