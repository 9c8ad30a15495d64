"""ddbench runs dataset-distillation methods and compares them fairly. Public names; none of them imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from ddbench.api import (
        ALL_AXES,
        ArchInfo,
        ArtifactKind,
        CondensedSet,
        DatasetRecord,
        DistillationParams,
        EvalInputs,
        EvalProtocol,
        Limits,
        Method,
        MethodInfo,
        Paper,
        Params,
        PlannedEvaluation,
        Predictor,
        Preprocess,
        ProtocolInfo,
        ProtocolParams,
        Recipe,
        RunContext,
        Selection,
        Selector,
        Standing,
        State,
        StorageBytes,
        StudentInfo,
    )
    from ddbench.data.raw import ImageStream, RawDataset
    from ddbench.hookspecs import hookimpl
    from ddbench.models.names import ArchName
    from ddbench.profiles import Profile
    from ddbench.registry import Draft
    from ddbench.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo

_HOME = {
    "ArchName": "ddbench.models.names",
    "ImageStream": "ddbench.data.raw",
    "Profile": "ddbench.profiles",
    "RawDataset": "ddbench.data.raw",
    "Draft": "ddbench.registry",
    "hookimpl": "ddbench.hookspecs",
    "ArtifactSpec": "ddbench.specs",
    "Budget": "ddbench.specs",
    "CellSpec": "ddbench.specs",
    "DatasetInfo": "ddbench.specs",
}

__all__ = [
    "ALL_AXES",
    "ArchInfo",
    "ArchName",
    "ArtifactKind",
    "ArtifactSpec",
    "Budget",
    "CellSpec",
    "CondensedSet",
    "DatasetInfo",
    "DatasetRecord",
    "DistillationParams",
    "Draft",
    "EvalInputs",
    "EvalProtocol",
    "ImageStream",
    "Limits",
    "Method",
    "MethodInfo",
    "Paper",
    "Params",
    "PlannedEvaluation",
    "Predictor",
    "Preprocess",
    "Profile",
    "ProtocolInfo",
    "ProtocolParams",
    "RawDataset",
    "Recipe",
    "RunContext",
    "Selection",
    "Selector",
    "Standing",
    "State",
    "StorageBytes",
    "StudentInfo",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # said once, in pyproject.toml
        from importlib.metadata import version

        return version("ddbench")
    if name not in __all__:
        raise AttributeError(f"module 'ddbench' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "ddbench.api")), name)
