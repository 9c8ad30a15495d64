"""Decode a source once into a prepared folder: streamed, hashed, and published all at once. No torch."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ddbench.core.errors import CorruptFileError, DataError, DDBenchError, StoreError
from ddbench.core.infos import Contents
from ddbench.core.plugin.places import placed
from ddbench.core.store.files import atomic_write, folder_error, store_error
from ddbench.data.prepared.contents import Seen, copies_of, difference, looks, refuse_meaningless, seal
from ddbench.data.prepared.on_disk import ARRAYS, META, Meta, Prepared, open_folder
from ddbench.data.prepared.pooling import channel_statistics
from ddbench.data.prepared.splits import Indices, Splits, make_splits
from ddbench.data.prepared.written import AlteredError, hashed_facts, keep, revisions
from ddbench.data.readers.raw import PARTS, ImageStream, Labels, PartName, Pixels, RawDataset, check
from ddbench.data.readers.troubles import UnreadableImagesError

PARTIAL = ".partial-"
"""Prefix of folders that are being written; those of a killed process never count."""


class OtherDataError(DataError):
    """Data that are not those of the name that they are given."""


def decode(
    raw: RawDataset, parent: Path, *, name: str, contents: Contents | None = None, allow_copies: bool = False
) -> Prepared:
    """Write ``raw`` to ``parent/<revision>/``.

    Pixels pass through in chunks and are written with plain writes: memory stays low, and a full disk is an error
    message (through a memory map it would be a SIGBUS).

    Args:
        raw: What the reader returned.
        parent: ``$DDBENCH_HOME/data/<name>``; must exist.
        name: Name of the data set.
        contents: What it must hold; such data are known, and copies among them are nobody's mistake.
        allow_copies: Whether more than 5 % of the test images may be training images.

    Raises:
        DataError: If the source is unreadable, not usable as a data set, or not what ``contents`` says.
        StoreError: If the folder cannot be written.
    """
    check(raw)
    parts = raw.parts()
    labels = np.concatenate([part_labels for _, part_labels in parts.values()]).astype(np.int64)
    sizes = {part: len(part_labels) for part, (_, part_labels) in parts.items()}
    make_splits(labels, sizes, raw.class_names, raw.holdout)  # refuses what is too small before anything is decoded
    temporary = _temporary_folder(parent)
    try:
        try:
            seen, shape, hasher = _write_images(temporary / "images.npy", raw)
            images = np.load(temporary / "images.npy", mmap_mode="r")
            copies: Indices | None = None
            notes: tuple[str, ...] = ()
            if contents is None:
                copies, notes = _judged(seen, labels, raw, allow_copies)
            else:
                _require(difference(contents, images, labels, sizes, raw.levels, seen))
                seal(temporary, contents)
            splits, together = _splits(raw, labels, sizes, copies)
            hasher.update(np.ascontiguousarray(labels, dtype="<i8").data)
            revision = revisions(hasher)[together]
            _write_arrays(temporary, labels, splits)
            mean, std = channel_statistics(images, splits.train, raw.levels)
            meta = Meta(
                name=name,
                revision=revision,
                shape=shape,
                class_names=raw.class_names,
                levels=raw.levels,
                parts=sizes,
                splits={"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
                train_mean=mean,
                train_std=std,
                notes=(*raw.notes, *notes, *splits.notes),
                sizes={f"{array}.npy": (temporary / f"{array}.npy").stat().st_size for array in ARRAYS},
            )
            keep(temporary, tuple(meta.sizes))
            atomic_write(temporary / META, meta.model_dump_json(indent=1).encode())
            return _publish(temporary, parent / revision)
        except OSError as error:
            raise store_error(parent, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def source_error(error: BaseException, where: str) -> DDBenchError:
    """What the user reads when a reader failed."""
    if isinstance(error, DDBenchError):
        if not isinstance(error, DataError):
            return error
        place = where.partition(" in ")[2]  # which many readers name again
        if not place and isinstance(error, UnreadableImagesError):
            return UnreadableImagesError(error.lost)  # with those of other parts later
        said = str(error).removeprefix(f"{place}: ").removeprefix(f"{place} ") if place else str(error)
        return DataError(f"{where}: {said}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{where}: disk full while unpacking ({error}); set TMPDIR to a folder with more room")
    return DataError(placed(f"{where}: cannot be read: {type(error).__name__}: {error}", error))


@contextmanager
def reading(where: str) -> Iterator[None]:
    """A reader at work: whatever it raises, SystemExit included, is an error of its data set."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise source_error(error, where) from error


def _temporary_folder(parent: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=PARTIAL, dir=parent))
    except OSError as error:
        raise folder_error(parent, error) from error


