"""From the space that networks see back to pixels."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ddbench import artifacts
from ddbench.api import CondensedSet
from ddbench.data.preprocess import MATRICES
from ddbench.data.spaces import ZCA
from ddbench.data.split import open_splits
from ddbench.errors import CorruptFileError, UsageError
from ddbench.evaluate.quantise import pixels_of
from ddbench.records import Record
from ddbench.specs import DataSpec


def in_space(condensed: CondensedSet, record: Record) -> Tensor:
    """The images as networks see them, float32 [n, C, H, W], also of a set that points at real ones.

    Raises:
        DataError: If the data set is not there any more.
        UsageError: If the whitening matrices are gone.
    """
    if condensed.images is not None:
        return condensed.images
    assert condensed.indices is not None
    train, _ = open_splits(data_of(record), device="cpu", whitening=whitening_of(record))
    return train.images(condensed.indices).clone()


def data_of(record: Record) -> DataSpec:
    """The data that a record's set was made from."""
    return DataSpec.model_validate(record.spec["cell"]["data"])


def whitening_of(record: Record) -> Path | None:
    """Folder of the matrices that the set's space was made with; None for spaces without.

    Raises:
        UsageError: If they are gone or changed.
    """
    place = record.spec.get("artifacts", {}).get("whitening")
    if place is None:
        return None
    try:
        return artifacts.verify(*place)
    except CorruptFileError as error:
        raise UsageError(f"{error}: any run with --preprocess {data_of(record).preprocess} fits them again") from error


def matrices_of(record: Record) -> dict[str, Tensor]:
    """``mean`` [D] and ``whiten`` [D, D] of the set's space; empty for spaces without."""
    from safetensors.torch import load_file

    folder = whitening_of(record)
    return {} if folder is None else load_file(folder / MATRICES)


def to_pixels(condensed: CondensedSet, record: Record) -> Tensor | None:
    """The images as pixels, float32 [n, C, H, W]; optimised ones may leave [0, 1].

    Real images are exact. None for ``zca-kip``: it divides each image by its length, which is not kept.

    Raises:
        UsageError: If the whitening matrices are gone.
    """
    if condensed.images is None:
        return real_pixels(condensed, record)
    data, folder = data_of(record), whitening_of(record)
    return None if ZCA.get(data.preprocess) == "kip" else pixels_of(condensed, data, folder)


def real_pixels(condensed: CondensedSet, record: Record) -> Tensor:
    """The real images that a set points at, exact, float32 [n, C, H, W] in [0, 1].

    Raises:
        DataError: If the data set is not prepared.
    """
    assert condensed.indices is not None
    plain = data_of(record).model_copy(update={"preprocess": "meanstd"})
    return open_splits(plain, device="cpu")[0].pixels(condensed.indices)
