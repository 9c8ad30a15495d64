"""`manifest.json` beside every set: what it is, what its numbers mean, and how to load it. No torch."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbench.data.spaces import PREPROCESSINGS
from ddbench.exchange.sources import MANIFEST
from ddbench.files import atomic_write
from ddbench.members import IMPORTED
from ddbench.records import Record
from ddbench.specs import CellSpec, DatasetInfo

if TYPE_CHECKING:
    from ddbench.api import CondensedSet

SCHEMA = 1

LICENCES: dict[str, str] = {
    "digits": "CC BY 4.0 (UCI Machine Learning Repository, Optical Recognition of Handwritten Digits)",
    "fashionmnist": "MIT (Zalando SE)",
    "mnist": "CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)",
    "svhn": "for non-commercial use only (its authors)",
    "tinyimagenet": "ImageNet's terms: non-commercial research and education",
}
"""What is known of the real images' terms; a set made from them may be bound by these."""

WHITENED = "; then (x − matrices.mean) @ matrices.whiten on flattened images"

FIELDS = {
    "images": "float32 [n, C, H, W] in the space that `preprocess` describes: what a network is trained on",
    "indices": "int64 [n], instead of images: which of the real training images of `data` they are",
    "labels": "int64 [n] classes, or float32 [n, K] as `label_space` says: hard, probs (rows sum to 1), logits "
    "(softmax them), centred (1 − 1/K for the class, −1/K for others: regression targets)",
    "weights": "float32 [n], factor of each image's loss; absent: all 1",
    "aux.classes": "int64 [n], the class that each image of a soft-labelled set stands for",
}
"""The tensors of ``condensed.safetensors``: ``safetensors.torch.load_file(path)``."""


def manifest(
    cell: CellSpec, label: str, condensed: CondensedSet, info: DatasetInfo, *, key: str, set_sha256: str | None
) -> dict[str, Any]:
    """Everything that a user of a set needs; the same for the same set, whenever and wherever it was made.

    Args:
        cell: What the set was made from.
        label: Label of its row.
        condensed: The set.
        info: Its data set.
        key: Its key.
        set_sha256: sha256 of ``condensed.safetensors``.
    """
    size = condensed.storage
    slots = condensed.labels if condensed.labels.ndim == 1 else condensed.aux.get("classes")
    used = cell.data.preprocess != "zca-kornia"  # which whitens pixels as they are
    return {
        "schema": SCHEMA,
        "ddbench": version("ddbench"),
        "label": label,
        "key": key,
        "set_sha256": set_sha256,
        "source": "imported, selection unknown" if cell.method == IMPORTED else "measured",
        "method": {
            "name": cell.method, "method_version": cell.method_version, "origin": cell.origin, "params": cell.params
        },
        "data": {
            "name": cell.data.name, "revision": cell.data.revision, "split": cell.data.split, "view": cell.data.view,
            "channels": info.channels, "size": info.size, "classes": info.classes, "class_names": info.class_names,
            "licence": LICENCES.get(cell.data.name),
        },
        "preprocess": {
            "space": condensed.preprocess.model_dump(),
            "mean": info.mean if used else None,
            "std": info.std if used else None,
            "how": PREPROCESSINGS[cell.data.preprocess] + WHITENED * (condensed.preprocess.matrices is not None),
        },
        "label_space": condensed.label_space,
        "n": len(condensed),
        "per_class": None if slots is None else [int((slots == c).sum()) for c in range(info.classes)],
        "bytes": {part: getattr(size, part) for part in size.__dataclass_fields__ if getattr(size, part)},
        "recipe": condensed.recipe.model_dump(by_alias=True),
        "fields": FIELDS,
    }  # fmt: skip


def describe_set(
    folder: Path, cell: CellSpec, label: str, condensed: CondensedSet, info: DatasetInfo, record: Record
) -> None:
    """Write the manifest of a set that was just published in ``folder``; no key and no record depends on it."""
    content = manifest(cell, label, condensed, info, key=record.key, set_sha256=record.set_sha256)
    atomic_write(folder / MANIFEST, as_text(content).encode())


def as_text(content: dict[str, Any]) -> str:
    """The JSON of a manifest."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
