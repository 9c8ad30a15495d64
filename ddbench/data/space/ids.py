"""The preprocessing ids: which exist, what they need, which constants they use. No torch."""

from __future__ import annotations

from typing import Literal

from ddbench.core.errors import UsageError, unknown
from ddbench.core.names import meant
from ddbench.core.specs import ArtifactSpec, DataSpec
from ddbench.data.catalog import CIFAR10_MEAN, CIFAR10_STD
from ddbench.data.prepared.on_disk import Prepared
from ddbench.data.space.params import ZCAParams

MEANSTD = "meanstd"
MEANSTD_MTT = "meanstd-mtt"
ZCA: dict[str, Literal["kornia", "frepo", "kip"]] = {"zca-kornia": "kornia", "zca-frepo": "frepo", "zca-kip": "kip"}
"""Preprocessing id → variant of the whitening."""

PREPROCESSINGS: dict[str, str] = {
    MEANSTD: "(x − mean) / std per channel, with the data set's constants",
    MEANSTD_MTT: "the same with CIFAR-10's constants, as the trajectory papers do for CIFAR-100",
    "zca-kornia": "ZCA whitening of [0, 1] pixels, eps 0.1, fitted on train (MTT, DATM)",
    "zca-frepo": "standardised, then ZCA with 0.1 of the mean eigenvalue (FRePo)",
    "zca-kip": "standardised, each image centred and of norm 1, then ZCA with 0.1 of the mean eigenvalue (KIP)",
}

_ALSO = {"zca-kornia": ("zca",)}
"""What else papers call one: the option ``--zca`` of MTT and DATM."""


def named(text: str) -> str:
    """The preprocessing that ``text`` means, in any case and with any hyphens; ``zca`` is ``zca-kornia``.

    Raises:
        UsageError: If it means none.
    """
    found = meant(text, {name: _ALSO.get(name, ()) for name in PREPROCESSINGS})
    if len(found) != 1:
        raise unknown("preprocessing", text, PREPROCESSINGS, "ddbench run --help")
    return found[0]


def keeps_pixels(preprocess: str) -> bool:
    """Whether pixels can be had back from a space: ``zca-kip`` keeps neither brightness nor contrast."""
    return ZCA.get(preprocess) != "kip"


def constants(prepared: Prepared, preprocess: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel (mean, std) of pixels in [0, 1]; those of ``meanstd`` for spaces that use none.

    Raises:
        UsageError: If ``preprocess`` is unknown or does not fit the data set.
    """
    if preprocess not in PREPROCESSINGS:
        raise unknown("preprocessing", preprocess, PREPROCESSINGS, "ddbench run --help")
    if preprocess != MEANSTD_MTT:
        return prepared.constants
    if prepared.meta.shape[1] != len(CIFAR10_MEAN):
        raise UsageError(
            f"preprocessing {MEANSTD_MTT!r} uses CIFAR-10's three-channel constants; {prepared.name} has"
            f" {prepared.meta.shape[1]} channel: use meanstd"
        )
    return CIFAR10_MEAN, CIFAR10_STD


def artifact_for(spec: DataSpec) -> ArtifactSpec | None:
    """The matrices that must exist before images of ``spec`` can be whitened; None for mean/std."""
    if spec.preprocess not in ZCA:
        return None
    data = spec.model_copy(update={"preprocess": MEANSTD})
    return ArtifactSpec(kind="zca", data=data, params=ZCAParams(variant=ZCA[spec.preprocess]).model_dump())
