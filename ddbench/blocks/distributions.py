"""How far the features of synthetic images are from those of real ones: means, kernels, characteristic functions.

Symbols: K classes, B real and n synthetic images of a class, D features, m frequencies t. Batches are class-major. All
distances are differentiable in the synthetic features only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ddbench.blocks.matching import class_means

Kind = Literal["mean", "mmd", "cf"]

SCALE = 300.0
"""What NCFM's authors multiply the distance of characteristic functions by."""
TOGETHER = 2**22
"""Numbers in the frequencies of all classes up to which classes of equal size share each operation."""
EPS = 1e-12
"""Least squared distance under a root, so that its gradient stays finite (NCFM, authors' code)."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A distance between the features of real and of synthetic images, class by class.

    Attributes:
        kind: ``mean``: :func:`mean_distances`; ``mmd``: :func:`kernel_distance`; ``cf``: :func:`phase_distance` of rows
            of length 1.
        frequencies: m, for ``cf``.
        amplitude: α, for ``cf``.
        phase: β, for ``cf``.
    """

    kind: Kind = "mean"
    frequencies: int = 4096
    amplitude: float = 0.5
    phase: float = 0.5

    def __call__(
        self, real: Tensor, syn: Tensor, real_counts: Sequence[int], syn_counts: Sequence[int],
        generator: torch.Generator,
    ) -> Tensor:  # fmt: skip
        """The distance of every class, [K].

        Args:
            real: Features of real images, [Σ real_counts, D].
            syn: Features of synthetic images, [Σ syn_counts, D].
            real_counts: B of each class.
            syn_counts: n of each class.
            generator: Of the CPU; ``cf`` draws each class's frequencies from it.

        Raises:
            ValueError: If a class is empty on one side, counts do not add up, or the feature sizes differ.
        """
        if self.kind == "mean":
            return mean_distances(real, syn, real_counts, syn_counts)
        _check(real, syn, real_counts, syn_counts)
        if self.kind == "mmd":
            pairs = zip(torch.split(real, list(real_counts)), torch.split(syn, list(syn_counts)), strict=True)
            return torch.stack([kernel_distance(x, s) for x, s in pairs])
        real, syn = functional.normalize(real, dim=1), functional.normalize(syn, dim=1)
        draws = torch.Generator(device=syn.device)
        draws.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        classes, width = len(syn_counts), syn.shape[1]
        even = len({*real_counts}) == len({*syn_counts}) == 1
        if even and classes * self.frequencies * width <= TOGETHER:
            x, s = real.view(classes, -1, width), syn.view(classes, -1, width)
            return self._phase_distance(x, s, (classes, self.frequencies, width), draws)
        pairs = zip(torch.split(real, list(real_counts)), torch.split(syn, list(syn_counts)), strict=True)
        return torch.stack([self._phase_distance(x, s, (self.frequencies, width), draws) for x, s in pairs])

    def _phase_distance(self, real: Tensor, syn: Tensor, size: tuple[int, ...], draws: torch.Generator) -> Tensor:
        t = torch.randn(size, generator=draws, device=syn.device, dtype=syn.dtype)
        return phase_distance(real, syn, t, self.amplitude, self.phase)


def mean_distances(real: Tensor, syn: Tensor, real_counts: Sequence[int], syn_counts: Sequence[int]) -> Tensor:
    """‖mean f(x) − mean f(s)‖² of every class (Zhao & Bilen, WACV 2023, eq. 4), [K].

    Their sum is :func:`ddbench.blocks.matching.class_mean_feature_distance`; arguments and errors are its own.
    """
    _check(real, syn, real_counts, syn_counts)
    return (class_means(real.detach(), real_counts) - class_means(syn, syn_counts)).square().sum(1)


