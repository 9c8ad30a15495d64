"""DeepFool: images nearest to the decision boundary (Moosavi-Dezfooli et al., CVPR 2016)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``deepfool``."""
    registry.add(
        MethodInfo(
            name="deepfool",
            version=2,
            kind="selection",
            target="ddbench_plugins.deepfool.method:DeepFool",
            params="ddbench_plugins.deepfool.params:DeepFoolParams",
            summary="images that the smallest change moves across the decision boundary",
            paper=Paper(
                "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks",
                "CVPR",
                2016,
                "https://arxiv.org/abs/1511.04599",
                ("Moosavi-Dezfooli, Seyed-Mohsen", "Fawzi, Alhussein", "Frossard, Pascal"),
            ),
            presets="presets.yaml",
        )
    )
