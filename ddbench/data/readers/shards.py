"""Which parquet files are which part of a data set, and whether all of them are there. No torch."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from ddbench.core.errors import DataError
from ddbench.data.readers.parts import part_of, split_name, word_part, words
from ddbench.data.readers.raw import PARTS, PartName
from ddbench.data.readers.walk import regular_files, shown

Parts: TypeAlias = "dict[PartName, list[Path]]"

_SHARD = re.compile(r"(\d+)-of-(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)$")
_ELSEWHERE = frozenset({".arrow", ".csv", ".jsonl", ".tar", ".zip", ".gz", ".tgz", ".npz", ".pt", ".pkl", ".tfrecord"})
"""Files that may hold images and are not read here."""
_IMAGES = frozenset({".png", ".jpg", ".jpeg"})
_LISTED = 5


def holds_parquet(place: Path) -> bool:
    """Whether a place is a parquet file, or a folder with one somewhere in it."""
    if place.is_file():
        return place.suffix.lower() == ".parquet"
    return place.is_dir() and any(entry.name.lower().endswith(".parquet") for entry in regular_files(place))


def part_files(path: Path) -> tuple[Parts, tuple[str, ...]]:
    """Parquet files of each part in the order of their names, and notes on those that are not read.

    Raises:
        DataError: If there is no train, if shards are missing, or if it is not clear which files to read.
    """
    if path.is_file():
        shard = _SHARD.search(path.stem)
        if shard is not None and int(shard[2]) > 1:
            raise DataError(f"{shown(path)} is one of {int(shard[2])} shards: name the folder that holds all of them")
        return {"train": [path]}, ()
    if not path.is_dir():
        raise DataError(f"{shown(path)} is neither a file nor a folder")
    places = sorted(Path(entry.path).relative_to(path) for entry in regular_files(path))
    loading = [place for place in places if ".parquet." in place.name.lower()]
    if loading:
        raise DataError(f"{shown(path / loading[0])} is not complete: finish the download, or delete it")
    tables = [place for place in places if place.suffix.lower() == ".parquet"]
    home, files = _configuration(path, tables, places)
    others = [place for place in tables if not any(place in found for found in files.values())]
    _refuse_lost(path, home, files, [*others, *(place for place in places if place.suffix.lower() in _ELSEWHERE)])
    for found in files.values():
        _refuse_gaps(path, found)
    names = ", ".join(shown(place) for place in others[:_LISTED]) + " …" * (len(others) > _LISTED)
    notes = (f"{len(others)} parquet file{'s' * (len(others) != 1)} not read: {names}",) if others else ()
    return {part: [path / place for place in sorted(files[part])] for part in PARTS if part in files}, notes


def _configuration(path: Path, tables: Sequence[Path], places: Sequence[Path]) -> tuple[Path, Parts]:
    """The one folder whose files have a train part, and its files by part."""
    found: dict[Path, Parts] = defaultdict(lambda: defaultdict(list))
    for place in tables:
        part, folder = _understood(place)
        if part is not None:
            found[folder][part].append(place)
    whole = {folder: parts for folder, parts in found.items() if "train" in parts}
    if not whole:
        seen = ", ".join(shown(place) for place in places[:_LISTED])
        advice = ""
        if any(place.suffix.lower() == ".arrow" for place in places):
            advice = ": `Dataset.to_parquet('train.parquet')` of the library datasets writes one for each split"
        elif any(place.suffix.lower() in _IMAGES for place in places):
            advice = ": class folders of images are read as NAME=folder:PATH"
        raise DataError(f"{shown(path)} holds no train-*.parquet" + (f"; it holds {seen}" if seen else "") + advice)
    if len(whole) > 1:
        names = ", ".join(sorted(shown(folder) for folder in whole))
        raise DataError(f"{shown(path)} holds several data sets ({names}): name one of these folders")
    return next(iter(whole.items()))


def _refuse_lost(path: Path, home: Path, files: Parts, others: Sequence[Path]) -> None:
    """Refuse files that look like a part and would not be read."""
    for place in others:
        part, folder = _understood(place)
        if part is None and (cut := _cut_short(place)) is not None:
            raise DataError(
                f"{shown(path / place)} is only the beginning of {cut}, as the Hub converts large data sets: get the"
                " original files, or move it away"
            )
        if part is None or part in files:
            continue
        if place.suffix.lower() == ".parquet" and folder != home:
            raise DataError(
                f"{shown(path / place)} lies in another folder than train: put it beside the files of train"
            )
        raise DataError(
            f"{shown(path / place)} looks like a part of {part}, and is no parquet file: convert it, or move it away"
        )


def _understood(place: Path) -> tuple[PartName | None, Path]:
    """The part of ``data/train-00000-of-00001.parquet`` or ``default/train/0000.parquet``, and its configuration."""
    stem = words(_SHARD.sub("", place.stem))
    spoken = list(dict.fromkeys(part for word in stem if (part := word_part(word)) is not None))
    folders = [part_of(name) for name in place.parent.parts]
    above = [part for part in folders if part is not None]
    rest = Path(*(name for name, part in zip(place.parent.parts, folders, strict=True) if part is None))
    first = word_part(stem[0]) if stem else None
    if first is not None or len(spoken) == 1:
        return first or spoken[0], rest
    return (above[-1] if above and not spoken else None), rest


def _cut_short(place: Path) -> PartName | None:
    """The part of which ``default/partial-test/0000.parquet`` holds the beginning; None: it is no such file."""
    named = [split_name(name) for name in place.parent.parts]
    return next((part for part, rest in named if part is not None and rest == ("partial",)), None)


def _refuse_gaps(path: Path, files: Sequence[Path]) -> None:
    """Refuse a part of which shards are missing: names say how many there are, ``train-00001-of-00003``."""
    counted = [(file, match) for file in files if (match := _SHARD.search(file.stem)) is not None]
    totals = {int(match[2]) for _, match in counted}
    if counted and (
        len(totals) > 1 or len(counted) < len(files) or len({match[1] for _, match in counted}) < len(files)
    ):
        names = f"{shown(min(files).name)} and {shown(max(files).name)}"
        raise DataError(f"{shown(path)}: {names} are of two downloads: keep the files of one")
    lost = list(_lost_of(counted, max(totals)) if counted else _lost_between(files))
    if lost:
        more = f" and {len(lost) - 3} more" * (len(lost) > 3)
        raise DataError(f"{shown(path)}: {', '.join(map(shown, lost[:3]))}{more} missing: finish the download")


def _lost_of(counted: Sequence[tuple[Path, re.Match[str]]], total: int) -> Iterator[str]:
    """Names of the shards that are missing of a number that the names say."""
    there = {int(match[1]) for _, match in counted}
    file, match = counted[0]
    for number in range(total):
        if number not in there:
            name = f"{file.stem[: match.start(1)]}{number:0{len(match[1])}d}-of-{match[2]}"
            yield str(file.with_name(f"{name}.parquet"))


def _lost_between(files: Sequence[Path]) -> Iterator[str]:
    """Names of the files that are missing among numbered ones: from 0, or from 1, to the largest."""
    numbered = {int(match[1]): (file, match) for file in files if (match := _NUMBER.search(file.stem)) is not None}
    if len(numbered) < len(files) or not numbered:
        return
    file, match = next(iter(numbered.values()))
    if len(numbered) == 1 and not match[1].startswith("0"):  # train2017.parquet
        return
    for number in range(min(1, *numbered) if len(numbered) > 1 else 0, max(numbered)):
        if number not in numbered:
            yield str(file.with_name(f"{file.stem[: match.start(1)]}{number:0{len(match[1])}d}.parquet"))