def kernel_distance(real: Tensor, syn: Tensor) -> Tensor:
    """MMD² of one class: mean k(x, x') + mean k(s, s') − 2 mean k(x, s), a point with itself being a pair too.

    k(a, b) = exp(−‖a − b‖² / (2h²)); h is the median distance over all pairs of different points, real or synthetic,
    and a constant for the gradient (:func:`median_distance`).

    Args:
        real: [B, D].
        syn: [n, D].

    Returns:
        Scalar ≥ 0; 0 where both sides hold the same points equally often.
    """
    real = real.detach()
    points = torch.cat([real, syn])
    squares = _squared_distances(points - points.detach().mean(0))
    h = median_distance(squares.detach())
    kernel = (squares / (-2 * h.square().clamp_min(torch.finfo(h.dtype).tiny))).exp()
    b = len(real)
    return kernel[:b, :b].mean() + kernel[b:, b:].mean() - 2 * kernel[:b, b:].mean()


def median_distance(squares: Tensor) -> Tensor:
    """The median of the distances of all pairs i < j; of an even number the mean of the middle two.

    Args:
        squares: Squared distances, [N, N].
    """
    i, j = torch.triu_indices(len(squares), len(squares), offset=1, device=squares.device)
    found = squares[i, j].sqrt()
    lower, upper = (found.kthvalue(1 + k).values for k in ((len(found) - 1) // 2, len(found) // 2))
    return (lower + upper) / 2


def phase_distance(real: Tensor, syn: Tensor, t: Tensor, amplitude: float = 0.5, phase: float = 0.5) -> Tensor:
    """The distance of characteristic functions of one class, as NCFM's authors ship it (Wang et al., CVPR 2025).

    With Φ(t) = mean_i exp(i ⟨t, f_i⟩) and A = |Φ|:

        300 · mean_t √( α (A_x − A_s)² + β · max(2 (A_x A_s − Re Φ_x Re Φ_s − Im Φ_x Im Φ_s), 1e-12) )

    Since both parts add up to |Φ_x − Φ_s|², for α = β it is 300 √α · mean_t |Φ_x − Φ_s|, which is computed that way.

    Args:
        real: [B, D], or [K, B, D].
        syn: [n, D], or [K, n, D].
        t: Frequencies, [m, D], or [K, m, D].
        amplitude: α ≥ 0.
        phase: β ≥ 0.

    Returns:
        Scalar ≥ 0, or [K]; of a set with itself at most 300 · √(max(α, β) · 1e-12).
    """
    re_x, im_x = characteristic(real.detach(), t)
    re_s, im_s = characteristic(syn, t)
    if amplitude == phase:
        apart = (re_x - re_s).square() + (im_x - im_s).square()
        return SCALE * math.sqrt(phase) * apart.clamp_min(EPS).sqrt().mean(-1)
    a_x, a_s = (_modulus(re, im) for re, im in ((re_x, im_x), (re_s, im_s)))
    turned = (2 * (a_x * a_s - re_x * re_s - im_x * im_s)).clamp_min(EPS)
    return SCALE * (amplitude * (a_x - a_s).square() + phase * turned).clamp_min(EPS * EPS).sqrt().mean(-1)


def characteristic(features: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of the characteristic function of features […, n, D] at t [..., m, D]: [..., m] each."""
    angles = features @ t.mT
    return angles.cos().mean(-2), angles.sin().mean(-2)


def _modulus(re: Tensor, im: Tensor) -> Tensor:
    return (re.square() + im.square()).clamp_min(EPS * EPS).sqrt()


def _squared_distances(points: Tensor) -> Tensor:
    """‖a − b‖² of all pairs, [N, N]; of a point and itself 0."""
    norms = points.square().sum(1)
    squares = (norms[:, None] + norms[None, :] - 2 * points @ points.T).clamp_min(0)
    return squares * (1 - torch.eye(len(points), dtype=points.dtype, device=points.device))


def _check(real: Tensor, syn: Tensor, real_counts: Sequence[int], syn_counts: Sequence[int]) -> None:
    if len(real_counts) != len(syn_counts):
        raise ValueError(f"{len(real_counts)} real classes do not match {len(syn_counts)} synthetic ones")
    if real.shape[1:] != syn.shape[1:]:
        raise ValueError(f"features of real {list(real.shape[1:])} and synthetic {list(syn.shape[1:])} images differ")
    for counts, features in ((real_counts, real), (syn_counts, syn)):
        if min(counts, default=0) < 1 or sum(counts) != len(features):
            raise ValueError(f"classes of {list(counts)} images do not make up a batch of {len(features)}")
