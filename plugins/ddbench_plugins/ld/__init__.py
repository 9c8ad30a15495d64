"""LD: label distillation, labels for fixed real images (Bohdal et al., 2020)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``ld``."""
    registry.add(
        MethodInfo(
            name="ld",
            kind="distillation",
            target="ddbench_plugins.ld.method:LD",
            params="ddbench_plugins.ld.params:LDParams",
            summary="learn soft labels for random's images, by which a network's update lowers the loss on real ones",
            paper=Paper(
                "Flexible Dataset Distillation: Learn Labels Instead of Images",
                "NeurIPS workshop MetaLearn",
                2020,
                "https://arxiv.org/abs/2006.08572",
                ("Bohdal, Ondrej", "Yang, Yongxin", "Hospedales, Timothy"),
            ),
            labels_only=True,
            presets="presets.yaml",
        )
    )
