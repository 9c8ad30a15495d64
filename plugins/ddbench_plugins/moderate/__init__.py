"""Moderate coreset: images at a middle distance of their class's centre (Xia et al., ICLR 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``moderate``."""
    registry.add(
        MethodInfo(
            name="moderate",
            kind="selection",
            target="ddbench_plugins.moderate.method:Moderate",
            params="ddbench_plugins.moderate.params:ModerateParams",
            summary="images at a middle distance of their class's median feature",
            paper=Paper(
                "Moderate Coreset: A Universal Method of Data Selection for Real-world Data-efficient Deep Learning",
                "ICLR",
                2023,
                "https://openreview.net/forum?id=7D5EECbOaf9",
                ("Xia, Xiaobo", "Liu, Jiale", "Yu, Jun", "Shen, Xu", "Han, Bo", "Liu, Tongliang"),
            ),
            presets="presets.yaml",
        )
    )
