"""random_best_of_k: the best of k random sets on val; a control of distillers whose set is chosen on val."""

from ddbench import Draft, MethodInfo, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``random_best_of_k``."""
    registry.add(
        MethodInfo(
            name="random_best_of_k",
            kind="selection",
            target="ddbench_plugins.random_best_of_k.method:RandomBestOfK",
            params="ddbench_plugins.random_best_of_k.params:RandomBestOfKParams",
            summary="the best on val of k sets of random real images",
            presets="presets.yaml",
        )
    )
