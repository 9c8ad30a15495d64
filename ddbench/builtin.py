"""ddbench's own data sets, architectures, protocols and artifact kinds, registered through the hooks for everyone.

Its one method is ``imported``: sets made elsewhere.
"""

from __future__ import annotations

from ddbench.api import ArchInfo, ArtifactKind, DatasetRecord, MethodInfo, ProtocolInfo
from ddbench.blocks.catalog import ARTIFACTS as BLOCK_ARTIFACTS
from ddbench.data.catalog import ARTIFACTS as DATA_ARTIFACTS
from ddbench.data.catalog import DATASETS
from ddbench.evaluate.catalog import PROTOCOLS
from ddbench.exchange.catalog import ARTIFACTS as EXCHANGE_ARTIFACTS
from ddbench.exchange.catalog import METHODS
from ddbench.hookspecs import hookimpl
from ddbench.models.catalog import FAMILIES
from ddbench.registry import Draft


@hookimpl
def ddbench_register_methods(registry: Draft[MethodInfo]) -> None:
    """Sets made elsewhere."""
    for method in METHODS:
        registry.add(method)


@hookimpl
def ddbench_register_datasets(registry: Draft[DatasetRecord]) -> None:
    """The data sets of ``ddbench.data``."""
    for record in DATASETS:
        registry.add(record)


@hookimpl
def ddbench_register_architectures(registry: Draft[ArchInfo]) -> None:
    """The families of ``ddbench.models``."""
    for family in FAMILIES:
        registry.add(family)


@hookimpl
def ddbench_register_protocols(registry: Draft[ProtocolInfo]) -> None:
    """The protocols of ``ddbench.evaluate``."""
    for protocol in PROTOCOLS:
        registry.add(protocol)


@hookimpl
def ddbench_register_artifacts(registry: Draft[ArtifactKind]) -> None:
    """Features, whitening matrices, and imported sets."""
    for kind in (*DATA_ARTIFACTS, *BLOCK_ARTIFACTS, *EXCHANGE_ARTIFACTS):
        registry.add(kind)
