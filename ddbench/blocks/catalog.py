"""The kinds of shared inputs that ``ddbench.blocks`` can build."""

from __future__ import annotations

from ddbench.core.api import ArtifactKind
from ddbench.core.plugin.hooks import hookimpl
from ddbench.core.plugin.registry import Draft

ARTIFACTS: tuple[ArtifactKind, ...] = (
    ArtifactKind(
        name="features",
        version=1,
        params="ddbench.blocks.params:FeaturesParams",
        build="ddbench.blocks.features:build",
        summary="embeddings and logits of all training images under a briefly trained proxy net",
    ),
    ArtifactKind(
        name="experts",
        version=2,
        params="ddbench.blocks.params:ExpertsParams",
        build="ddbench.blocks.experts:build",
        summary="training trajectories on the real data: parameter snapshots of a pool of networks",
        bf16=True,
    ),
    ArtifactKind(
        name="pairs",
        version=2,
        params="ddbench.blocks.distribution_params:PairsParams",
        build="ddbench.blocks.pairs:build",
        summary="networks as they began and as they ended, trained on the real data with CutMix",
        bf16=True,
    ),
    ArtifactKind(
        name="generator",
        version=1,
        params="ddbench.blocks.generator_params:GeneratorParams",
        build="ddbench.blocks.generators:build",
        summary="encoder and decoder of a small conditional auto-encoder of the training images",
    ),
    ArtifactKind(
        name="dynamics",
        version=1,
        params="ddbench.blocks.dynamics_params:DynamicsParams",
        build="ddbench.blocks.dynamics:build",
        summary="what a proxy net says of every training image while it learns them: margins, errors, losses, logits",
    ),
)


@hookimpl
def ddbench_register_artifacts(registry: Draft[ArtifactKind]) -> None:
    """Features, experts and all else that ``ddbench.blocks`` builds."""
    for kind in ARTIFACTS:
        registry.add(kind)
