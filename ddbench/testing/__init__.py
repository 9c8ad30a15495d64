"""What plugin authors test with: contracts for each hook, and pytest fixtures."""

from ddbench.testing.contract import (
    CHECKS,
    ArchitectureContract,
    ArtifactContract,
    DatasetContract,
    MethodContract,
    Outcome,
    ProtocolContract,
    run_check,
)
from ddbench.testing.subject import Bench, Subject

__all__ = [
    "CHECKS",
    "ArchitectureContract",
    "ArtifactContract",
    "Bench",
    "DatasetContract",
    "MethodContract",
    "Outcome",
    "ProtocolContract",
    "Subject",
    "run_check",
]
