"""YAML of users: what it may hold, and its errors in words; nothing that a file says can end in a traceback.

Plain values are what YAML 1.2 takes them for, where people mean numbers to the base of ten. What 1.1 makes of others
(``010`` is 8, ``1:30`` is 90, ``no`` is false) nobody means: such numbers are refused, such words are words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ddbench.core.errors import MOST_SHOWN, CorruptFileError, UsageError
from ddbench.core.store.files import read_small

DEEPEST = 64
"""Levels of lists and mappings; more has no meaning anywhere, and would exhaust the stack."""
LARGEST = 1 << 22
"""Bytes of a file."""
WRITTEN = 100_000
"""Values that a file spells out; each takes some 50 µs to read."""
MOST = 1_000_000
"""Values of a file, aliases counted as often as they stand for something."""
MERGED = 10_000
"""Keys that ``<<`` may bring to a mapping."""
DIGITS = 4000
"""Of an integer: Python writes no longer ones."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_RESOLVED = ("bool", "int", "float", "timestamp")
"""What plain text is not taken for as YAML 1.1 does; dates are texts, as in YAML 1.2."""
_INTEGER = r"[-+]?[0-9]+"
_FLOAT = (
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_PUZZLING = (
    r"[-+]?0[0-9]+|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO][0-7_]+|[-+]?0[bB][01_]+|[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?(?:[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?|[0-9]+\.[0-9]*_[0-9_]*|\.[0-9]+_[0-9_]*)(?:[eE][-+]?[0-9]+)?"
)
"""What one YAML or another, or a programming language, takes for a number to another base or with marks in it."""


class _Loader(yaml.SafeLoader):
    """Safe YAML of lists, mappings and plain values, in which a key may stand once: of two, the first would be lost."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = self._written = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Build the tree of nodes.

        Raises:
            YAMLError: If it is too deep, or too large.
        """
        self._level += 1
        self._written += 1
        if self._written > WRITTEN:
            raise yaml.YAMLError(f"more than {WRITTEN:,} values")
        if self._level > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels of lists and mappings")
        try:
            return super().compose_node(parent, index)
        finally:
            self._level -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping.

        Raises:
            YAMLError: If a key is given twice, or is a list or a mapping.
        """
        seen = set()
        for name, _ in node.value:
            if name.tag == _MERGE:  # ``<<: *base``: keys that the mapping has itself go before those
                continue
            key = self.construct_object(name, deep=True)
            if isinstance(key, list | dict | set):
                raise yaml.YAMLError(f"the key {str(key)[:40]} is no plain value")
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> None:
        """Put what ``<<`` means into a mapping; of a key that several have, its own counts, else the first.

        Raises:
            YAMLError: If that is too much.
        """
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        if len(own) == len(node.value):
            return
        named, merged, size = {(name.tag, str(name.value)) for name, _ in own}, [], 0
        for _, value in (pair for pair in node.value if pair[0].tag == _MERGE):
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(part, yaml.MappingNode):
                    raise yaml.YAMLError("<< takes a mapping, or a list of such")
                self.flatten_mapping(part)
                size += len(part.value)
                if size > MERGED:
                    raise yaml.YAMLError(f"<< brings more than {MERGED} keys")
                fresh = [pair for pair in part.value if (pair[0].tag, str(pair[0].value)) not in named]
                named |= {(name.tag, str(name.value)) for name, _ in fresh}
                merged += fresh
        node.value = merged + own


def _number(loader: _Loader, node: Any) -> int | float:
    """A number to the base of ten.

    Raises:
        YAMLError: If it is written in a way that not everybody reads as the same number.
    """
    text = str(loader.construct_scalar(node))
    if re.fullmatch(_PUZZLING, text) is not None:
        raise yaml.YAMLError(f"{_shown(text)} is no number here{_meant(text)}; text stands in quotes: {_shown(text)!r}")
    integer = node.tag.endswith(":int")
    if re.fullmatch(_INTEGER if integer else f"{_FLOAT}|{_INTEGER}", text) is None:
        raise yaml.YAMLError(f"{_shown(text)} is no number")
    if integer and len(text) > DIGITS:
        raise yaml.YAMLError(f"an integer of more than {DIGITS} digits")
    return int(text) if integer else float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


def _shown(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _meant(text: str) -> str:
    """What to write instead, where it is clear which number is meant."""
    plain = text.replace("_", "")
    if ":" in plain or not re.fullmatch(rf"{_INTEGER}|{_FLOAT}", plain):
        return ": numbers are written to the base of ten"
    sign, digits = re.fullmatch(r"([-+]?)0*(.*)", plain, flags=re.DOTALL).groups()  # type: ignore[union-attr]
    return f": write {_shown(sign + (digits if digits[:1].isdigit() else f'0{digits}'))}"


def _refused(loader: _Loader, node: yaml.Node) -> Any:
    raise yaml.YAMLError(f"{node.tag.replace(_TAG, '!!')} is not used here")


for _tag in ("set", "omap", "pairs", "binary", "timestamp"):
    _Loader.add_constructor(f"{_TAG}{_tag}", _refused)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.removeprefix(_TAG) not in _RESOLVED]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(rf"^(?:{_INTEGER}|{_PUZZLING})$"), list("-+.0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(rf"^(?:{_FLOAT})$"), list("-+.0123456789"))
for _tag in ("int", "float"):
    _Loader.add_constructor(f"{_TAG}{_tag}", _number)


def parse_yaml(text: str) -> Any:
    """The value that a text of YAML stands for: None, bool, int, float, str, or lists and mappings of such.

    Raises:
        ValueError: If it is none, in words.
    """
    try:
        value = _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError, OverflowError) as error:
        words = " ".join(str(error).split())
        if isinstance(error, RecursionError):
            words = "too deep"
        elif isinstance(error, AttributeError | KeyError | TypeError):  # of `!!bool x`
            words = "a value is not what its tag (!!…) says"
        raise ValueError(words[:300] or type(error).__name__) from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse values that cannot be written as text, and lists that hold themselves, or each other over and over.

    Raises:
        ValueError: If there is one.
    """
    left, seen = [value], 0
    while left:
        item, seen = left.pop(), seen + 1
        if seen > MOST:
            raise ValueError(f"more than {MOST:,} values, aliases counted as often as they stand for something")
        if isinstance(item, int) and abs(item) >= 10**DIGITS:
            raise ValueError(f"an integer of more than {DIGITS} digits")
        if isinstance(item, str) and not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError:
                raise ValueError("text with halves of characters (surrogates)") from None
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            left += item


def read_yaml(path: Path, what: str) -> Any:
    """The value in a file of YAML.

    Args:
        path: The file.
        what: What it is, for messages: ``suite``.

    Raises:
        UsageError: If it cannot be read, is not UTF-8 text, or not YAML.
    """
    try:
        return parse_yaml(read_small(path, LARGEST).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{what} {path}: not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"{what} {path}: {error.strerror or error}") from None
    except CorruptFileError as error:
        raise UsageError(f"{what} {error}") from None
    except ValueError as error:
        raise UsageError(f"{what} {path}: not YAML: {error}") from None
