"""How a set's images are stored and what they decode to: pixels, several images on one canvas, or small images.

Multi-formation: Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization", ICML 2022, sec. 4.
Decoding is linear, has no parameters of its own, and lets gradients pass. Symbols: m stored images ("codes"), n decoded
ones, f the factor; batches are class-major and stay so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.blocks.params import StartParams, images_per_stored
from ddbench.core.api import CondensedSet, Preprocess, Recipe

Form = Literal["pixels", "multi-formation", "upsampled"]


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """Codes [m, C, h, w] → images [n, C, H, W].

    Attributes:
        form: ``pixels``: the images themselves, n = m. ``multi-formation``: a canvas of full size holds f × f small
            images, each of which is upsampled to full size, n = f² m. ``upsampled``: images of side H / f, n = m.
        factor: f; without effect for pixels. H must be a multiple of it.
    """

    form: Form = "pixels"
    factor: int = 2

    @classmethod
    def of(cls, params: StartParams) -> Parametrisation:
        """What a method's hyper-parameters ask for."""
        return cls(params.parametrisation, params.factor)

    @property
    def times(self) -> int:
        """Images decoded from one stored image."""
        return images_per_stored(self.form, self.factor)

    def counts(self, stored: Sequence[int]) -> list[int]:
        """Decoded images of each class, from the stored ones of each class."""
        return [n * self.times for n in stored]

    def encode(self, images: Tensor, *, shrink: Literal["nearest", "bilinear"] = "nearest") -> Tensor:
        """The codes that real images (or noise) start as: [n, C, H, W] → [m, C, h, w].

        Small images are averaged over f × f pixels for ``upsampled``. For multi-formation they are sampled as
        ``shrink`` says: from the nearest pixels, as in its authors' code, or bilinearly (factor 2: the mean of 2 × 2).

        Raises:
            ValueError: If the side is no multiple of f, or the images do not fill the last canvas.
        """
        if self.form == "pixels":
            return images
        f, side = self.factor, images.shape[-1]
        if side % f or len(images) % self.times:
            raise ValueError(f"{len(images)} images of side {side} cannot be stored by {self.form} of factor {f}")
        if self.form == "upsampled":
            return functional.avg_pool2d(images, f)
        size = (side // f, side // f)
        small = functional.interpolate(images, size, mode=shrink, align_corners=False if shrink == "bilinear" else None)
        n, channels, h, w = small.shape
        tiles = small.view(n // f**2, f, f, channels, h, w)
        return tiles.permute(0, 3, 1, 4, 2, 5).reshape(n // f**2, channels, side, side)

    def decode(self, codes: Tensor) -> Tensor:
        """What a network sees: [m, C, h, w] → [n, C, H, W], bilinear, differentiable; a canvas row by row."""
        if self.form == "pixels":
            return codes
        f = self.factor
        if self.form == "upsampled":
            return _enlarge(codes, codes.shape[-1] * f)
        m, channels, side, _ = codes.shape
        tiles = codes.view(m, channels, f, side // f, f, side // f).permute(0, 2, 4, 1, 3, 5)
        return _enlarge(tiles.reshape(m * f**2, channels, side // f, side // f), side)

    def pull(self, codes: Tensor, gradient: Tensor) -> Tensor:
        """The gradient with respect to codes, from that with respect to the decoded images: like ``codes``."""
        if self.form == "pixels":
            return gradient
        leaf = codes.detach().requires_grad_()
        return torch.autograd.grad(self.decode(leaf), leaf, gradient)[0]

    def condensed(
        self,
        codes: Tensor,
        labels: Tensor,
        preprocess: Preprocess,
        recipe: Recipe | None = None,
        *,
        classes: Tensor | None = None,
    ) -> CondensedSet:
        """The set that codes decode to; other than pixels it carries them, and they are what it costs to keep.

        Args:
            codes: [m, C, h, w].
            labels: Of the decoded images, as for :meth:`CondensedSet.of_images`.
            preprocess: ``ctx.train.preprocess``.
            recipe: How the set wants a student to be trained.
            classes: [n] int64, see :meth:`CondensedSet.of_images`.
        """
        codes = codes.detach().float().cpu()
        return CondensedSet.of_images(
            self.decode(codes), labels.cpu(), preprocess, recipe,
            classes=None if classes is None else classes.cpu(), codes=None if self.form == "pixels" else codes,
        )  # fmt: skip


def _enlarge(images: Tensor, side: int) -> Tensor:
    return functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
