"""CCS: coverage-centric selection (Zheng et al., ICLR 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``ccs``."""
    registry.add(
        MethodInfo(
            name="ccs",
            kind="selection",
            target="ddbench_plugins.ccs.method:CCS",
            params="ddbench_plugins.ccs.params:CCSParams",
            summary="all grades of hardness but the hardest, equally many of each",
            paper=Paper(
                "Coverage-centric Coreset Selection for High Pruning Rates",
                "ICLR",
                2023,
                "https://arxiv.org/abs/2210.15809",
                ("Zheng, Haizhong", "Liu, Rui", "Lai, Fan", "Prakash, Atul"),
            ),
            presets="presets.yaml",
        )
    )
