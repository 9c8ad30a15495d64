"""EL2N: the largest errors early in training (Paul et al., NeurIPS 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``el2n``."""
    registry.add(
        MethodInfo(
            name="el2n",
            kind="selection",
            target="ddbench_plugins.el2n.method:EL2N",
            params="ddbench_plugins.el2n.params:EL2NParams",
            summary="the largest errors ‖p − onehot‖ early in training, averaged over networks",
            paper=Paper(
                "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
                "NeurIPS",
                2021,
                "https://arxiv.org/abs/2107.07075",
                ("Paul, Mansheej", "Ganguli, Surya", "Dziugaite, Gintare Karolina"),
            ),
            presets="presets.yaml",
        )
    )
