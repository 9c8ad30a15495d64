"""IDC: condensation with several small images on each stored canvas (Kim et al., ICML 2022)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``idc``."""
    registry.add(
        MethodInfo(
            name="idc",
            kind="distillation",
            target="ddbench_plugins.idc.method:IDC",
            params="ddbench_plugins.idc.params:IDCParams",
            summary="match gradients under networks trained on real images, four small images on each stored one",
            paper=Paper(
                "Dataset Condensation via Efficient Synthetic-Data Parameterization",
                "ICML",
                2022,
                "https://arxiv.org/abs/2205.14959",
                (
                    "Kim, Jang-Hyun",
                    "Kim, Jinuk",
                    "Oh, Seong Joon",
                    "Yun, Sangdoo",
                    "Song, Hwanjun",
                    "Jeong, Joonhyun",
                    "Ha, Jung-Woo",
                    "Song, Hyun Oh",
                ),
            ),
            presets="presets.yaml",
        )
    )
