"""``folder:PATH``: one folder of image files for each class, with optional train/, val/ and test/ on top. No torch."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddbench.core.errors import DataError
from ddbench.core.words import plural
from ddbench.data.readers.archives import PACKED
from ddbench.data.readers.framing import PLAIN, Framing
from ddbench.data.readers.images import Survey, file_stream
from ddbench.data.readers.parts import part_of, split_name, word_part, words
from ddbench.data.readers.raw import PARTS, Labels, PartName, RawDataset
from ddbench.data.readers.walk import Level, Passed, files_below, is_hidden, is_text, level, shown

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"}
)
_TABLES = frozenset({".parquet", ".arrow", ".npz", ".npy", ".pt", ".pth", ".pkl", ".h5", ".hdf5", ".mat", ".tfrecord"})
"""Files that may hold the images of a whole part."""
_LISTED = 5
_DEEPEST = 20


def read(path: Path, framing: Framing = PLAIN) -> RawDataset:
    """Read a tree of images; classes are numbered in the order of their folders' names, as text.

    Parts on top may have any case and any usual name (``Training``, ``seg_test``, ``dev``); folders that look like
    parts and cannot be read as such are refused. All images grey: one channel; otherwise three. Links are followed;
    whatever is passed over is in the notes.

    Args:
        path: The folder.
        framing: How images of any shape become squares of one size.

    Raises:
        DataError: If there are no images, fewer than two classes, an unreadable image or folder, or images that are not
            square or of different sizes and ``framing`` does not help; the message names the file.
    """
    if not path.is_dir():
        packed = ": unpack it, and name the folder" * (path.suffix.lower() in PACKED)
        raise DataError(
            f"{shown(path)} is a file; folder:PATH reads a folder that holds a folder for each class{packed}"
        )
    passed = Passed()
    tops = _tops(path, passed)
    classes = {part: top for part, folder in tops.items() if (top := class_folders(folder, passed))}
    class_names = _class_names(classes.get("train", ()))
    folders = [(part, folder) for part, found in classes.items() for folder in found]
    files = dict(zip(folders, files_below([folder for _, folder in folders], passed, SUFFIXES), strict=True))
    if not any(files.values()):
        odd = f" ({'; '.join(passed.notes())})" if passed.notes() else ""
        advice = ": archives are not read, unpack them" * bool(PACKED & set(passed.suffixes))
        if passed.loose:
            advice = ": put the images of each class into a folder of its own, or name the folder above"
        raise DataError(f"no images ({', '.join(sorted(SUFFIXES))}) in class folders below {shown(path)}{odd}{advice}")
    _refuse_empty(classes["train"], files, passed)
    if len(class_names) == 1:
        below = _names(classes["train"][0])
        held = f", which holds {', '.join(map(shown, below[:_LISTED]))}: put these beside each other" * bool(below)
        unread = f" ({'; '.join(passed.notes())})" if passed.notes() else ""
        raise DataError(
            f"a data set needs at least 2 classes; there is one class folder, {shown(class_names[0])}/{held}{unread}"
        )
    survey = Survey(framing)
    survey.add_all(lambda: ((file, shown(file)) for found in files.values() for file in found))
    fields: dict[str, Any] = {}
    for part in classes:
        paths, labels = _labelled(part, files, class_names)
        fields[f"{part}_images"], fields[f"{part}_labels"] = file_stream(paths, survey), labels
    inner = deeper([folder for _, folder in files], list(files.values()))
    notes = (*_words(tops), *_order(class_names), *inner, *_spoken(files), *survey.notes(), *passed.notes())
    return RawDataset(class_names=class_names, notes=notes, **fields)


def _refuse_empty(folders: Sequence[Path], files: dict[tuple[PartName, Path], list[Path]], passed: Passed) -> None:
    """Refuse classes without any training image that is read, with what was passed over."""
    empty = [folder for folder in folders if not files["train", folder]]
    if empty:
        unread = f" ({'; '.join(passed.notes())})" if passed.notes() else ""
        raise DataError(
            f"{_listed(empty[:_LISTED])} hold{'s' * (len(empty) == 1)} no image that is read{unread}: every folder here"
            " is a class: move away what is none, and convert images of other formats"
        )


def _tops(path: Path, passed: Passed) -> dict[PartName, Path]:
    """The folder of each part; ``path`` itself where classes lie on top.

    Raises:
        DataError: If folders look like parts and are not understood, or if a part that is there would not be read.
    """
    top = level(path)
    inside = {folder: _names(folder) for folder in top.folders}
    named: dict[PartName, list[Path]] = defaultdict(list)
    for folder in top.folders:
        if (part := part_of(folder.name)) is not None and inside[folder]:
            named[part].append(folder)
    for part, folders in named.items():
        if len(folders) > 1:
            raise DataError(f"{_listed(folders)} both mean {part}: keep one of them there, or join them")
    if "train" in named:
        tops = {part: named[part][0] for part in PARTS if part in named}
        _beside(level(path, passed, SUFFIXES), tops, inside, passed)
        return tops
    if named:
        parts = [folder for found in named.values() for folder in found]
        others = [folder for folder in top.folders if inside[folder] and folder not in parts][:_LISTED]
        advice = f"; is it {' or '.join(f'{shown(folder.name)}/' for folder in others)}? Call it train/" * bool(others)
        raise DataError(f"there is {_listed(parts)} but no train/ with class folders{advice}")
    _refuse_parts_as_classes(path, top.folders, inside)
    return {"train": path}


def _beside(top: Level, tops: dict[PartName, Path], inside: dict[Path, list[str]], passed: Passed) -> None:
    """Judge what lies beside the parts: parts that nobody would read are refused, other images are counted."""
    known = set(inside[tops["train"]])
    for folder in top.folders:
        if folder in tops.values():
            continue
        part, _ = split_name(folder.name)
        unread = Passed()
        images = sum(map(len, files_below([folder], unread, SUFFIXES)))
        count = images + sum(unread.suffixes.values())
        what = ("image" if images == count else "file") + "s" * (count != 1)
        if part is not None and count:
            holds = (
                "class folders" if inside[folder] else f"{count} {what} but no class folders, so they have no labels"
            )
            advice = (
                f"call it {part}/" if inside[folder] and part not in tops else "move it out of the data set's folder"
            )
            raise DataError(f"{folder.name}/ beside {tops['train'].name}/ holds {holds}: {advice}")
        if known & set(inside[folder]):
            both = shown(", ".join(sorted(known & set(inside[folder]))[:_LISTED]))
            raise DataError(
                f"{shown(folder.name)}/ holds folders called like classes of {tops['train'].name}/ ({both}): name"
                " it test/ or val/ if it is that part, or move it out of the data set's folder"
            )
        if part is not None:
            passed.empty.append(f"{folder.name}/")
        if images:
            passed.folders[shown(folder.name)] += images
        passed.suffixes += unread.suffixes
    _count_loose(top, passed)
    for file in top.files:
        part = part_of(file.name.partition(".")[0])
        if part is None or part in tops:
            continue
        if file.suffix.lower() in PACKED:
            raise DataError(f"{shown(file)} is not unpacked: unpack it to {part}/, or move it away")
        if file.suffix.lower() in _TABLES:
            raise DataError(
                f"{shown(file)} looks like a part of {part}, and is no folder of classes: convert it to {part}/, or"
                " move it away"
            )


def _refuse_parts_as_classes(path: Path, folders: Sequence[Path], inside: dict[Path, list[str]]) -> None:
    """Folders on top that are parts under other names, parts without classes, or classes above parts."""
    words = {folder: part_of(folder.name) for folder in folders}
    roles = {part for part in words.values() if part is not None}
    if len(roles) > 1 or (roles and roles == set(words.values())):
        parts = [folder for folder in folders if words[folder]]
        raise DataError(
            f"{_listed(parts)} below {shown(path)} hold{'s' * (len(parts) == 1)} no class folders: a part is a folder"
            " that holds a folder for each class, train/<class>/; labels in a table beside the images are not read. If"
            " they are classes, put all class folders into train/"
        )
    stems: dict[tuple[str, ...], set[PartName]] = defaultdict(set)
    for folder in folders:
        part, rest = split_name(folder.name)
        if part is not None:
            stems[rest].add(part)
    if any(len(found) > 1 for found in stems.values()):
        parts = [folder for folder in folders if split_name(folder.name)[0]]
        alone = len(stems) == 1 and all(inside[folder] for folder in parts)
        named = [f"{shown(folder.name)}/ {split_name(folder.name)[0]}/" for folder in parts]
        advice = f"call {_joined(named)}" if alone else "put the class folders into train/ and test/"
        raise DataError(f"{_listed(parts)} below {shown(path)} look like parts, not like classes: {advice}")
    if len(folders) == 1 and (home := _further_down(folders[0])) is not None:
        count, single = len(_names(home)), f"{shown(path)} holds the single folder {shown(folders[0].name)}/"
        if home == folders[0]:
            raise DataError(f"{single} with {count} folder{'s' * (count != 1)}: name that one, {shown(home)}")
        held = ", ".join(f"{shown(name)}/" for name in _names(home)[:_LISTED]) + " …" * (count > _LISTED)
        raise DataError(f"{single}; {held} lie{'s' * (count == 1)} further down: name {shown(home)}")
    for folder in folders:
        below = [folder / name for name in inside[folder] if part_of(name) is not None]
        if len({part_of(part.name) for part in below}) > 1 or any(map(_names, below)):
            held = ", ".join(map(shown, inside[folder][:_LISTED]))
            raise DataError(
                f"{shown(folder.name)}/ holds {held}: parts belong above classes, train/<class>/ and test/<class>/"
            )
    for one, other in itertools.combinations(folders, 2):
        both = sorted(set(inside[one]) & set(inside[other]))
        if len(both) > 1:
            names = ", ".join(map(shown, both[:_LISTED]))
            raise DataError(
                f"{_listed([one, other])} hold folders of the same names ({names}), so they look like parts of a data"
                " set: call them train/ and test/ (or val/). If they are classes, put the images directly into them"
            )


def _further_down(folder: Path) -> Path | None:
    """The first folder at or below one, through folders that hold a single one each, with parts or several classes."""
    for _ in range(_DEEPEST):
        found = level(folder).folders
        if len(found) > 1 or any(part_of(below.name) is not None and _names(below) for below in found):
            return folder
        if not found:
            return None
        folder = found[0]
    return None


def _names(folder: Path) -> list[str]:
    """Names of the folders in a folder."""
    return [below.name for below in level(folder).folders]


def class_folders(folder: Path, passed: Passed) -> list[Path]:
    """Class folders of a part; images beside them are counted."""
    found = level(folder, passed, SUFFIXES)
    _count_loose(found, passed)
    return found.folders


def _count_loose(found: Level, passed: Passed) -> None:
    for file in found.files:
        if file.suffix.lower() in SUFFIXES:
            passed.loose += 1
        else:
            passed.file(file)


def _class_names(folders: Sequence[Path]) -> tuple[str, ...]:
    odd = [folder for folder in folders if not is_text(folder.name)]
    if odd:
        raise DataError(f"the class folder {shown(odd[0])} has a name that is not UTF-8: rename it")
    names = tuple(folder.name for folder in folders)
    numbers = Counter(int(name) for name in names if name.isdecimal())
    twice = [number for number, count in numbers.items() if count > 1]
    if twice:
        same = [name for name in names if name.isdecimal() and int(name) == twice[0]]
        raise DataError(f"the class folders {' and '.join(same)} are the same number: rename one of them")
    return names


def _words(tops: dict[PartName, Path]) -> tuple[str, ...]:
    """A word on folders of which not everybody knows which part they are."""
    return tuple(
        f"{shown(folder.name)}/ was read as the {'validation' if part == 'val' else part} part"
        for part, folder in tops.items()
        if part != "train" and not {"val", "test"} & {word[:3].replace("tes", "test") for word in words(folder.name)}
    )


def _spoken(files: dict[tuple[PartName, Path], list[Path]]) -> tuple[str, ...]:
    """A word where the names of all images begin with parts, some with others than their folders': ``cat/test_1.png``.

    The library datasets splits by such names.
    """
    found: Counter[tuple[str, str]] = Counter()
    for (owner, _), images in files.items():
        for image in images:
            part = next(map(word_part, words(image.stem)), None)
            if part is None:
                return ()
            found[part, owner] += 1
    if len({part for part, _ in found}) < 2:
        return ()
    return tuple(
        f"{plural(f'{count:,}', 'image')} with {part} at the beginning of the name read as {owner}, as the folders say;"
        f" a part is a folder, {part}/<class>/"
        for (part, owner), count in sorted(found.items())
        if part != owner
    )


def deeper(tops: Sequence[Path], files: Sequence[Sequence[Path]]) -> tuple[str, ...]:
    """A word where the images of a class lie in several folders, whose names may have meant more: ``pets/cat/``.

    Args:
        tops: The class folders.
        files: The images below each.
    """
    found = {}
    for top, images in zip(tops, files, strict=True):
        homes = {image.parent for image in images}
        if len(homes) > 1:
            found[top] = [shown(home.relative_to(top)) for home in sorted(homes) if home != top]
    if not found:
        return ()
    parts = len({top.parent for top in tops}) > 1
    names = [
        f"{f'{shown(top.parent.name)}/' * parts}{shown(top.name)}/ ({', '.join(homes[:3])}{', …' * (len(homes) > 3)})"
        for top, homes in itertools.islice(found.items(), _LISTED)
    ]
    more = f" and {len(found) - _LISTED} more" * (len(found) > _LISTED)
    return (f"images in folders inside class folders were read as that class: {', '.join(names)}{more}",)


def _order(class_names: Sequence[str]) -> tuple[str, ...]:
    """A word where names hold numbers (``10``, ``class_10``, ``10_cat``) and their order as text is another one."""
    decimal = all(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", name) for name in class_names) and "." in "".join(class_names)
    by_number = sorted(class_names, key=float) if decimal else sorted(class_names, key=_by_number)
    odd = next((i for i, name in enumerate(by_number) if name != class_names[i]), None)
    if odd is None:
        return ()
    order = "classes are in the order of their folders' names as text, not by number"
    return (f"{order}: class {odd} is folder {class_names[odd]}",)


def _by_number(name: str) -> list[str | int]:
    """Texts and numbers by turns, a text first."""
    return [int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"(\d+)", name))]


def _labelled(
    part: PartName, files: dict[tuple[PartName, Path], list[Path]], class_names: Sequence[str]
) -> tuple[list[Path], Labels]:
    """All images of a part, class by class, and their labels [N]."""
    numbers = {name: number for number, name in enumerate(class_names)}
    paths: list[Path] = []
    labels: list[int] = []
    for (owner, folder), found in files.items():
        if owner != part:
            continue
        if folder.name not in numbers:
            alone = sum(part == owner for owner, _ in files) == 1
            if not found and not any(file.is_file() and not is_hidden(file.name) for file in folder.rglob("*")):
                raise DataError(f"{shown(folder)} is a class that train does not have, and holds no images: remove it")
            raise DataError(f"{shown(folder)} is a class that train does not have{_meant(folder, class_names, alone)}")
        paths += found
        labels += [numbers[folder.name]] * len(found)
    return paths, np.array(labels, dtype=np.int64)


def _meant(folder: Path, class_names: Sequence[str], alone: bool) -> str:
    """What to do about a folder that is none of the classes, and perhaps ``alone`` in its part."""
    tiny = (folder.parent.parent / "wnids.txt").is_file() or (folder.parent / "val_annotations.txt").is_file()
    if alone and tiny:
        return ": files as TinyImageNet has them are read as NAME=tiny:PATH"
    alike = next((name for name in class_names if _alike(name) == _alike(folder.name)), None)
    if alike is not None:
        return f", though it has {shown(alike)!r}: give both folders the same name, letter by letter"
    if alone:
        return f", and the only folder there: {shown(folder.parent.name)}/ needs a folder for each class, as train has"
    return ": give train images of it, or move it away"


def _alike(name: str) -> str:
    """A name without what eyes pass over: case, blanks around it, the ways to write an accent."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _listed(folders: Sequence[Path]) -> str:
    return _joined([f"{shown(folder.name)}/" for folder in folders])


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
