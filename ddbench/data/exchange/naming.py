"""Which tensors of a file are its images and its labels, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ddbench.core.errors import DataError, printable
from ddbench.data.readers.npz import Role, understood
from ddbench.data.readers.parts import words

USUAL: Mapping[Role, tuple[str, ...]] = {
    "images": ("images", "x", "x_train", "image"),
    "labels": ("labels", "y", "targets", "y_train", "label"),
}
"""The names that say it by themselves; ``data`` is images where nothing else is."""
RENAME = "rename them to images and labels"
_MADE = frozenset({"syn", "synthetic", "distilled", "condensed"})
_OTHERS = frozenset(
    {"real", "orig", "original", "init", "initial", "mean", "means", "grad", "grads", "pred", "preds", "hat"}
)
"""What stands in names of tensors that are not the set: real images, starting points, statistics, predictions."""
_ROLES: Mapping[str, Role] = {"input": "images", "inputs": "images", "lbl": "labels", "lbls": "labels"}
_LONGEST = 100
_LISTED = 10


def named(content: Mapping[Any, Any], role: Role, path: Path) -> str | None:
    """The name of the images, or of the labels: a usual one, or that of the only tensor which says it; None: none.

    Raises:
        DataError: If another tensor may be what is meant.
    """
    tensors = {name: part for name, part in content.items() if isinstance(part, Tensor) and isinstance(name, str)}
    usual = next((name for name in USUAL[role] if name in tensors), None)
    found = [name for name in tensors if name not in USUAL[role] and _role(name) == role]
    made = [name for name in found if _MADE & set(words(name))]
    if usual is not None:
        if made:
            raise DataError(_several(path, role, (usual, made[0])))
        return usual
    if not found:
        return "data" if role == "images" and "data" in tensors else None
    name, *more = made or found
    if more:
        raise DataError(_several(path, role, (name, *more)))
    for other, tensor in tensors.items() if role == "images" else ():
        plainly_other = bool(made) and bool(_OTHERS & set(words(other)))
        if other != name and not plainly_other and (tensor.ndim >= 3 or tensor.shape == tensors[name].shape):
            raise DataError(_several(path, role, (name, other)))
    return name


def remarks(content: Mapping[Any, Any], images: str, labels: str) -> tuple[str, ...]:
    """What a reader of the table must know: names that are not the usual ones, and what else there is."""
    usual = images in USUAL["images"] and labels in USUAL["labels"]
    taken = () if usual else (f"images were read from {printable(images)}, labels from {printable(labels)}",)
    others = [printable(str(name))[:40] for name in content if name not in (images, labels)]
    if not others:
        return taken
    few, more = others[:_LISTED], len(others) - _LISTED
    ends = [", ".join(few), f"{more} more"] if more > 0 else [", ".join(few[:-1]), few[-1]] if few[1:] else few
    return (*taken, f"{' and '.join(ends)} {'was' if len(others) == 1 else 'were'} not read")


def _role(name: str) -> Role | None:
    """What a name says: ``image_syn`` and ``syn_data`` are images, ``x_real`` and ``y_pred`` are neither."""
    if len(name) >= _LONGEST or _OTHERS & (said := set(words(name))):
        return None
    if "data" in said and said & _MADE and said <= _MADE | {"data"}:
        return "images"
    key = understood(name)
    return _ROLES.get(name.lower()) or (key.role if key.part in (None, "train") and name != "data" else None)


def _several(path: Path, role: Role, names: Iterable[str]) -> str:
    return f"{path}: {' or '.join(printable(name)[:40] for name in names)} may be the {role}: {RENAME}"
