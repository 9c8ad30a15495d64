"""DD: the first dataset distillation, images with an order and step sizes of their own (Wang et al., 2018)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dd``."""
    registry.add(
        MethodInfo(
            name="dd",
            kind="distillation",
            target="ddbench_plugins.dd.method:DD",
            params="ddbench_plugins.dd.params:DDParams",
            summary="learn ordered batches and the step sizes to train on them with",
            paper=Paper(
                "Dataset Distillation",
                "arXiv",
                2018,
                "https://arxiv.org/abs/1811.10959",
                ("Wang, Tongzhou", "Zhu, Jun-Yan", "Torralba, Antonio", "Efros, Alexei A."),
            ),
            presets="presets.yaml",
        )
    )
