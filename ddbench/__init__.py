"""ddbench runs dataset-distillation methods and compares them fairly. Public names; none of them imports torch."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # without importing typing: a Ctrl-C in the first moments of a command would end in a traceback
if TYPE_CHECKING:
    from typing import Any

    __version__: str
    from ddbench.core.api import (
        ALL_AXES,
        ArchInfo,
        ArtifactKind,
        CondensedSet,
        Contents,
        DatasetRecord,
        DistillationParams,
        EvalInputs,
        EvalProtocol,
        Images,
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
    from ddbench.core.errors import DataError, DDBenchError, StoreError, UsageError
    from ddbench.core.plugin.hooks import hookimpl
    from ddbench.core.plugin.registry import Draft
    from ddbench.core.profiles import Profile
    from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, DatasetInfo
    from ddbench.data.readers.raw import ImageStream, RawDataset
    from ddbench.library.functions import evaluate, load_set, read, run
    from ddbench.library.results import Results
    from ddbench.models.names import ArchName

_HOME = {
    "Results": "ddbench.library.results",
    "evaluate": "ddbench.library.functions",
    "load_set": "ddbench.library.functions",
    "read": "ddbench.library.functions",
    "run": "ddbench.library.functions",
    "DDBenchError": "ddbench.core.errors",
    "DataError": "ddbench.core.errors",
    "StoreError": "ddbench.core.errors",
    "UsageError": "ddbench.core.errors",
    "ArchName": "ddbench.models.names",
    "ImageStream": "ddbench.data.readers.raw",
    "Profile": "ddbench.core.profiles",
    "RawDataset": "ddbench.data.readers.raw",
    "Draft": "ddbench.core.plugin.registry",
    "hookimpl": "ddbench.core.plugin.hooks",
    "ArtifactSpec": "ddbench.core.specs",
    "Budget": "ddbench.core.specs",
    "CellSpec": "ddbench.core.specs",
    "DatasetInfo": "ddbench.core.specs",
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
    "Contents",
    "DDBenchError",
    "DataError",
    "DatasetInfo",
    "DatasetRecord",
    "DistillationParams",
    "Draft",
    "EvalInputs",
    "EvalProtocol",
    "ImageStream",
    "Images",
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
    "Results",
    "RunContext",
    "Selection",
    "Selector",
    "Standing",
    "State",
    "StorageBytes",
    "StoreError",
    "StudentInfo",
    "UsageError",
    "evaluate",
    "hookimpl",
    "load_set",
    "read",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # said once, in pyproject.toml
        from importlib.metadata import version

        return version("ddbench")
    if name not in __all__:
        raise AttributeError(f"module 'ddbench' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "ddbench.core.api")), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
