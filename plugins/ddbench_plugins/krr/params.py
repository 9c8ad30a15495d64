"""Parameters of the krr protocols. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from ddbench import DatasetInfo, PlannedEvaluation, Profile, ProtocolParams, StudentInfo
from ddbench.blocks.kernel_names import KernelName, kernel


class KRRParams(ProtocolParams):
    """A kernel, and the ridges of which the best on val is used."""

    kernel: KernelName = Field(description="NTK of which network: fc, conv, convpool or convgap, then its depth")
    ridges: tuple[PositiveFloat, ...] = Field(
        default=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        min_length=1,
        description="ρ of the ridge λ = ρ tr(K) / n; of several the best on val, the first of equals",
    )
    images: PositiveInt = Field(description="images of the budget, whose kernel must be small enough to be solved for")

    @classmethod
    def resolve(
        cls, defaults: Mapping[str, Any], *, n: int, data: DatasetInfo, student: StudentInfo, profile: Profile
    ) -> KRRParams:
        """The same for every budget and profile."""
        return cls(**defaults, images=n)

    def unsupported(self, evaluation: PlannedEvaluation, data: DatasetInfo) -> str | None:  # type: ignore[override]
        """Kernels that are too large, and splits without val."""
        if not data.n_val:
            return "not measured: the ridge is chosen on val, and there is none (--split paper)"
        why = kernel(self.kernel).unsupported(data.size, max(self.images, evaluation.images))
        return None if why is None else f"not measured: {why}"
