"""Full: the whole training set; the other reference of every table."""

from ddbench import Draft, MethodInfo, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``full``."""
    registry.add(
        MethodInfo(
            name="full",
            kind="reference",
            target="ddbench_plugins.full.method:Full",
            params="ddbench_plugins.full.params:FullParams",
            summary="all training images",
            axes=frozenset(),
            presets="presets.yaml",
        )
    )
