"""Whether a record is what it says: its key is that of its document, its numbers are possible, and agree. No torch.

A record is a file that anyone may copy, rename or edit. Nothing here knows who wrote it: what is compared are parts of
the record that must fit each other. Two that were exchanged whole, with all files beside them, are no case of this.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ddbench.core.agreement import CLOSE, is_whole, moment
from ddbench.core.correctness import unpack
from ddbench.core.documents import CellDocument, EvaluationDocument, Facts
from ddbench.core.errors import shown_value
from ddbench.core.infos import ALL_AXES, IMPORTED, Standing
from ddbench.core.keys import condense_key, eval_key, short
from ddbench.core.profiles import profiles
from ddbench.core.records import Record, is_number
from ddbench.core.roles import name_in
from ddbench.core.specs import Budget

_AXES = tuple(
    frozenset(some) for n in range(len(ALL_AXES), -1, -1) for some in itertools.combinations(sorted(ALL_AXES), n)
)
"""What the key of a set may depend on, the most usual first."""
_KEY = re.compile(r"[0-9a-f]{64}")
_PERCENT = ("top1", "train_top1", "top1_uint8", "full_stopped")
_AMOUNTS = ("loss", "updates", "recipe_updates", "full_stopped_updates")
_CHOSEN = ("lr", "own_lr", "step", "tried")
_OF_STANDING = frozenset(Standing.__dataclass_fields__)
_DEEPEST = 4
MOST_CLASSES = 1000


def doubt(record: Record) -> str | None:
    """Why a record cannot be believed, in words; None: nothing in it contradicts itself."""
    try:
        return next(_doubts(record), None)
    except (ValueError, TypeError, RecursionError) as error:  # canonical JSON of what no key is made of
        return f"its document has no key ({str(error)[:80]})"


def doubt_of_place(record: Record, path: Path) -> str | None:
    """Why a record does not belong where its file lies; None: it does.

    Args:
        record: The record.
        path: ``<set's key>/condense.json`` or ``<set's key>/eval/<key>.json``, keys of 16 or all digits.
    """
    document = record.document
    if path.parent.name != "eval":
        if record.kind != "condense" or path.parent.name not in (short(record.key), record.key):
            return f"it is of another node ({record.document.label} {short(record.key)})"
        return None
    if not isinstance(document, EvaluationDocument) or path.stem != short(record.key):
        return f"it is of another node ({record.document.label} {short(record.key)})"
    if path.parents[1].name not in (short(document.eval.set), document.eval.set):
        return f"it evaluates another set ({short(document.eval.set)})"
    return None


def doubt_of_labels(record: Record, names: Collection[str]) -> str | None:
    """How a record calls its row by the name of another method, in words; None: it does not.

    No key is made of labels. Sets of others are called as their files are: a set of DM may well be called ``dm``.

    Args:
        record: The record.
        names: Of all methods, and of what else a suite may name.
    """
    document = record.document
    if document.cell.method == IMPORTED:
        return None
    also = document.also if isinstance(document, EvaluationDocument) else ()
    own = (document.cell.method, document.set.called)
    for label in (document.label, document.set.label, *(place.label for place in also)):
        if (other := name_in(label, own, names)) is not None:
            return f"it is of {own[1]} and calls its row {shown_value(label)}, by the name of {other}"
    return None


def wrong_per_class(record: Record, hits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> str | None:
    """How the accuracy of classes differs from a recount; None: it does not, or the record does not say it.

    Args:
        record: An evaluation with a result.
        hits: [n_test] what its student was right about.
        labels: [n_test] classes of the test images.
    """
    told = record.metrics.get("per_class")
    if told is None:
        return None
    if len(labels) != len(hits):
        return f"{len(hits)} test images, the data set has {len(labels)}"
    if len(told) <= int(labels.max(initial=0)):
        return f"per_class has {len(told)} classes, the data set more"
    images = np.bincount(labels, minlength=len(told))
    right = np.bincount(labels, weights=np.asarray(hits, dtype=np.float64), minlength=len(told))
    for c, value in enumerate(told):
        if (value is None) != (images[c] == 0):
            return f"per_class: class {c} has {images[c]} test images, but {value}"
        if value is not None and abs(value - 100.0 * right[c] / images[c]) > CLOSE:
            return f"per_class says {value:g} for class {c}, but {100.0 * right[c] / images[c]:g} is counted"
    return None


def sizes_told(records: Iterable[Record]) -> tuple[int, ...] | None:
    """Test images of each class, as accuracies of classes tell it: k of n images are a fraction of denominator n.

    Args:
        records: Evaluations of one data set and split, all of ``n_test`` images.

    Returns:
        K sizes; None where the fractions leave other sizes possible, or contradict each other.
    """
    sizes: list[int] = []
    n_test = 0
    for record in records:
        told, n_test = record.metrics.get("per_class") or (), record.n_test or 0
        sizes += [1] * (len(told) - len(sizes))
        for c, value in enumerate(told):
            if value is not None:
                sizes[c] = math.lcm(sizes[c], Fraction(value / 100).limit_denominator(max(1, n_test)).denominator)
    return tuple(sizes) if n_test and sum(sizes) == n_test else None  # each divides the true one, and all are n_test


def wrong_mean(record: Record, sizes: Sequence[int]) -> str | None:
    """How an accuracy differs from the mean of its classes'; None: it does not, or the record does not say these.

    Args:
        record: An evaluation with a result.
        sizes: Test images of each class, K numbers.
    """
    told = record.metrics.get("per_class")
    if told is None:
        return None
    if len(told) != len(sizes):
        return f"per_class has {len(told)} classes, the data set {len(sizes)}"
    right = [(value or 0) / 100 * size for value, size in zip(told, sizes, strict=True)]
    for c, (value, images, size) in enumerate(zip(told, right, sizes, strict=True)):
        if (value is None) != (size == 0) or not is_whole(images, size):
            return f"per_class says {value} for class {c}, which has {size} test images"
    mean = 100 * sum(right) / sum(sizes)
    if abs(mean - record.metrics["top1"]) > CLOSE:
        return f"top1 is {record.metrics['top1']:g}, but its classes' accuracies come to {mean:g}"
    return None


def _doubts(record: Record) -> Iterator[str]:
    document = record.document
    if record.key != document.key:
        yield f"it carries the key of another node ({short(record.key) or 'none'})"
    if not record.key:
        if record.status in ("ok", "timeout"):
            yield "it has no key"
    elif _KEY.fullmatch(record.key) is None:
        yield "its key is none"
    else:
        yield from _doubts_of_keys(document)
    yield from _doubts_of_facts(record)
    yield from _doubts_of_cost(record)
    yield from _doubts_of_times(record)
    if record.kind == "condense":
        for name, value in record.metrics.items():
            if not _finite(value):
                yield f"metrics.{name} is not a finite number"
    else:
        yield from _doubts_of_result(record)


def _doubts_of_keys(document: CellDocument | EvaluationDocument) -> Iterator[str]:
    if isinstance(document, CellDocument):
        if not _is_of_its_key(document):
            yield "its document has another key"
        return
    if eval_key(document.eval) != document.key:
        yield "its document has another key"
    made = document.set
    if made.key != document.eval.set or not (_is_of_its_key(made, document.facts.axes) or _by_its_column(document)):
        yield "the set in its document has another key"
    if document.recipe is not None:
        wanted = document.eval.protocol_params.get("recipe_of")
        if document.recipe.key != wanted or not _is_of_its_key(document.recipe):
            yield "the recipe in its document has another key"


def _by_its_column(document: EvaluationDocument) -> bool:
    """Whether it is of real images at others' bytes, and from when its set said the column's budget, not its own."""
    made, buys = document.set, document.facts.buys
    if buys is None or not document.role.buys or made.cell.budget != buys.budget:
        return False
    images = buys.images
    sizes = (images // classes for classes in range(1, min(images, MOST_CLASSES) + 1) if images % classes == 0)
    cells = (made.cell.model_copy(update={"budget": Budget(ipc=ipc)}) for ipc in sizes)
    return any(_is_of_its_key(made.model_copy(update={"cell": cell}), document.facts.axes) for cell in cells)


def _is_of_its_key(document: CellDocument, axes: Sequence[str] | None = None) -> bool:
    """Whether a set's document gives its key by ``axes``, None: by any: the record of a set does not say them."""
    start = document.initial
    if (start is None) != (not document.cell.initial):
        return False
    if start is not None and (start.key != document.cell.initial or not _is_of_its_key(start)):
        return False
    used = [key for _, key in document.artifacts.values()]
    wanted = _AXES if axes is None else (frozenset(axes),)
    return any(condense_key(document.cell, some, used) == document.key for some in wanted)


