"""TESLA: trajectory matching at constant memory (Cui et al., ICML 2023)."""

from ddbench import Draft, MethodInfo, Paper, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``tesla``."""
    registry.add(
        MethodInfo(
            name="tesla",
            kind="distillation",
            target="ddbench_plugins.tesla.method:TESLA",
            params="ddbench_plugins.tesla.params:TESLAParams",
            summary="MTT with a gradient that leaves out how each step moved the next",
            paper=Paper(
                "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory",
                "ICML",
                2023,
                "https://arxiv.org/abs/2211.10586",
                ("Cui, Justin", "Wang, Ruochen", "Si, Si", "Hsieh, Cho-Jui"),
            ),
            controls=("random_soft",),
            presets="presets.yaml",
        )
    )
