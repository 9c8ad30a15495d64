"""GraNd: the longest gradients early in training (Paul et al., NeurIPS 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``grand``."""
    registry.add(
        MethodInfo(
            name="grand",
            kind="selection",
            target="ddbench_plugins.grand.method:GraNd",
            params="ddbench_plugins.grand.params:GraNdParams",
            summary="the longest gradients of one image's loss early in training, averaged over networks",
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
