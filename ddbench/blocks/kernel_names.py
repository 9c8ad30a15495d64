"""Neural tangent kernels by name, for which images they can be computed, and parameters that name one. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ddbench.core.api import Params
from ddbench.core.errors import UsageError
from ddbench.core.specs import CellSpec, DatasetInfo

Pooling = Literal["none", "average", "global"]

LARGEST_SIDE = 32
"""Of images [pixels] for convolutional kernels: H·W entries for every pair of images."""
LARGEST_POOLED_SIDE = 8
"""Of images [pixels] for kernels that pool: (H·W)² entries for every pair."""
MOST_POOLED = 50
"""Images of a set for kernels that pool."""
MOST = 10_000
"""Images of a set: their kernel has as many rows and columns, and is factorised."""
MOST_ENTRIES = 1_000_000_000
"""Entries of a set's kernel, of all pairs and pixel positions together: what two cores compute in a few minutes."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The NTK of an infinitely wide ReLU network.

    Attributes:
        name: ``fc3``: fully connected. ``conv3``: 3 × 3 convolutions with ReLU, then flattened. ``convpool3``: a linear
            convolution, then 3 × 3 convolutions with ReLU and 2 × 2 average pooling, then flattened (KIP's network).
            ``convgap3``: as ``conv3``, with one average over all positions in place of flattening.
        depth: Hidden ReLU layers; one linear output layer follows.
        convolutional: Whether its layers are convolutions.
        pooling: ``average``: after every ReLU; ``global``: before the output.
        prepended: Whether a convolution without a ReLU comes first.
    """

    name: str
    depth: int
    convolutional: bool
    pooling: Pooling = "none"
    prepended: bool = False

    def entries(self, side: int) -> int:
        """Numbers kept at once for one pair of images: 1, H·W, or (H·W)² where pooling mixes positions.

        Args:
            side: H = W [pixels].
        """
        if not self.convolutional:
            return 1
        return side**2 if self.pooling == "none" else side**4

    def unsupported(self, side: int, n: int) -> str | None:
        """Why it is not computed for a set; None where it is.

        Args:
            side: H = W [pixels].
            n: Images of the set.
        """
        if n > MOST:
            return f"a kernel of at most {MOST:,} images is solved for, not of {n:,}"
        if self.pooling != "none":
            if side > LARGEST_POOLED_SIDE or n > MOST_POOLED:
                largest = f"{MOST_POOLED} images of {LARGEST_POOLED_SIDE} × {LARGEST_POOLED_SIDE}"
                return f"{self.name} pools, (H·W)² entries a pair: at most {largest}, not {n:,} of {side} × {side}"
            if self.pooling == "average" and side % 2**self.depth:
                wanted = 2**self.depth
                return f"{self.name} halves images {self.depth} times, and {side} pixels are no multiple of {wanted}"
        if self.convolutional and side > LARGEST_SIDE:
            return f"{self.name} is computed for images up to {LARGEST_SIDE} × {LARGEST_SIDE}, not {side} × {side}"
        if n * n * self.entries(side) > MOST_ENTRIES:
            most = int((MOST_ENTRIES / self.entries(side)) ** 0.5)
            return f"{self.name} of {side} × {side} pixels is solved for at most {most:,} images, not {n:,}"
        return None


_FORMS: dict[str, tuple[bool, Pooling, bool]] = {
    "fc": (False, "none", False),
    "conv": (True, "none", False),
    "convpool": (True, "average", True),
    "convgap": (True, "global", False),
}
"""Begin of a name → convolutional, pooling, prepended."""


def kernel(name: str) -> Kernel:
    """The kernel called ``name``: ``fc``, ``conv``, ``convpool`` or ``convgap``, then its depth.

    Raises:
        UsageError: If there is none.
    """
    found = re.fullmatch(r"([a-z]+)([1-9]\d?)", name)
    if found is None or found[1] not in _FORMS:
        raise UsageError(f"kernel {name!r} is none of {', '.join(_FORMS)} with a depth from 1, as in fc1 or conv3")
    return Kernel(name, int(found[2]), *_FORMS[found[1]])


def _known(name: str) -> str:
    try:
        return kernel(name).name
    except UsageError as error:
        raise ValueError(str(error)) from None


KernelName = Annotated[str, AfterValidator(_known)]
"""A parameter that names a kernel."""


class KernelParams(Params):
    """Base for methods that predict by kernel ridge regression."""

    kernel: KernelName = Field(
        default="fc1", description="NTK of which network: fc, conv, convpool or convgap, then its depth"
    )
    ridge: float = Field(default=1e-6, gt=0, description="ρ of the ridge λ = ρ tr(K_ss) / n")

    @property
    def made_for(self) -> str:
        """Regression with its kernel."""
        return f"ntk-{self.kernel}"

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """Kernels that are too large."""
        return kernel(self.kernel).unsupported(data.size, sum(cell.budget.resolve(data.counts)))
