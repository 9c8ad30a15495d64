"""RaT-BPTT: distillation through a random window of a student's training (Feng et al., ICLR 2024)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``rat_bptt``."""
    registry.add(
        MethodInfo(
            name="rat_bptt",
            kind="distillation",
            target="ddbench_plugins.rat_bptt.method:RaTBPTT",
            params="ddbench_plugins.rat_bptt.params:RaTBPTTParams",
            summary="learn images through a random window of students' training with Adam",
            paper=Paper(
                "Embarrassingly Simple Dataset Distillation",
                "ICLR",
                2024,
                "https://openreview.net/forum?id=PLoWVP7Mjc",
                ("Feng, Yunzhen", "Vedantam, Ramakrishna", "Kempe, Julia"),
            ),
            presets="presets.yaml",
        )
    )
