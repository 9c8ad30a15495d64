"""Which columns of a table hold images and labels, and what its labels are as numbers. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ddbench.core.errors import DataError
from ddbench.data.readers.parts import words
from ddbench.data.readers.raw import Labels, PartName

USUAL = ("label", "fine_label", "labels", "fine_labels", "class", "target")
_WORDS = frozenset({"label", "labels", "target", "targets", "class", "classes", "category", "y"})
_LISTED = 5
Values: TypeAlias = "list[int] | list[str]"
"""Labels of a part as the table has them: all numbers, or all texts."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where images and labels are.

    Attributes:
        image: Name of the struct column {bytes, path}.
        label: Name of the column of labels, integers or texts.
        text: Whether labels are texts.
        class_names: From the Hugging Face metadata, or None.
        notes: A word on other columns of labels.
    """

    image: str
    label: str
    text: bool
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def columns_of(schema: Any, where: str, wanted: str | None = None, *, official: bool = False) -> Columns:
    """The columns of a table.

    Args:
        schema: Of pyarrow.
        where: The table, for messages.
        wanted: The column of labels that the user chose.
        official: Whether the table is of a registered data set, whose labels are known: the first usual name is taken.

    Raises:
        DataError: If there is not one column of images, or not one of labels.
    """
    images = [field.name for field in schema if _is_image(field.type)]
    if len(images) != 1:
        found = (
            f"several columns of images, {', '.join(images)}: leave one of them"
            if images
            else (
                f"no column of images among {', '.join(schema.names)}: images are {{bytes, path}} there, as the library"
                " datasets writes them"
            )
        )
        raise DataError(f"{where}: {found}")
    label, notes = wanted or (_usual(schema) if official else None), tuple[str, ...]()
    if label is None:
        label, notes = _only(schema, images[0], where)
    if label not in schema.names or label == images[0]:
        raise DataError(f"{where}: no label column {label!r} among {', '.join(schema.names)}")
    kind = str(schema.field(label).type)
    return Columns(
        images[0], label, "string" in kind and "list" not in kind, class_names(schema.metadata, label), notes
    )


def _usual(schema: Any) -> str | None:
    return next((name for name in USUAL if name in schema.names), None)


def _only(schema: Any, image: str, where: str) -> tuple[str, tuple[str, ...]]:
    """The column of labels where nobody chose one, and a word on others.

    Columns that the metadata call labels go before columns that are called so; of several, the one of the usual name.
    """
    told = _features(schema.metadata)
    declared = [name for name in schema.names if _is_class_label(told.get(name))]
    called = [name for name in schema.names if name != image and _WORDS & set(words(name)) and _can_be(schema, name)]
    found = [name for name in schema.names if name in declared or (name in called and name in USUAL)]
    found = found if declared else called
    usual = [name for name in found if name in USUAL]
    if len(found) > 1 and len(usual) == 1 and usual[0] in declared:
        others = ", ".join(name for name in found if name != usual[0])
        return usual[0], (f"labels are those of column {usual[0]}, not of {others} (`--label COLUMN` chooses)",)
    if len(found) > 1:
        raise DataError(f"{where}: several label columns, {', '.join(found)}: choose one with --label COLUMN")
    if not found:
        raise DataError(f"{where}: no label column among {', '.join(schema.names)}: choose one with --label COLUMN")
    return found[0], ()


def class_names(metadata: Mapping[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """Names in ``huggingface`` → info → features → <label> → names, when the writer left them."""
    try:
        names = _features(metadata)[label]["names"]
        if isinstance(names, dict):  # early writers stored {"0": name, …}
            names = [names[str(number)] for number in range(len(names))]
        return tuple(map(str, names)) or None
    except (KeyError, TypeError, ValueError):
        return None


def _features(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    try:
        found = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_class_label(feature: Any) -> bool:
    return isinstance(feature, dict) and feature.get("_type") == "ClassLabel"


def _is_image(kind: Any) -> bool:
    """Whether a column's type is ``struct<bytes: binary, …>``, of whatever binary type."""
    fields = {kind.field(i).name: str(kind.field(i).type) for i in range(kind.num_fields)}
    return str(kind).startswith("struct") and "binary" in fields.get("bytes", "")


def _can_be(schema: Any, name: str) -> bool:
    """Whether a column's values can be labels: numbers, texts, or lists of them, which are refused by name."""
    kind = str(schema.field(name).type)
    return any(word in kind for word in ("int", "bool", "float", "double", "string")) and "struct" not in kind


def value_of(label: Any, columns: Columns, where: str) -> int | str:
    """One label as an integer or a text.

    Raises:
        DataError: If it is neither, or there are several in one.
    """
    if isinstance(label, list):
        if len(label) != 1:
            raise DataError(f"{where}: {len(label)} labels of one image: multi-label data are not read")
        label = label[0]
    if columns.text:
        if not isinstance(label, str) or not label:
            raise DataError(f"{where}: the label is {label!r}, where others are texts")
        return label
    whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
    if not whole or label >= 2**63:
        raise DataError(f"{where}: the label is {label!r}, not an integer in 0..K-1")
    return int(label)


def texts_numbered(
    texts: Mapping[PartName, Sequence[str]], names: Sequence[str] | None = None
) -> tuple[dict[PartName, Labels], tuple[str, ...], tuple[str, ...]]:
    """Labels of each part int64 [N], the names of the classes, and what was done.

    Args:
        texts: Labels of each part.
        names: The classes, where they are known; else those of train, in the order of their names as text.

    Raises:
        DataError: If a label is no class.
    """
    known = tuple(names) if names is not None else tuple(sorted(set(texts["train"])))
    numbers = {name: number for number, name in enumerate(known)}
    for part, found in texts.items():
        if "" in found:
            raise DataError(f"the {part} part holds an empty label (image {found.index('')})")
        odd = next((text for text in found if text not in numbers), None)
        if odd is not None:
            owner = "train does not have" if names is None else "the data set does not have"
            raise DataError(f"the {part} part holds the label {odd!r}, which {owner}")
    labels = {part: np.array([numbers[text] for text in found], dtype=np.int64) for part, found in texts.items()}
    if names is not None:
        return labels, known, ()
    first = ", ".join(f"{number} is {name}" for number, name in enumerate(known[:_LISTED]))
    more = " …" * (len(known) > _LISTED)
    return labels, known, (f"text labels were numbered in the order of their names as text: {first}{more}",)
