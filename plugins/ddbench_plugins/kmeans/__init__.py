"""k-means medoids: the image nearest each cluster centre of its class (DC-BENCH, NeurIPS 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``kmeans``."""
    registry.add(
        MethodInfo(
            name="kmeans",
            kind="selection",
            target="ddbench_plugins.kmeans.method:KMeansMedoids",
            params="ddbench_plugins.kmeans.params:KMeansMedoidsParams",
            summary="the image nearest each k-means centre of its class",
            paper=Paper(
                "DC-BENCH: Dataset Condensation Benchmark",
                "NeurIPS",
                2022,
                "https://arxiv.org/abs/2207.09639",
                ("Cui, Justin", "Wang, Ruochen", "Si, Si", "Hsieh, Cho-Jui"),
            ),
            presets="presets.yaml",
        )
    )
