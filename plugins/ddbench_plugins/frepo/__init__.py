"""FRePo: neural feature regression with a pool of networks (Zhou et al., NeurIPS 2022), and with fresh ones."""

from ddbench import Draft, MethodInfo, Paper, hookimpl

PAPER = Paper(
    "Dataset Distillation using Neural Feature Regression", "NeurIPS", 2022, "https://arxiv.org/abs/2206.00719"
)


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``frepo`` and ``frepo_fresh``."""
    registry.add(
        MethodInfo(
            name="frepo",
            kind="distillation",
            target="ddbench_plugins.frepo.method:FRePo",
            params="ddbench_plugins.frepo.params:FRePoParams",
            summary="learn images and labels whose regression on features of a pool of networks predicts real ones",
            paper=PAPER,
            presets="presets.yaml",
        )
    )
    registry.add(
        MethodInfo(
            name="frepo_fresh",
            kind="distillation",
            target="ddbench_plugins.frepo.method:FRePo",
            params="ddbench_plugins.frepo.params:FRePoFreshParams",
            summary="frepo with a fresh random network each step in place of the pool",
            paper=PAPER,
            presets="presets.yaml",
        )
    )