def _judged(
    seen: dict[PartName, Seen], labels: Labels, raw: RawDataset, allow_copies: bool
) -> tuple[Indices | None, tuple[str, ...]]:
    """What of images that nobody vouches for is refused or noted; which are copies of which, None where none is."""
    refuse_meaningless(seen, raw.levels, raw.notes)
    copies = copies_of(seen, labels)
    if not allow_copies:
        copies.refuse_shared()
    channels = raw.parts()["train"][0].shape[1]
    return copies.first if copies.any else None, (*looks(seen, raw.levels, channels), *copies.notes())


def _require(why: str | None) -> None:
    if why is not None:
        raise OtherDataError(why)


def _splits(raw: RawDataset, labels: Labels, sizes: dict[PartName, int], copies: Indices | None) -> tuple[Splits, bool]:
    """The splits, and whether copies change them: such data have another revision than data without that care."""
    splits = make_splits(labels, sizes, raw.class_names, raw.holdout, copies)
    if copies is None:
        return splits, False
    plain = make_splits(labels, sizes, raw.class_names, raw.holdout)
    return splits, not all(np.array_equal(getattr(splits, part), getattr(plain, part)) for part in PARTS)


def _write_images(path: Path, raw: RawDataset) -> tuple[dict[PartName, Seen], tuple[int, int, int, int], hashlib._Hash]:
    """Stream all images into one ``.npy`` file; what was seen of each part, the file's shape, and the hash so far."""
    parts = raw.parts()
    count = sum(images.shape[0] for images, _ in parts.values())
    shape = (count, *parts["train"][0].shape[1:])
    counts = {part: images.shape[0] for part, (images, _) in parts.items()}
    hasher = hashlib.sha256(hashed_facts(shape, counts, raw.class_names, raw.levels))
    seen = {part: Seen() for part in parts}
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part, chunk in _with_progress({part: images for part, (images, _) in parts.items()}, count):
            pixels = np.ascontiguousarray(chunk)
            hasher.update(pixels.data)
            file.write(pixels.data)
            seen[part].add(pixels)
        file.flush()
        os.fsync(file.fileno())
    return seen, shape, hasher


def _with_progress(streams: Mapping[PartName, ImageStream], count: int) -> Iterator[tuple[PartName, Pixels]]:
    """All chunks, with a bar on stderr when that is a terminal; unreadable images of all parts are one error."""
    from tqdm import tqdm

    lost: list[str] = []
    with tqdm(total=count, desc="decoding", unit="img", disable=None, leave=False) as bar:
        for part, images in streams.items():
            try:
                for chunk in checked_chunks(images):
                    yield part, chunk
                    bar.update(len(chunk))
            except UnreadableImagesError as error:
                lost += error.lost
    if lost:
        raise UnreadableImagesError(lost)


def checked_chunks(images: ImageStream) -> Iterator[Pixels]:
    """The chunks of a stream, which must hold what its shape promises.

    Raises:
        DataError: If they do not, or if decoding fails.
    """
    seen = 0
    with reading("while decoding"):
        iterator = images.chunks()
    while True:
        with reading("while decoding"):  # here, so that a reader's OSError is not taken for one of writing
            chunk = next(iterator, None)
        if chunk is None:
            break
        if chunk.dtype != np.uint8 or chunk.shape[1:] != images.shape[1:]:
            raise DataError(f"a chunk of images is {chunk.dtype}{list(chunk.shape)}, not uint8 {list(images.shape)}")
        seen += len(chunk)
        yield chunk
    if seen != images.shape[0]:
        raise DataError(f"{seen} images were read where {images.shape[0]} were promised")


def _write_arrays(folder: Path, labels: Labels, splits: Splits) -> None:
    arrays = {"labels": labels, "train": splits.train, "val": splits.val, "test": splits.test}
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())


def _publish(temporary: Path, folder: Path) -> Prepared:
    """Move a finished folder to its place, unless the same content is there already (others may be reading it)."""
    if folder.exists():
        with suppress(CorruptFileError, AlteredError, OSError):
            existing = open_folder(folder)
            if all(filecmp.cmp(temporary / name, folder / name, shallow=False) for name in existing.meta.sizes):
                for beside in temporary.iterdir():  # what is said of the same pixels may have changed
                    if beside.name not in existing.meta.sizes:
                        beside.replace(folder / beside.name)
                return open_folder(folder)
        damaged = temporary.with_name(f"{temporary.name}.damaged")
        folder.replace(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    temporary.chmod(0o755)  # mkdtemp's 0o700 would lock out colleagues who share the home
    temporary.replace(folder)
    return open_folder(folder)
