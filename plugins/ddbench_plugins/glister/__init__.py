"""GLISTER: images whose gradients lower the loss on validation images (Killamsetty et al., AAAI 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``glister``."""
    registry.add(
        MethodInfo(
            name="glister",
            kind="selection",
            target="ddbench_plugins.glister.method:GLISTER",
            params="ddbench_plugins.glister.params:GLISTERParams",
            summary="greedily keep images whose gradients lower the loss on val",
            paper=Paper(
                "GLISTER: Generalization based Data Subset Selection for Efficient and Robust Learning",
                "AAAI",
                2021,
                "https://arxiv.org/abs/2012.10630",
                ("Killamsetty, Krishnateja", "Sivasubramanian, Durga", "Ramakrishnan, Ganesh", "Iyer, Rishabh"),
            ),
            presets="presets.yaml",
        )
    )
