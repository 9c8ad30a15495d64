"""TDDS: predictions that changed most unevenly (Zhang et al., CVPR 2024)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``tdds``."""
    registry.add(
        MethodInfo(
            name="tdds",
            kind="selection",
            target="ddbench_plugins.tdds.method:TDDS",
            params="ddbench_plugins.tdds.params:TDDSParams",
            summary="images whose predictions changed most unevenly from epoch to epoch",
            paper=Paper(
                "Spanning Training Progress: Temporal Dual-Depth Scoring (TDDS) for Enhanced Dataset Pruning",
                "CVPR",
                2024,
                "https://arxiv.org/abs/2311.13613",
                ("Zhang, Xin", "Du, Jiawei", "Li, Yunsong", "Xie, Weiying", "Zhou, Joey Tianyi"),
            ),
            presets="presets.yaml",
        )
    )
