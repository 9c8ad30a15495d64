"""The images of one split as tensors on the device: what methods and evaluations train on."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from ddbench.core.api import DatasetRecord, Preprocess
from ddbench.core.errors import DataError
from ddbench.core.plugin.registry import Registry
from ddbench.core.specs import DataSpec
from ddbench.data.prepared.on_disk import Prepared, find
from ddbench.data.prepared.views import Part, parts_of, seen
from ddbench.data.space.ids import ZCA, constants
from ddbench.data.space.preprocess import Standardise, Transform, fronts, load_whitening

CACHE_BYTES = 512 * 2**20
"""Largest set of float images that is kept once it was asked for as a whole, and on a GPU from the first batch on."""

CPU_CACHE_BYTES = 16 * 2**20
"""Largest one that is kept on a CPU from the first batch on: more does not stay in the processor's caches, and a batch
from there takes as long as one that is preprocessed anew. Measured for 256 images of 28 pixels [ms], kept and anew:
0.06 and 0.17 of 4 MiB, 0.17 and 0.22 of 30 MiB, 0.24 and 0.26 of 150 MiB."""

_CHUNK = 1024

Known = Registry[DatasetRecord] | None


class Split:
    """N labelled images.

    They are held as uint8. Their preprocessed form is kept as well when it is small, when preprocessing is costly, or
    when all of it was asked for; images are the same to the bit either way.

    Args:
        images: uint8 [M, C, H, W] on the device, or mapped from a file; never written to.
        labels: int64 [N] on the device.
        transform: The preprocessing.
        levels: Pixel value that maps to 1.0.
        source_indices: int64 [N] on the CPU, positions in the prepared data set.
        rows: int64 [N] on the device, where among ``images`` these are; None: they are all of them, in order.
        cache_bytes: Largest preprocessed form that is kept from the first batch on [bytes]; None: as suits the device.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        transform: Transform,
        *,
        levels: int,
        source_indices: Tensor,
        rows: Tensor | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.labels = labels
        self.source_indices = source_indices
        self._uint8 = images
        self._rows = torch.arange(len(images), device=images.device) if rows is None else rows
        self._levels = levels
        self._transform = transform
        self._keeps = CPU_CACHE_BYTES if images.device.type == "cpu" else CACHE_BYTES
        if cache_bytes is not None:
            self._keeps = cache_bytes
        self._shape = (len(labels), *images.shape[1:])
        self._floats: Tensor | None = None
        self._members: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def preprocess(self) -> Preprocess:
        """The space of :meth:`images`."""
        return self._transform.preprocess

    @property
    def device(self) -> torch.device:
        """Where images and labels are."""
        return self.labels.device

    def images(self, index: Tensor | None = None) -> Tensor:
        """Preprocessed images.

        Args:
            index: int64 [n], on any device; None: all, as a shared tensor that must not be written to.

        Returns:
            float32 [n, C, H, W] on the device.
        """
        if self._floats is None:
            most = self._keeps if index is not None else max(self._keeps, CACHE_BYTES)
            if self._transform.cheap and math.prod(self._shape) * 4 > most:
                return self._transform(self.pixels(index))
            self._floats = self._preprocess_all()
        return self._floats if index is None else self._floats[index.to(self.device)]

    def pixels(self, index: Tensor | None = None) -> Tensor:
        """Pixels before preprocessing, float32 [n, C, H, W] in [0, 1] on the device; a new tensor."""
        stored = self._uint8[self._rows if index is None else self._rows[index.to(self.device)]]
        return stored.to(torch.float32).div_(self._levels)

    def preprocessed(self, pixels: Tensor) -> Tensor:
        """Images from elsewhere in the space of :meth:`images`.

        Args:
            pixels: float32 [n, C, H, W] in [0, 1].

        Returns:
            float32 [n, C, H, W] on the device; a new tensor.
        """
        return self._transform(pixels.to(self.device, copy=True))

    def of_class(self, c: int) -> Tensor:
        """Indices of the images labelled ``c``, int64 [n_c] ascending, on the device."""
        if c not in self._members:
            self._members[c] = torch.nonzero(self.labels == c).flatten()
        return self._members[c]

    def _preprocess_all(self) -> Tensor:
        """In chunks of fixed size, so that the result does not depend on who asks first."""
        floats = torch.empty(self._shape, dtype=torch.float32, device=self.device)
        for start in range(0, len(self), _CHUNK):
            index = torch.arange(start, min(start + _CHUNK, len(self)), device=self.device)
            floats[index] = self._transform(self.pixels(index))
        return floats


def open_splits(
    spec: DataSpec, *, device: torch.device | str, whitening: Path | None = None, known: Known = None
) -> tuple[Split, Split]:
    """Train and validation images of ``spec``.

    Args:
        spec: Name, revision, split, view and preprocessing.
        device: Where tensors go.
        whitening: Folder of the ``zca`` artifact, for preprocessings that need it.
        known: Registered data sets, which declare constants; None: those that this command knows.

    Raises:
        DataError: If the prepared data set or the matrices are missing or damaged.
        UsageError: If the view or the preprocessing is impossible for this data set.
    """
    prepared, transform = _open(spec, device, whitening, known)
    parts = parts_of(prepared, spec.split, spec.view)
    return _split(prepared, parts.train, transform, device), _split(prepared, parts.val, transform, device)


def open_whole(
    spec: DataSpec, *, device: torch.device | str, whitening: Path | None = None, known: Known = None
) -> Split:
    """Train ∪ val of ``spec`` in the order of the source; arguments and errors as :func:`open_splits`."""
    prepared, transform = _open(spec, device, whitening, known)
    return _split(prepared, parts_of(prepared, spec.split, spec.view).whole, transform, device)


def open_test(
    spec: DataSpec, *, device: torch.device | str, whitening: Path | None = None, known: Known = None
) -> Split:
    """Test images of ``spec``, under split ``tune`` those in their place; for the core alone.

    Arguments and errors are those of :func:`open_splits`.
    """
    prepared, transform = _open(spec, device, whitening, known)
    return _split(prepared, parts_of(prepared, spec.split, spec.view).test, transform, device)


def _open(
    spec: DataSpec, device: torch.device | str, whitening: Path | None, known: Known
) -> tuple[Prepared, Transform]:
    prepared = seen(find(spec.name, spec.revision, known), spec.view)
    mean, std = constants(prepared, spec.preprocess)
    where = torch.device(device)
    if spec.preprocess not in ZCA:
        return prepared, Standardise(Preprocess(id=spec.preprocess, mean=mean, std=std), where)
    if whitening is None:
        raise DataError(
            f"preprocessing {spec.preprocess!r} of {spec.name} needs its whitening matrices (artifact `zca`)"
        )
    rows = fronts(mean, std, where)[ZCA[spec.preprocess]]
    return prepared, load_whitening(spec.preprocess, whitening, where, rows)


def _split(prepared: Prepared, part: Part, transform: Transform, device: torch.device | str) -> Split:
    """On a CPU stored images stay in their file, mapped: opening reads none, and all processes share one copy."""
    where, indices = torch.device(device), torch.tensor(part.indices)
    mapped = where.type == "cpu" and prepared.pool == 1
    return Split(
        torch.from_numpy(prepared.images if mapped else prepared.pixels(part.indices)).to(where),
        torch.tensor(part.labels, device=where),
        transform,
        levels=prepared.meta.levels,
        source_indices=indices,
        rows=indices.clone() if mapped else None,
    )
