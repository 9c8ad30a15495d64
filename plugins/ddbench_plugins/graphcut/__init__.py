"""Graph cut: images that are like their class and unlike each other (Iyer et al., ALT 2021)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``graphcut``."""
    registry.add(
        MethodInfo(
            name="graphcut",
            kind="selection",
            target="ddbench_plugins.graphcut.method:GraphCut",
            params="ddbench_plugins.graphcut.params:GraphCutParams",
            summary="greedily keep images whose gradients are like all and unlike each other",
            paper=Paper(
                "Submodular Combinatorial Information Measures with Applications in Machine Learning",
                "ALT",
                2021,
                "https://arxiv.org/abs/2006.15412",
                ("Iyer, Rishabh", "Khargoankar, Ninad", "Bilmes, Jeff", "Asanani, Himanshu"),
            ),
            presets="presets.yaml",
        )
    )
