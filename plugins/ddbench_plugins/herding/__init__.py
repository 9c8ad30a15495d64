"""Herding: images whose mean feature follows the class mean (Welling, ICML 2009)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``herding``."""
    registry.add(
        MethodInfo(
            name="herding",
            kind="selection",
            target="ddbench_plugins.herding.method:Herding",
            params="ddbench_plugins.herding.params:HerdingParams",
            summary="greedily keep the mean feature of each class",
            paper=Paper(
                "Herding Dynamical Weights to Learn",
                "ICML",
                2009,
                "https://doi.org/10.1145/1553374.1553517",
                ("Welling, Max",),
            ),
            presets="presets.yaml",
        )
    )
