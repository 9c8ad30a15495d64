"""Which part of a data set a name means: ``Train``, ``seg_test``, ``validation_set``, ``testX``. No torch."""

from __future__ import annotations

import re

from ddbench.data.readers.raw import PartName

WORDS: dict[str, PartName] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "devel": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Words for parts, as the Hub understands them: ``dev`` is validation, ``eval`` is test."""

_FILLERS = frozenset(
    {
        "set", "sets", "seg", "data", "dataset", "datasets", "split", "part", "images", "image", "imgs", "img",
        "pictures", "pics", "folder", "dir", "samples", "of", "the",
    }
)  # fmt: skip
"""What stands beside such a word and does not change its meaning."""

_GLUED = re.compile(
    rf"(?:seg|img|image|images|my)?({'|'.join(sorted(WORDS, key=len, reverse=True))})"
    r"(?:set|sets|data|dataset|datasets|split|part|images|image|imgs|img|folder|dir|samples)?"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def words(name: str) -> list[str]:
    """The words of a name in lower case: ``seg_train``, ``TestSet`` and ``TEST-2`` have two each."""
    return [word.lower() for word in _WORD.findall(name)]


def word_part(word: str) -> PartName | None:
    """The part that one word means: ``test``, ``testset``, ``testdata``; None for all other words."""
    glued = _GLUED.fullmatch(word)
    return None if glued is None else WORDS[glued[1]]


def part_of(name: str) -> PartName | None:
    """The part that a name means; None where it has other words, too (``cat_test``), or two of them."""
    found, rest = split_name(name)
    return found if not rest else None


def split_name(name: str) -> tuple[PartName | None, tuple[str, ...]]:
    """The part that a name speaks of, if it is one, and its words that say something else (numbers say nothing)."""
    found = words(name)
    if not any(map(word_part, found)):
        found = words(name.lower())  # tRAIN
    parts, rest = [], []
    for word in found:
        part = word_part(word)
        if part is not None:
            parts.append(part)
        elif word not in _FILLERS and not word.isdigit():
            rest.append(word)
    return (parts[0] if len(set(parts)) == 1 else None), tuple(rest)
