"""The images of one split, as methods and evaluations see them. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ddbench.core.sets import Preprocess

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Images(Protocol):
    """N labelled images of one split, preprocessed, on the device: what methods and evaluations train on.

    Attributes:
        labels: int64 [N] on the device.
    """

    labels: Tensor

    def __len__(self) -> int: ...

    @property
    def preprocess(self) -> Preprocess:
        """The space of :meth:`images`."""
        ...

    @property
    def device(self) -> torch.device:
        """Where images and labels are."""
        ...

    def images(self, index: Tensor | None = None) -> Tensor:
        """Preprocessed images, float32 [n, C, H, W] on the device.

        Args:
            index: int64 [n], on any device; None: all, as a shared tensor that must not be written to.
        """
        ...

    def pixels(self, index: Tensor | None = None) -> Tensor:
        """Pixels before preprocessing, float32 [n, C, H, W] in [0, 1] on the device; a new tensor."""
        ...

    def preprocessed(self, pixels: Tensor) -> Tensor:
        """Images from elsewhere in the space of :meth:`images`, float32 [n, C, H, W] on the device; a new tensor.

        Args:
            pixels: float32 [n, C, H, W] in [0, 1].
        """
        ...

    def of_class(self, c: int) -> Tensor:
        """Indices of the images labelled ``c``, int64 [n_c] ascending, on the device."""
        ...