def _doubts_of_facts(record: Record) -> Iterator[str]:
    document = record.document
    if document.set.profile is not None and document.set.profile not in profiles():
        yield f"its profile {shown_value(document.set.profile)} is none of {', '.join(profiles())}"
    found = [*record.env.items()]
    for name, value in found:
        several = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (several if name == "inputs" else value is None or _finite(value) or _is_word(value)):
            yield f"env.{name} is {shown_value(value)}"
    for name, value in (record.selection or {}).items():
        plain = _is_amount(value) if name in _CHOSEN else _plain(value)
        if not plain or (name == "val_top1" and not _accuracies(value)):
            yield f"selection.{name} is {shown_value(value)}"
    if isinstance(document, EvaluationDocument):
        for facts in (document.facts, *(place.facts for place in document.also)):
            yield from _doubts_of_table(facts)


def _doubts_of_table(facts: Facts) -> Iterator[str]:
    sizes = {name: getattr(facts, name) for name in ("n", "n_train", "n_val", "image_bytes")}
    if facts.buys is not None:
        sizes |= {"buys.images": facts.buys.images, "buys.uint8": facts.buys.uint8}
    for name, size in sizes.items():
        if size is not None and not 0 <= size < 2**53:
            yield f"facts.{name} is {shown_value(size)}"
    if facts.protocol is not None:
        for name, value in facts.protocol.items():
            if not (value is None or isinstance(value, str | bool)) or (name == "regime" and value is None):
                yield f"facts.protocol.{name} is not what a protocol declares"
            if name in _OF_STANDING and isinstance(value, bool):
                yield f"facts.protocol.{name} is {value}"


