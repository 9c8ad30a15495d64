"""The method and the artifact kind behind imported sets, as ddbench registers them. No torch."""

from __future__ import annotations

from ddbench.api import ArtifactKind, MethodInfo
from ddbench.exchange.params import KIND
from ddbench.members import IMPORTED

METHODS: tuple[MethodInfo, ...] = (
    MethodInfo(
        name=IMPORTED,
        kind="distillation",  # so that `native` trains by its recipe
        target="ddbench.exchange.imported:Imported",
        params="ddbench.exchange.params:ImportedParams",
        summary="a set made elsewhere; `ddbench evaluate FILE… --dataset NAME` makes such rows",
        axes=frozenset(),  # the files decide everything; their hashes are in the params and in the artifact
    ),
)

ARTIFACTS: tuple[ArtifactKind, ...] = (
    ArtifactKind(
        name=KIND,
        version=1,
        params="ddbench.exchange.params:SetParams",
        build="ddbench.exchange.imported:build",
        summary="a condensed set made elsewhere, as `ddbench import` understood it",
    ),
)
