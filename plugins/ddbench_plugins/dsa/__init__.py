"""DSA: gradient matching with differentiable Siamese augmentation (Zhao & Bilen, ICML 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dsa``."""
    registry.add(
        MethodInfo(
            name="dsa",
            kind="distillation",
            target="ddbench_plugins.dsa.method:DSAMatching",
            params="ddbench_plugins.dsa.params:DSAParams",
            summary="match gradients while real and synthetic images undergo the same augmentation",
            paper=Paper(
                "Dataset Condensation with Differentiable Siamese Augmentation",
                "ICML",
                2021,
                "https://arxiv.org/abs/2102.08259",
                ("Zhao, Bo", "Bilen, Hakan"),
            ),
            presets="presets.yaml",
        )
    )
