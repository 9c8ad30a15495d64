"""Forgetting: images that were right once and wrong later, most often (Toneva et al., ICLR 2019)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``forgetting``."""
    registry.add(
        MethodInfo(
            name="forgetting",
            kind="selection",
            target="ddbench_plugins.forgetting.method:Forgetting",
            params="ddbench_plugins.forgetting.params:ForgettingParams",
            summary="images that training forgot most often, or never learned",
            paper=Paper(
                "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
                "ICLR",
                2019,
                "https://arxiv.org/abs/1812.05159",
                (
                    "Toneva, Mariya",
                    "Sordoni, Alessandro",
                    "Tachet des Combes, Remi",
                    "Trischler, Adam",
                    "Bengio, Yoshua",
                    "Gordon, Geoffrey J.",
                ),
            ),
            presets="presets.yaml",
        )
    )
