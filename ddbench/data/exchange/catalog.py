"""The method and the artifact kind behind imported sets, as ddbench registers them. No torch."""

from __future__ import annotations

from ddbench.core.api import ArtifactKind, MethodInfo
from ddbench.core.infos import IMPORTED
from ddbench.core.plugin.hooks import hookimpl
from ddbench.core.plugin.registry import Draft
from ddbench.data.exchange.params import KIND

METHODS: tuple[MethodInfo, ...] = (
    MethodInfo(
        name=IMPORTED,
        kind="distillation",  # so that `native` trains by its recipe
        target="ddbench.data.exchange.imported:Imported",
        params="ddbench.data.exchange.params:ImportedParams",
        summary="a set made elsewhere; `ddbench evaluate FILE… --dataset NAME` makes such rows",
        axes=frozenset(),  # the files decide everything; their hashes are in the params and in the artifact
    ),
)

ARTIFACTS: tuple[ArtifactKind, ...] = (
    ArtifactKind(
        name=KIND,
        version=1,
        params="ddbench.data.exchange.params:SetParams",
        build="ddbench.data.exchange.imported:build",
        summary="a condensed set made elsewhere, as `ddbench import` understood it",
    ),
)


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Sets made elsewhere."""
    for method in METHODS:
        registry.add(method)


@hookimpl
def ddbench_register_artifacts(registry: Draft[ArtifactKind]) -> None:
    """Imported sets."""
    for kind in ARTIFACTS:
        registry.add(kind)
