"""BPTT: distillation through the whole of a student's training with momentum (Deng & Russakovsky, NeurIPS 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``bptt``."""
    registry.add(
        MethodInfo(
            name="bptt",
            kind="distillation",
            target="ddbench_plugins.bptt.method:BPTT",
            params="ddbench_plugins.bptt.params:MomentumParams",
            summary="learn images through the whole training of students with momentum",
            paper=Paper(
                "Remember the Past: Distilling Datasets into Addressable Memories for Neural Networks",
                "NeurIPS",
                2022,
                "https://arxiv.org/abs/2206.02916",
                ("Deng, Zhiwei", "Russakovsky, Olga"),
            ),
            presets="presets.yaml",
        )
    )
