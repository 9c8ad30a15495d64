"""FRePo with a fresh network each step in place of the pool (a variant of Zhou et al., NeurIPS 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``frepo_fresh``."""
    registry.add(
        MethodInfo(
            name="frepo_fresh",
            kind="distillation",
            target="ddbench_plugins.frepo_fresh.method:FRePoFresh",
            params="ddbench_plugins.frepo_fresh.params:FRePoFreshParams",
            summary="frepo with a fresh random network each step in place of the pool",
            paper=Paper(
                "Dataset Distillation using Neural Feature Regression",
                "NeurIPS",
                2022,
                "https://arxiv.org/abs/2206.00719",
                ("Zhou, Yongchao", "Nezhadarya, Ehsan", "Ba, Jimmy"),
            ),
            presets="presets.yaml",
        )
    )
