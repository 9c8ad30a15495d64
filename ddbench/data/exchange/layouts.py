"""Files of condensed sets → tensors as they are stored: layouts of DC / DSA / DM, MTT, DATM, IDC, npz, folders, ours.

Tensors in torch files are read with ``weights_only=True`` and nothing else; arrays without pickles. What the numbers
mean is not decided here (:mod:`ddbench.data.exchange.settle`).
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from ddbench.core.api import Preprocess, Recipe
from ddbench.core.errors import CorruptFileError, DataError, first_problem, printable
from ddbench.core.specs import DatasetInfo
from ddbench.core.words import plural
from ddbench.data.exchange.files import MANIFEST, PARTS, Source, is_unwhitened, lacks, partner_of
from ddbench.data.exchange.foreign import as_pixels, signed
from ddbench.data.exchange.labels import read_labels
from ddbench.data.exchange.naming import RENAME, USUAL, named, remarks
from ddbench.data.exchange.sound import check_archive, check_tensor
from ddbench.data.readers.framing import Framing
from ddbench.data.readers.images import Survey, stacked
from ddbench.data.readers.npz import no_archive

IMAGES, LABELS = (*USUAL["images"], "data"), USUAL["labels"]
SPACES = ("hard", "probs", "logits", "centred")


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """One set as its file holds it.

    Attributes:
        layout: What wrote such files: ``dc`` (DC, DSA, DM), ``mtt``, ``datm``, ``ddranking``, ``pair`` (IDC, DREAM,
            DANCE, NCFM), ``tensors``, ``npz``, ``folder``, ``parquet``, ``ddbench``.
        images: uint8 or float [n, …].
        labels: [n] or [n, K].
        label_space: What the labels are, where the file says it.
        preprocess: The space of the images, where the file says it.
        recipe: How the set wants a student to be trained, as far as the file says it.
        weights: [n] loss weights, or None.
        classes: [n] int64, the class that each image of a soft-labelled set stands for, or None.
        initial: [P] float32, the state that students start from, or None; there is one where the recipe asks for it.
        unwhitened: Whether its images are floats that were whitened, and whose whitening was undone.
        notes: What the file says besides.
        warnings: What a reader of the table must know of how the file was read.
    """

    layout: str
    images: Tensor
    labels: Tensor
    label_space: str | None = None
    preprocess: Preprocess | None = None
    recipe: Recipe = field(default_factory=Recipe)
    weights: Tensor | None = None
    classes: Tensor | None = None
    initial: Tensor | None = None
    unwhitened: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.recipe.initial and self.initial is None:
            raise ValueError("its recipe starts students from an initial state, which the file does not hold")


def read(source: Source, info: DatasetInfo) -> list[Stored]:
    """All sets in the files of a source; only the layout of DC, DSA and DM holds several.

    Args:
        source: The files.
        info: The data set they are for (names of classes, channels).

    Raises:
        DataError: If a file is cut short, unsafe, or of no known layout.
    """
    found = []
    for stored in _read(source, info):
        check_tensor(stored.images, "images", str(source.place), (3, 4))
        check_tensor(stored.labels, "labels", str(source.place), (1, 2))
        for name, part in (("weights", stored.weights), ("classes", stored.classes)):
            if part is not None:
                check_tensor(part, name, str(source.place), (1,))
        images, said = as_pixels(stored.images, info.channels, str(source.place))
        labels = signed(stored.labels, str(source.place))
        found.append(replace(stored, images=images, labels=labels, notes=(*stored.notes, *said)))
    return found


def _read(source: Source, info: DatasetInfo) -> list[Stored]:
    if source.form == "pt":
        return _torch_file(source.place)
    if source.form == "trajectory":
        if source.place.is_file() and isinstance(load_torch(source.place), list | tuple | Mapping):
            return _torch_file(source.place)  # a whole set, whatever its name
        return [_trajectory(source)]
    if source.form == "npz":
        return [_npz(source.place)]
    if source.form == "safetensors":
        return [_safetensors(source.place)]
    return [_pictures(source, info)]


def load_torch(path: Path) -> Any:
    """The content of a torch file, on the CPU.

    Raises:
        DataError: If it is cut short, or holds other objects than tensors and plain values.
    """
    check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: not a torch file, or one of other objects than tensors, which are refused because loading them "
            "runs code: save plain tensors"
        ) from error
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path}: cut short, or not saved by torch ({type(error).__name__})") from error


def _torch_file(path: Path) -> list[Stored]:
    content = load_torch(path)
    if isinstance(content, list | tuple) and len(content) == 2 and all(isinstance(part, Tensor) for part in content):
        return [Stored("pair", content[0].detach(), content[1].detach())]
    if isinstance(content, Mapping) and isinstance(content.get("data"), list):
        return _experiments(content, path)
    if isinstance(content, Mapping) and (found := _find_named(content, path)) is not None:
        return [found]
    if isinstance(content, Tensor) and (lost := partner_of(path)) is not None:
        raise DataError(f"{path}: {lacks(lost)}")
    what = f"a dict of {', '.join(map(str, content)) or 'nothing'}" if isinstance(content, Mapping) else ""
    if isinstance(content, list | tuple):
        what = f"a {type(content).__name__} of {', '.join(type(part).__name__ for part in content[:5]) or 'nothing'}"
    if isinstance(content, list) and content and all(isinstance(step, tuple) and len(step) == 3 for step in content):
        what += ", as the steps of DD (2018) are: images and labels of one step, or of all joined, are a set"
    raise DataError(
        f"{path}: holds {what or type(content).__name__}; expected 'data' (DC, DSA, DM), a list of images and labels "
        "(IDC), or 'images' and 'labels'; a set of MTT or DATM is its images_best.pt with labels_best.pt in one "
        "folder, one of DD-Ranking images.pt with labels.pt"
        + f"; where tensors have other names, {RENAME}"
        * isinstance(content, Mapping)
    )


def _experiments(content: Mapping[str, Any], path: Path) -> list[Stored]:
    """``data``: a list of [images, labels], one per experiment."""
    sets = content["data"]
    if not sets:
        raise DataError(f"{path}: its list 'data' is empty: the script had not finished its first experiment")
    found = []
    for number, pair in enumerate(sets):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
            raise DataError(f"{path}: experiment {number} of 'data' is not a pair of images and labels")
        found.append(Stored("dc", pair[0].detach(), pair[1].detach()))
    reported = content.get("accs_all_exps")
    scores = {
        str(arch): [float(value) for value in values]
        for arch, values in (reported.items() if isinstance(reported, Mapping) else ())
        if isinstance(values, list) and values and all(isinstance(value, float | int) for value in values)
    }
    notes = tuple(
        f"the file reports {100 * sum(values) / len(values):.2f} % over {plural(len(values), 'student')} of {arch}"
        for arch, values in scores.items()
    )
    return [replace(each, notes=notes) for each in found]


def _trajectory(source: Source) -> Stored:
    """``images_best.pt``, ``labels_best.pt``, ``lr_best.pt``; of sets in several files all of each, joined."""
    paths = {part: [path for role, path in source.files if role.partition(" ")[0] == part] for part in PARTS}
    images, labels = (_joined(paths[part], part) for part in PARTS[:2])
    rates = {_rate(path) for path in paths["lr"]}
    if len(rates) > 1:
        raise DataError(f"{paths['lr'][0].parent}: the files of learning rates differ: a set has one")
    soft = labels.ndim == 2 and labels.shape[1] > 1
    layout = "ddranking" if paths["images"][0].name == "images.pt" else "datm" if soft else "mtt"
    count = len(paths["images"])
    notes = (f"the set was joined from {count} files in the order of their numbers",) if count > 1 else source.notes
    unwhitened = is_unwhitened(paths["images"][0]) and images.is_floating_point()
    return Stored(
        layout, images, labels, recipe=Recipe(lr=rates.pop() if rates else None), unwhitened=unwhitened, notes=notes
    )


def _joined(paths: Sequence[Path], part: str) -> Tensor:
    """The tensors of some files, one after the other."""
    found: list[Tensor] = []
    for path in paths:
        content = load_torch(path)
        if not isinstance(content, Tensor):
            raise DataError(f"{path}: holds {type(content).__name__}, not a tensor of {part}")
        if len(paths) > 1:
            check_tensor(content, part, str(path), (1, 2, 3, 4))
        if found and (content.shape[1:], content.dtype) != (found[0].shape[1:], found[0].dtype):
            raise DataError(
                f"{path}: {part} are {content.dtype} of shape {list(content.shape[1:])}, those of {paths[0].name} "
                f"{found[0].dtype} of {list(found[0].shape[1:])}: they are no parts of one set"
            )
        found.append(content.detach())
    return torch.cat(found) if len(found) > 1 else found[0]


def _rate(path: Path) -> float:
    """The learning rate in a file."""
    content = load_torch(path)
    if isinstance(content, Tensor):
        check_tensor(content, "learning rates", str(path), (0, 1))
    lr = float(content) if isinstance(content, float | int) or _is_number(content) else math.nan
    if not (math.isfinite(lr) and lr > 0):
        raise DataError(f"{path}: expected one positive number, the learned learning rate")
    return lr


def _is_number(content: Any) -> bool:
    return isinstance(content, Tensor) and content.numel() == 1


def _npz(path: Path) -> Stored:
    check_archive(path)
    try:
        archive = np.load(path, allow_pickle=False)
        with archive:
            content = {name: archive[name] for name in archive.files}
    except Exception as error:  # no zip, cut short, object arrays (refused)
        raise DataError(f"{path}: {no_archive(path, error)}") from error
    parts: dict[str, Any] = {name: _tensor(array) for name, array in content.items() if array.dtype.kind in "buif"}
    if "manifest" in content:
        parts["manifest"] = str(content["manifest"])
    found = _find_named(parts, path)
    others = [name for name in content if name not in parts]
    if found is not None and found.layout == "tensors" and others:
        found = replace(found, notes=(*found.notes, f"not read, as no numbers: {printable(', '.join(others))}"))
    if found is None:
        odd = next((name for name in (*IMAGES, *LABELS) if name in content and name not in parts), None)
        if odd is not None:
            what = "numbers of classes, 0 … K-1" if odd in LABELS else "numbers"
            raise DataError(f"{path}: {odd} is {content[odd].dtype}{list(content[odd].shape)}; expected {what}")
        raise DataError(
            f"{path}: no images ({', '.join(IMAGES)}) with labels ({', '.join(LABELS)}) among "
            f"{', '.join(content) or 'nothing'}: {RENAME}"
        )
    return replace(found, layout="npz") if found.layout == "tensors" else found


def _tensor(array: Any) -> Tensor:
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    native = array.astype(np.float64 if wide else array.dtype.newbyteorder("="))
    return torch.from_numpy(np.ascontiguousarray(native))


def _find_named(content: Mapping[str, Any], path: Path) -> Stored | None:
    """Images and labels under their usual names; an export of ours says in its manifest what they are."""
    images, labels = named(content, "images", path), named(content, "labels", path)
    if images is None or labels is None:
        return None
    plain = Stored("tensors", content[images].detach(), content[labels].detach())
    if "manifest" not in content:
        return replace(plain, warnings=remarks(content, images, labels))
    parts = {name: part for name in ("weights", "classes", "initial") if isinstance(part := content.get(name), Tensor)}
    return _declared(plain, content["manifest"], path, parts)


def _declared(stored: Stored, manifest: Any, path: Path, parts: Mapping[str, Tensor]) -> Stored:
    """The set with what our manifest says of it."""
    try:
        facts = json.loads(manifest) if isinstance(manifest, str) else manifest
        space = facts["label_space"]
        if space not in SPACES:
            raise ValueError(f"label space {space!r}")
        pixels = stored.images.dtype == torch.uint8
        return replace(
            stored,
            layout="ddbench",
            label_space=space,
            preprocess=None if pixels else Preprocess.model_validate(facts["preprocess"]["space"]),
            recipe=Recipe.model_validate(facts["recipe"]),
            weights=parts.get("weights"),
            classes=parts.get("classes"),
            initial=parts.get("initial"),
        )
    except ValidationError as error:
        raise DataError(f"{path}: its manifest is not one of ddbench's ({first_problem(error)})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: its manifest is not one of ddbench's ({' '.join(str(error).split())})") from None


def _safetensors(path: Path) -> Stored:
    """A ``condensed.safetensors`` of a results folder."""
    from ddbench.core.store.tensors import load_set

    try:
        found = load_set(path)
    except CorruptFileError as error:
        raise DataError(str(error)) from error
    if found.images is None:
        raise DataError(f"{path}: holds numbers of real images: `ddbench export KEY --to npz` writes the images out")
    try:
        return Stored(
            "ddbench", found.images, found.labels, found.label_space, found.preprocess, found.recipe, found.weights,
            found.aux.get("classes"), found.aux.get("initial"),
        )  # fmt: skip
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _pictures(source: Source, info: DatasetInfo) -> Stored:
    """An image folder, or a parquet file with images: uint8 pixels."""
    files = dict(source.files)
    manifest, notes = files.get(MANIFEST), source.notes
    if source.form == "parquet":
        from ddbench.data.exchange.labels import read_parquet

        pixels, table = read_parquet(files["file"], info)
    else:
        table = read_labels(source, info)
        names = [source.place / name for name in table.names]
        survey = Survey(Framing(rgb=info.channels == 3))
        survey.add_all(lambda: ((path, str(path)) for path in names))
        pixels = np.concatenate(list(stacked(((path, str(path)) for path in names), survey)))
        notes = (*survey.notes(), *notes)
    labels = torch.from_numpy(table.labels)
    stored = Stored(source.form, torch.from_numpy(pixels), labels, notes=(*table.notes, *notes))
    if manifest is None:
        return stored
    beside = {"weights": table.weights, "classes": table.classes}
    parts = {name: torch.from_numpy(part) for name, part in beside.items() if part is not None}
    try:
        text = manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{manifest}: {error}") from error
    return _declared(stored, text, manifest, parts)
