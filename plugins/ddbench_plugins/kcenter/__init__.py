"""k-Center: images that cover each class in feature space (Sener & Savarese, ICLR 2018)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``kcenter``."""
    registry.add(
        MethodInfo(
            name="kcenter",
            kind="selection",
            target="ddbench_plugins.kcenter.method:KCenter",
            params="ddbench_plugins.kcenter.params:KCenterParams",
            summary="greedily cover each class in feature space",
            paper=Paper(
                "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
                "ICLR",
                2018,
                "https://arxiv.org/abs/1708.00489",
                ("Sener, Ozan", "Savarese, Silvio"),
            ),
            presets="presets.yaml",
            aliases=("KCenterGreedy",),
        )
    )
