"""DC: dataset condensation with gradient matching (Zhao et al., ICLR 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dc``."""
    registry.add(
        MethodInfo(
            name="dc",
            kind="distillation",
            target="ddbench_plugins.dc.method:DC",
            params="ddbench_plugins.dc.params:DCParams",
            summary="match the gradients of random networks on real and on synthetic images",
            paper=Paper(
                "Dataset Condensation with Gradient Matching",
                "ICLR",
                2021,
                "https://arxiv.org/abs/2006.05929",
                ("Zhao, Bo", "Mopuri, Konda Reddy", "Bilen, Hakan"),
            ),
            presets="presets.yaml",
        )
    )
