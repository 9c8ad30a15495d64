"""IDM: improved distribution matching (Zhao et al., CVPR 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``idm``."""
    registry.add(
        MethodInfo(
            name="idm",
            kind="distillation",
            target="ddbench_plugins.idm.method:IDM",
            params="ddbench_plugins.idm.params:IDMParams",
            summary="match class means of a queue of networks in training, four small images on each stored one",
            paper=Paper(
                "Improved Distribution Matching for Dataset Condensation",
                "CVPR",
                2023,
                "https://arxiv.org/abs/2307.09742",
                ("Zhao, Ganlong", "Li, Guanbin", "Qin, Yipeng", "Yu, Yizhou"),
            ),
            presets="presets.yaml",
        )
    )
