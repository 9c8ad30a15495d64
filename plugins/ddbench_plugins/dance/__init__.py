"""DANCE: distribution matching between and within classes (Zhang et al., IJCAI 2024)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dance``."""
    registry.add(
        MethodInfo(
            name="dance",
            kind="distillation",
            target="ddbench_plugins.dance.method:DANCE",
            params="ddbench_plugins.dance.params:DANCEParams",
            summary="match class means between fresh and trained networks, and lower the trained one's cross entropy",
            paper=Paper(
                "DANCE: Dual-View Distribution Alignment for Dataset Condensation",
                "IJCAI",
                2024,
                "https://arxiv.org/abs/2406.01063",
                ("Zhang, Hansong", "Li, Shikun", "Lin, Fanzhao", "Wang, Weiping", "Qian, Zhenxing", "Ge, Shiming"),
            ),
            presets="presets.yaml",
        )
    )
