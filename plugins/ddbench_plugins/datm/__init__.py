"""DATM: matching the part of the trajectory whose difficulty suits the budget (Guo et al., ICLR 2024)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``datm``."""
    registry.add(
        MethodInfo(
            name="datm",
            kind="distillation",
            target="ddbench_plugins.datm.method:DATM",
            params="ddbench_plugins.datm.params:DATMParams",
            summary="match early segments for small sets and late ones for large sets, with learned soft labels",
            paper=Paper(
                "Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching",
                "ICLR",
                2024,
                "https://arxiv.org/abs/2310.05773",
                ("Guo, Ziyao", "Wang, Kai", "Cazenavette, George", "Li, Hui", "Zhang, Kaipeng", "You, Yang"),
            ),
            controls=("random_soft",),
            presets="presets.yaml",
        )
    )