def _doubts_of_cost(record: Record) -> Iterator[str]:
    cost = record.cost
    for part, place in ((cost, "cost"), (cost.cpu, "cost.cpu"), (cost.device, "cost.device")):
        for name, value in () if part is None else part.__dict__.items():
            if isinstance(value, int | float) and not 0 <= value < 2**63:  # NaN is not, either
                yield f"{place}.{name} is {shown_value(value)}"
    for name, value in cost.bytes.items():
        if not _is_amount(value):
            yield f"cost.bytes.{name} is {shown_value(value)}"


def _doubts_of_times(record: Record) -> Iterator[str]:
    for name in ("started", "finished"):
        value = getattr(record, name)
        try:
            moment(value)
        except ValueError:
            yield f"{name} is {value[:40]!r}, not a time"


def _doubts_of_result(record: Record) -> Iterator[str]:
    metrics, n_test = record.metrics, record.n_test
    for name, value in metrics.items():
        if not _is_metric(name, value):
            yield f"metrics.{name} is {shown_value(value)}"
    if n_test is not None and not 0 < n_test < 2**40:
        yield f"n_test is {shown_value(n_test)}"
    if record.status != "ok":
        if metrics.get("top1") is not None:
            yield f"it is {record.status} and has an accuracy"
        return
    if metrics.get("top1") is None:
        yield "an evaluation without a number in metrics.top1"
    yield from _doubts_of_recount(metrics, n_test)


def _doubts_of_recount(metrics: Mapping[str, Any], n_test: int | None) -> Iterator[str]:
    top1, classes = metrics["top1"], [one for one in metrics.get("per_class") or () if one is not None]
    if n_test is not None and not is_whole(top1 * n_test / 100, n_test):
        yield f"top1 {top1:g} is no whole number of {n_test} test images"
    if classes and not min(classes) - CLOSE <= top1 <= max(classes) + CLOSE:
        yield f"top1 {top1:g} is no mean of its classes' accuracies"
    if (correct := metrics.get("correct")) is None:
        return
    if not isinstance(correct, str) or n_test is None:
        yield "metrics.correct cannot be read"
        return
    try:
        counted = 100.0 * float(unpack(correct, n_test).mean())
    except ValueError as error:
        yield f"metrics.correct: {error}"
        return
    if abs(counted - top1) > CLOSE:
        yield f"top1 is {top1:g}, but its correct predictions are {counted:g} %"


def _is_metric(name: str, value: object) -> bool:
    """Whether a metric of an evaluation is what its name promises: an accuracy in [0, 100], or finite."""
    if name in _PERCENT:
        return value is None or _is_percent(value)
    if name in ("per_class", "quartiles"):
        return isinstance(value, list) and all(one is None or _is_percent(one) for one in value)
    if name == "val_top1":
        return _accuracies(value)
    if name in _AMOUNTS:
        return value is None or _is_amount(value)
    return _plain(value)


def _finite(value: object) -> bool:
    """Whether a value is a number that arithmetic can use."""
    return is_number(value) and (abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value))


def _is_amount(value: object) -> bool:
    return is_number(value) and _finite(value) and value >= 0


def _is_percent(value: object) -> bool:
    return is_number(value) and 0 <= value <= 100


def _is_word(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and bool(value.strip()))


def _accuracies(value: object) -> bool:
    return isinstance(value, Mapping) and all(one is None or _is_percent(one) for one in value.values())


def _plain(value: object, depth: int = 0) -> bool:
    """Whether a value is text, a finite number, or a small nest of such."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, list | tuple | Mapping):
        inner = value.values() if isinstance(value, Mapping) else value
        return depth < _DEEPEST and all(_plain(one, depth + 1) for one in inner)
    return _finite(value)
