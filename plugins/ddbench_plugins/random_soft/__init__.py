"""random_soft: random real images with the soft labels of a pool of experts; a control of trajectory methods."""

from ddbench import Draft, MethodInfo, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``random_soft``."""
    registry.add(
        MethodInfo(
            name="random_soft",
            kind="selection",
            target="ddbench_plugins.random_soft.method:RandomSoft",
            params="ddbench_plugins.random_soft.params:RandomSoftParams",
            summary="random real images with the mean logits of the experts as labels",
            own_labels=True,
            takes_initial=True,
            presets="presets.yaml",
        )
    )
