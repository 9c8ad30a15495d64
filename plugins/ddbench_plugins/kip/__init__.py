"""KIP: kernel inducing points (Nguyen et al., ICLR 2021 and NeurIPS 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``kip``."""
    registry.add(
        MethodInfo(
            name="kip",
            kind="distillation",
            target="ddbench_plugins.kip.method:KIP",
            params="ddbench_plugins.kip.params:KIPParams",
            summary="images, and labels if wanted, from which kernel ridge regression predicts real images best",
            paper=Paper(
                "Dataset Meta-Learning from Kernel Ridge-Regression",
                "ICLR",
                2021,
                "https://arxiv.org/abs/2011.00050",
                ("Nguyen, Timothy", "Chen, Zhourong", "Lee, Jaehoon"),
            ),
            axes=frozenset({"budget", "seed"}),
            presets="presets.yaml",
        )
    )
