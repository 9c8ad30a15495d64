"""DM: distribution matching in random feature spaces (Zhao & Bilen, WACV 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dm``."""
    registry.add(
        MethodInfo(
            name="dm",
            kind="distillation",
            target="ddbench_plugins.dm.method:DM",
            params="ddbench_plugins.dm.params:DMParams",
            summary="match class means of random embeddings",
            paper=Paper(
                "Dataset Condensation with Distribution Matching",
                "WACV",
                2023,
                "https://arxiv.org/abs/2110.04181",
                ("Zhao, Bo", "Bilen, Hakan"),
            ),
            presets="presets.yaml",
        )
    )
