"""`manifest.json` beside every set: what it is, what its numbers mean, and how to load it. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbench.core.infos import IMPORTED
from ddbench.core.keys import short
from ddbench.core.records import Record
from ddbench.core.specs import CellSpec, DatasetInfo
from ddbench.core.store.files import atomic_write
from ddbench.core.store.tensors import tensors_of
from ddbench.data.exchange.files import MANIFEST
from ddbench.data.space.ids import PREPROCESSINGS

if TYPE_CHECKING:
    from ddbench.core.api import CondensedSet

SCHEMA = 1

LOAD = {
    "safetensors": "safetensors.torch.load_file(path) of the condensed.safetensors beside: the tensors in `fields`",
    "pt": "torch.load(path, weights_only=True): a dict of the tensors in `fields`, and of this text as `manifest`",
    "npz": "numpy.load(path): the arrays in `fields`, and this text as `manifest`",
    "folder": "a folder for each class, named by its number, as torchvision.datasets.ImageFolder reads it; labels.csv, "
    "whose columns are in `fields`, gives the order; preprocess as `preprocess` says",
    "hf": "datasets.load_dataset(path), or ddbench's NAME=hf:PATH: the columns in `fields`; preprocess as `preprocess` "
    "says",
}
"""How the files of a format are read."""

LABELS_ARE = {
    "hard": "int64 [n], classes",
    "probs": "float32 [n, K], probabilities: rows sum to 1",
    "logits": "float32 [n, K], logits: softmax them",
    "centred": "float32 [n, K], 1 − 1/K for the class, −1/K for others: regression targets",
}

PICTURES = "*/*.png"
SOFT = "soft_*"
_PICTURE = "8 bits a channel; / 255 gives the pixels that `preprocess` starts from"
_CLASS = "the class that the image stands for"
_FACTOR = "factor of the image's loss"
_START = "what students start from (`recipe`): all parameters of their network, flattened, in their order"

FIELDS = {
    "images": "float32 [n, C, H, W] in the space that `preprocess` describes: what a network is trained on",
    "indices": "int64 [n], which of the real training images of `data` they are; {export} writes the images out",
    "weights": f"float32 [n], {_FACTOR}",
    "classes": f"int64 [n], {_CLASS}",
    "pixels": "uint8 [n, C, H, W], the images to look at, rounded and cut",
    "whitening_mean": "float32 [D], D = C·H·W",
    "whitening_whiten": "float32 [D, D]",
    "whitening_factor": "float32 [D, n]",
    "whitening_rest": "float32 [1]",
    "aux.classes": f"int64 [n], {_CLASS}",
    "aux.codes": "float32, what the images are decoded from; `bytes` counts it in their place",
    "initial": f"float32 [P], {_START}",
    "aux.initial": f"float32 [P], {_START}",
    "aux.scores": "float32, the score of every training image",
    PICTURES: _PICTURE,
    "file": "the image's file",
    "label": _CLASS,
    "class_name": "the name of that class",
    "weight": _FACTOR,
    "image": _PICTURE,
}
"""What tensors, arrays, columns and files of all formats hold, labels left out."""


def fields_of(names: Iterable[str], label_space: str, export: str) -> dict[str, str]:
    """What each name of a file holds.

    Args:
        names: Tensors, arrays or columns; columns of soft labels, one for each class, count as one.
        label_space: What the labels are.
        export: The command that writes the set out.
    """
    found: dict[str, str] = {}
    for name in names:
        if name in ("labels", "soft_label"):
            found[name] = LABELS_ARE[label_space]
        elif name.startswith("soft_"):
            found[SOFT] = f"{LABELS_ARE[label_space]}, a column for each class"
        else:
            found[name] = FIELDS.get(name, "what the method keeps besides").format(export=export)
    return found


def manifest(
    cell: CellSpec, label: str, condensed: CondensedSet, info: DatasetInfo, *, key: str, set_sha256: str | None,
    form: str, names: Collection[str],
) -> dict[str, Any]:  # fmt: skip
    """Everything that a user of a set needs; the same for the same set, whenever and wherever it was made.

    Args:
        cell: What the set was made from.
        label: Label of its row.
        condensed: The set.
        info: Its data set.
        key: Its key.
        set_sha256: sha256 of ``condensed.safetensors``.
        form: The format of the file or folder that it describes, a key of :data:`LOAD`.
        names: What that holds: tensors, arrays or columns.
    """
    export = f"`ddbench export {short(key)} --to npz`"
    how = PREPROCESSINGS[cell.data.preprocess]
    if "whitening_factor" in names:
        how += (
            "; the whitening is whitening_rest · y − (y @ whitening_factor) @ whitening_factor.T on flattened images,"
            " y = x − whitening_mean"
        )
    elif "whitening_mean" in names:
        how += "; the whitening is (x − whitening_mean) @ whitening_whiten on flattened images"
    elif condensed.preprocess.matrices is not None:
        how += f"; {export} writes the matrices"
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
            "name": cell.method, "method_version": cell.method_version, "origin": cell.origin, "params": cell.params,
            **({"initial": cell.initial} if cell.initial else {}),
        },
        "data": {
            "name": cell.data.name, "revision": cell.data.revision, "split": cell.data.split, "view": cell.data.view,
            "channels": info.channels, "size": info.size, "classes": info.classes, "class_names": info.class_names,
            "licence": info.licence,
        },
        "preprocess": {
            "space": condensed.preprocess.model_dump(),
            "mean": info.mean if used else None,
            "std": info.std if used else None,
            "how": how,
        },
        "label_space": condensed.label_space,
        "n": len(condensed),
        "per_class": None if slots is None else [int((slots == c).sum()) for c in range(info.classes)],
        "bytes": {part: getattr(size, part) for part in size.__dataclass_fields__ if getattr(size, part)},
        "recipe": condensed.recipe.model_dump(by_alias=True),
        "fields": fields_of(names, condensed.label_space, export),
        "format": form,
        "load": LOAD[form],
    }  # fmt: skip


def describe_set(
    folder: Path, cell: CellSpec, label: str, condensed: CondensedSet, info: DatasetInfo, record: Record
) -> None:
    """Write the manifest of a set that was just published in ``folder``; no key and no record depends on it.

    After a power failure it may be cut short: ``ddbench export`` writes another.
    """
    content = manifest(
        cell, label, condensed, info, key=record.key, set_sha256=record.set_sha256, form="safetensors",
        names=tensors_of(condensed),
    )  # fmt: skip
    atomic_write(folder / MANIFEST, as_text(content).encode(), durable=False)


def as_text(content: dict[str, Any]) -> str:
    """The JSON of a manifest."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
