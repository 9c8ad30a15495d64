"""Random: the first images of one permutation of each class; the reference of every table."""

from ddbench import Draft, MethodInfo, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``random``."""
    registry.add(
        MethodInfo(
            name="random",
            kind="selection",
            target="ddbench_plugins.random_subset.method:RandomSubset",
            params="ddbench_plugins.random_subset.params:RandomSubsetParams",
            summary="random real images of each class",
            axes=frozenset({"budget", "seed"}),
            presets="presets.yaml",
        )
    )
