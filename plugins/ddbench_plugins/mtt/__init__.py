"""MTT: dataset distillation by matching training trajectories (Cazenavette et al., CVPR 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``mtt``."""
    registry.add(
        MethodInfo(
            name="mtt",
            kind="distillation",
            target="ddbench_plugins.mtt.method:MTT",
            params="ddbench_plugins.mtt.params:MTTParams",
            summary="match the end of training on few images with that of an expert on all",
            paper=Paper(
                "Dataset Distillation by Matching Training Trajectories",
                "CVPR",
                2022,
                "https://arxiv.org/abs/2203.11932",
                ("Cazenavette, George", "Wang, Tongzhou", "Torralba, Antonio", "Efros, Alexei A.", "Zhu, Jun-Yan"),
            ),
            version=2,
            aliases=("TM",),
            controls=("random_soft",),
            presets="presets.yaml",
        )
    )
