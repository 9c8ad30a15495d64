"""The hooks a plugin may implement, and the marker that implements them.

Hooks declare, they don't import: a plugin registers frozen records that *name* its classes as ``"module:Class"``;
torch is imported when a method runs. Each hook gets ``registry``, whose ``add(record)`` takes one record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ddbench.core.api import ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, ProtocolInfo
    from ddbench.core.plugin.registry import Draft

PROJECT = "ddbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Register methods."""


@hookspec
def ddbench_register_datasets(registry: Draft[DatasetRecord]) -> None:
    """Register data sets."""


@hookspec
def ddbench_register_architectures(registry: Draft[ArchInfo]) -> None:
    """Register architecture families."""


@hookspec
def ddbench_register_protocols(registry: Draft[ProtocolInfo]) -> None:
    """Register evaluation protocols."""


@hookspec
def ddbench_register_artifacts(registry: Draft[ArtifactKind]) -> None:
    """Register kinds of shared inputs."""
