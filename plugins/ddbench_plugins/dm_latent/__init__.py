"""Distribution matching over the latents of a small generator of ddbench's own."""

from ddbench import Draft, MethodInfo, hookimpl


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register ``dm_latent``."""
    registry.add(
        MethodInfo(
            name="dm_latent",
            kind="distillation",
            target="ddbench_plugins.dm_latent.method:DMLatent",
            params="ddbench_plugins.dm_latent.params:DMLatentParams",
            summary="dm over latents that a small frozen generator decodes, whose bytes count",
            presets="presets.yaml",
        )
    )
