"""D2 pruning: hardness passed between neighbours, then spread out (Maharana et al., ICLR 2024)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``d2``."""
    registry.add(
        MethodInfo(
            name="d2",
            kind="selection",
            target="ddbench_plugins.d2.method:D2",
            params="ddbench_plugins.d2.params:D2Params",
            summary="hard images, each of which makes its neighbours less wanted",
            paper=Paper(
                "D2 Pruning: Message Passing for Balancing Diversity and Difficulty in Data Pruning",
                "ICLR",
                2024,
                "https://arxiv.org/abs/2310.07931",
                ("Maharana, Adyasha", "Yadav, Prateek", "Bansal, Mohit"),
            ),
            presets="presets.yaml",
        )
    )
