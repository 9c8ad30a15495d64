"""Networks by name; public."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ddbench.core.errors import PluginError
from ddbench.models.names import ArchName, parse

if TYPE_CHECKING:
    from torch import nn

    from ddbench.core.api import ArchInfo
    from ddbench.core.plugin.registry import Registry

__all__ = ["ArchName", "build_model", "parse"]


def build_model(
    name: str, *, channels: int, classes: int, size: int, seed: int, families: Registry[ArchInfo] | None = None
) -> nn.Module:
    """A freshly initialised network on the CPU, in train mode; the global random state stays as it was.

    Args:
        name: Architecture name, short or canonical.
        channels: Image channels, 1 or 3.
        classes: K.
        size: Height = width of the images [pixels].
        seed: Of the initial parameters; the same on every device.
        families: Registered families; None: those of ddbench and of the plugins that are loaded.

    Returns:
        A module with ``forward(x) -> logits [n, K]`` and ``embed(x) -> [n, D]``, the input of its last linear layer.

    Raises:
        UsageError: If the name is unknown or malformed, or the images are too small for the architecture.
        PluginError: If the family returns something else.
    """
    import torch

    from ddbench.core.plugin.loader import active, import_target

    families = active().architectures if families is None else families
    arch = parse(name, families)
    build = import_target(families.get(arch.family).target)
    # CUDA generators are left out of the fork: parameters are drawn on the CPU, so a seed means the same everywhere.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        model = build(arch, channels=channels, classes=classes, size=size)
    problem = None
    if not isinstance(model, torch.nn.Module):
        problem = f"returns a {type(model).__name__}, no torch.nn.Module"
    elif not callable(getattr(model, "embed", None)):
        problem = f"returns a {type(model).__name__} without a method `embed`"
    if problem is not None:
        raise PluginError(
            f"architecture {arch.canonical!r}: {families.get(arch.family).target} {problem} "
            "(see `ddbench plugin check` and docs/reference/hooks/architectures.md)"
        )
    return cast("nn.Module", model)
