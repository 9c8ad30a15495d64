"""FRePo: neural feature regression with a pool of networks (Zhou et al., NeurIPS 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``frepo``."""
    registry.add(
        MethodInfo(
            name="frepo",
            kind="distillation",
            target="ddbench_plugins.frepo.method:FRePo",
            params="ddbench_plugins.frepo.params:FRePoParams",
            summary="learn images and labels whose regression on features of a pool of networks predicts real ones",
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
