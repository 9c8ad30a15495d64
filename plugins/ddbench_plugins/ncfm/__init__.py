"""NCFM: matching of characteristic functions (Wang et al., CVPR 2025)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``ncfm``."""
    registry.add(
        MethodInfo(
            name="ncfm",
            kind="distillation",
            target="ddbench_plugins.ncfm.method:NCFM",
            params="ddbench_plugins.ncfm.params:NCFMParams",
            summary="match characteristic functions of features at Gaussian frequencies (no sampling network)",
            paper=Paper(
                "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective",
                "CVPR",
                2025,
                "https://arxiv.org/abs/2502.20653",
                (
                    "Wang, Shaobo",
                    "Yang, Yicun",
                    "Liu, Zhiyuan",
                    "Sun, Chenghao",
                    "Hu, Xuming",
                    "He, Conghui",
                    "Zhang, Linfeng",
                ),
            ),
            presets="presets.yaml",
        )
    )
