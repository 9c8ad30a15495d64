"""CRAIG: weighted images whose gradients stand for those of all (Mirzasoleiman et al., ICML 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``craig``."""
    registry.add(
        MethodInfo(
            name="craig",
            kind="selection",
            target="ddbench_plugins.craig.method:CRAIG",
            params="ddbench_plugins.craig.params:CRAIGParams",
            summary="keep images near each gradient, weighted by how many they stand for",
            paper=Paper(
                "Coresets for Data-efficient Training of Machine Learning Models",
                "ICML",
                2020,
                "https://arxiv.org/abs/1906.01827",
                ("Mirzasoleiman, Baharan", "Bilmes, Jeff", "Leskovec, Jure"),
            ),
            presets="presets.yaml",
        )
    )
