"""ZCA whitening matrices (artifact kind ``zca``): W = U (Λ + eps)^(-1/2) Uᵀ of the covariance U Λ Uᵀ of train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ddbench.core.api import RunContext
from ddbench.core.errors import DataError
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import ZCAParams
from ddbench.data.space.preprocess import fronts

_CHUNK = 2048


def fit(chunks: Callable[[], Iterator[Tensor]], params: ZCAParams) -> tuple[Tensor, Tensor]:
    """Fit the whitening of n rows.

    Computed in float64 and in two passes (mean, then covariance), so that the result does not depend on how images are
    cut into chunks beyond float64 rounding.

    Args:
        chunks: Starts an iteration over [m, D] float32 batches of rows (see
            :func:`ddbench.data.space.preprocess.fronts`).
        params: Which variant, and its regulariser.

    Returns:
        Mean [D] (zeros for ``kip``) and symmetric W [D, D], float32. The covariance of (x − mean) W has eigenvalues
        λ / (λ + r), r = eps for ``kornia`` and eps times the mean eigenvalue for the others.

    Raises:
        ValueError: If there are fewer than 2 images.
    """
    count, total = 0, None
    for chunk in chunks():
        part = chunk.to(torch.float64).sum(0)
        count, total = count + len(chunk), part if total is None else total + part
    if total is None or count < 2:
        raise ValueError(f"whitening needs at least 2 images, got {count}")
    mean = total / count if params.variant != "kip" else torch.zeros_like(total)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
    for chunk in chunks():
        centred = chunk.to(torch.float64) - mean
        covariance.addmm_(centred.T, centred)
    absolute = params.variant == "kornia"
    eigenvalues, vectors = torch.linalg.eigh(covariance / (count - 1 if absolute else count))
    eigenvalues = eigenvalues.clamp(min=0)  # a rank-deficient covariance has some of about -1e-16
    scale = (eigenvalues + params.eps * (1.0 if absolute else eigenvalues.mean())).rsqrt()
    whiten = (vectors * scale) @ vectors.T
    return mean.float(), ((whiten + whiten.T) / 2).float()


def build(ctx: RunContext, folder: Path, params: ZCAParams) -> None:
    """Write ``matrices.safetensors`` with ``mean`` [D] and ``whiten`` [D, D] float32, fitted on ``ctx.train``.

    Raises:
        DataError: If train has fewer than 2 images.
    """
    count, done = len(ctx.train), 0
    rows = fronts(ctx.dataset.mean, ctx.dataset.std, ctx.device)[params.variant]

    def chunks() -> Iterator[Tensor]:
        nonlocal done
        for start in range(0, count, _CHUNK):
            index = torch.arange(start, min(start + _CHUNK, count))
            yield rows(ctx.train.pixels(index))
            done += len(index)
            ctx.progress(done, 2 * count, "whitening")

    if count < 2:
        raise DataError(f"{ctx.dataset.name}: whitening needs at least 2 training images")
    mean, whiten = fit(chunks, params)
    save_file({"mean": mean.cpu().contiguous(), "whiten": whiten.cpu().contiguous()}, folder / MATRICES)
