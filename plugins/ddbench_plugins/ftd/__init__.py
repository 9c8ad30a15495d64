"""FTD: flat expert trajectories, averaged images (Du et al., CVPR 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``ftd``."""
    registry.add(
        MethodInfo(
            name="ftd",
            kind="distillation",
            target="ddbench_plugins.ftd.method:FTD",
            params="ddbench_plugins.ftd.params:FTDParams",
            summary="MTT with experts trained towards flat minima, and a running average of the images",
            paper=Paper(
                "Minimizing the Accumulated Trajectory Error to Improve Dataset Distillation",
                "CVPR",
                2023,
                "https://arxiv.org/abs/2211.11004",
                ("Du, Jiawei", "Jiang, Yidi", "Tan, Vincent Y. F.", "Zhou, Joey Tianyi", "Li, Haizhou"),
            ),
            controls=("random_soft",),
            presets="presets.yaml",
        )
    )
