"""Expert trajectories from elsewhere: the ``replay_buffer_<i>.pt`` files of MTT and the methods after it.

A file is a list of experts, each a list of E + 1 snapshots, each a list of parameter tensors. Read with
``weights_only=True`` and nothing else.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ddbench.blocks.experts import expert_file
from ddbench.blocks.functional import flatten
from ddbench.core.errors import DataError
from ddbench.core.words import plural

Shapes = Sequence[torch.Size]


def read_buffer(path: Path, shapes: Shapes) -> Iterator[Tensor]:
    """The experts of one file, each [E + 1, P] float32.

    Args:
        path: A ``replay_buffer_<i>.pt``.
        shapes: Shapes of the parameters of the architecture, in order.

    Raises:
        DataError: If the file is cut short, is something else, belongs to another architecture, or holds an expert that
            never moved.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: not a torch file, or one of other objects than tensors, which are refused") from error
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path}: cut short, or not saved by torch ({type(error).__name__})") from error
    if not isinstance(content, list) or not content:
        found = type(content).__name__ if content or not isinstance(content, list) else "an empty one"
        raise DataError(f"{path}: expected a list of experts, found {found}")
    for number, expert in enumerate(content):
        yield _trajectory(expert, shapes, f"{path}, expert {number}")


def _trajectory(expert: object, shapes: Shapes, where: str) -> Tensor:
    if not isinstance(expert, list) or len(expert) < 2:
        raise DataError(f"{where}: expected a list of at least two snapshots")
    for t, snapshot in enumerate(expert):
        _check_snapshot(snapshot, shapes, f"{where}, snapshot {t}")
    flat = torch.stack([flatten(list(snapshot)).float() for snapshot in expert])
    if not bool(torch.isfinite(flat).all()):
        raise DataError(f"{where}: not all parameters are finite")
    if bool((flat[1:] == flat[:-1]).all(1).any()):
        raise DataError(
            f"{where}: two snapshots are equal, so there is nothing to match (recorded on a CPU, the authors' script "
            "stores the live weights instead of copies)"
        )
    return flat


def _check_snapshot(snapshot: object, shapes: Shapes, where: str) -> None:
    if not isinstance(snapshot, list) or not all(isinstance(tensor, Tensor) for tensor in snapshot):
        raise DataError(f"{where}: expected a list of parameter tensors")
    odd = next((t for t in snapshot if not _plain(t)), None)
    if odd is not None:
        raise DataError(f"{where}: a parameter is {odd.dtype}, {odd.layout} on {odd.device}, not a plain float tensor")
    found = [tensor.shape for tensor in snapshot]
    if list(found) == list(shapes):
        return
    wrong = next((i for i, pair in enumerate(zip(found, shapes, strict=False)) if pair[0] != pair[1]), None)
    what = (
        f"{len(found)} parameters for {len(shapes)}"
        if wrong is None
        else f"parameter {wrong} has shape {list(found[wrong])}, not {list(shapes[wrong])}"
    )
    raise DataError(f"{where}: {what}; which architecture were these experts trained with? (--arch)")


def _plain(tensor: Tensor) -> bool:
    """Whether it holds numbers in memory, as parameters do."""
    return (
        tensor.layout == torch.strided and tensor.is_floating_point() and not tensor.is_quantized and not tensor.is_meta
    )


def write_pool(folder: Path, paths: Sequence[Path], shapes: Shapes) -> tuple[int, int]:
    """Write all experts of the files as a pool.

    Accuracies are not measured (nan).

    Args:
        folder: The artifact's partial folder.
        paths: Buffer files.
        shapes: As in :func:`read_buffer`.

    Returns:
        Experts, and the number E of their last snapshot.

    Raises:
        DataError: As :func:`read_buffer`, or if experts have different lengths.
    """
    count, last = 0, None
    for path in paths:
        for trajectory in read_buffer(path, shapes):
            if last not in (None, len(trajectory) - 1):
                raise DataError(
                    f"{path}: an expert has {plural(len(trajectory), 'snapshot')}, another has {(last or 0) + 1}"
                )
            last = len(trajectory) - 1
            unmeasured = torch.full((last + 1,), torch.nan)
            save_file({"snapshots": trajectory, "train_top1": unmeasured}, expert_file(folder, count))
            count += 1
    assert last is not None
    return count, last
