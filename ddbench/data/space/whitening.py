"""ZCA whitening matrices (artifact kind ``zca``): W = U (Λ + r)^(-1/2) Uᵀ of the covariance U Λ Uᵀ of train.

Where a matrix [D, D] would be too large and there are fewer images than numbers in one, W = rest · I − F Fᵀ with a
factor F [D, n] (:func:`ddbench.data.space.params.is_thin`): the same map, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ddbench.core.api import RunContext
from ddbench.core.errors import DataError
from ddbench.data.space.matrices import MATRICES
from ddbench.data.space.params import ZCAParams, is_thin
from ddbench.data.space.preprocess import fronts

_CHUNK = 2048
_BLOCK = 1 << 23
"""Numbers that are float64 at a time where the whitening is thin."""


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


def fit_thin(chunks: Callable[[], Iterator[Tensor]], params: ZCAParams) -> tuple[Tensor, Tensor, Tensor]:
    """The whitening of :func:`fit` of n rows from their n × n products, without a matrix [D, D].

    The covariance XᵀX / m of rank n has the eigenvalues λ of XXᵀ / m with eigenvectors V, and r elsewhere, so
    W = r^(-1/2) I − Xᵀ V diag(f / m) Vᵀ X, f = (r^(-1/2) − (λ + r)^(-1/2)) / λ, which is written without a difference.

    Args:
        chunks: As for :func:`fit`.
        params: As for :func:`fit`.

    Returns:
        Mean [D], F [D, n] and rest [1], float32.

    Raises:
        ValueError: If there are fewer than 2 images.
    """
    rows = torch.cat(list(chunks()))
    count, size = rows.shape
    if count < 2:
        raise ValueError(f"whitening needs at least 2 images, got {count}")
    columns = range(0, size, max(1, _BLOCK // count))
    mean = torch.zeros(size, dtype=torch.float64, device=rows.device)
    products = torch.zeros(count, count, dtype=torch.float64, device=rows.device)

    def centred(start: int) -> tuple[slice, Tensor]:
        where = slice(start, start + columns.step)
        return where, rows[:, where].to(torch.float64) - mean[where]

    for start in columns:
        where, block = centred(start)
        if params.variant != "kip":
            mean[where] = block.mean(0)
            block -= mean[where]
        products.addmm_(block, block.T)
    absolute = params.variant == "kornia"
    m = count - 1 if absolute else count
    ridge = params.eps * (1.0 if absolute else float(products.trace()) / m / size)
    values, vectors = torch.linalg.eigh(products.div_(m))
    root = values.clamp(min=0).add(ridge).sqrt()
    vectors *= (m * ridge**0.5 * root * (ridge**0.5 + root)).rsqrt()
    factor = torch.empty(size, count, dtype=torch.float32, device=rows.device)
    for start in columns:
        where, block = centred(start)
        factor[where] = (block.T @ vectors).float()
    return mean.float(), factor, torch.tensor([ridge**-0.5], dtype=torch.float32)


def build(ctx: RunContext, folder: Path, params: ZCAParams) -> None:
    """Write ``matrices.safetensors``, fitted on ``ctx.train``: float32 ``mean`` [D], and ``whiten`` [D, D] or a factor.

    A factor is ``factor`` [D, n] with ``rest`` [1].

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
            ctx.progress(done, 2 * count, "images for the whitening")

    if count < 2:
        raise DataError(f"{ctx.dataset.name}: whitening needs at least 2 training images")
    if is_thin(count, ctx.train.pixels(torch.arange(1)).numel()):
        mean, factor, rest = fit_thin(chunks, params)
        found = {"mean": mean, "factor": factor, "rest": rest}
    else:
        mean, whiten = fit(chunks, params)
        found = {"mean": mean, "whiten": whiten}
    save_file({name: part.cpu().contiguous() for name, part in found.items()}, folder / MATRICES)
