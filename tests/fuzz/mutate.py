"""Mutations of documents, texts and bytes, by a seeded generator: what people mistype and what damaged files hold."""

from __future__ import annotations

import copy
from functools import partial, reduce
from random import Random
from typing import Any

WORDS = (
    "", " ", "x", "dm", "random", "full", "digits", "hard", "native", "zca", "../..", "/", "~", "a,b", "\n", "\0x"[1:],
    "=1+1", "@x", "-1", "| a | b |", "<!-- ddbench:end -->", "[a](b)", "![a](b)", "<script>", "&lt;", "**b**", "`c`",
    "ü", "\u2028", "\u202e", "日本", "\ud800", "9" * 5000, "a" * 5000, "nan", "null", "true", "!!set", "*a", "&a",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 10, 255, 256, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**300, 0.0, -0.0, 0.5, 1.5, 1e-320, 1e308,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip


def value(rng: Random, depth: int = 0) -> Any:
    """Anything that JSON or YAML can hold."""
    kind = rng.randrange(8)
    if kind < 2:
        return rng.choice(WORDS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4 or depth > 3:
        return rng.choice([None, True, False])
    if kind == 5:
        deep: Any = rng.choice(WORDS)
        for _ in range(rng.choice([2, 5, 50])):
            deep = [deep] if rng.random() < 0.5 else {"a": deep}
        return deep
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values below the root."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for name, item in inner for found in [(*path, name), *places(item, (*path, name))]]


def mutated(rng: Random, tree: Any, times: int | None = None) -> Any:
    """A copy with one to three values removed, renamed, repeated, or replaced, perhaps by another one of its kind."""
    tree = copy.deepcopy(tree)
    for _ in range(times or rng.choice([1, 1, 2, 3])):
        known = places(tree)
        if not known:
            return value(rng)
        *path, last = rng.choice(known)
        holder = _at(tree, tuple(path))
        how = rng.randrange(8)
        if how == 0:
            del holder[last]
        elif how == 1 and isinstance(holder, dict):
            holder[rng.choice([*WORDS, f"{last}x", str(last).upper()])] = holder.pop(last)
        elif how == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        elif how == 3 and isinstance(holder[last], int | float) and not isinstance(holder[last], bool):
            holder[last] = rng.choice([-holder[last], holder[last] + 1, str(holder[last]), [holder[last]]])
        elif how > 5:
            same = [one for one in map(partial(_at, tree), known) if type(one) is type(holder[last])]
            holder[last] = copy.deepcopy(rng.choice(same))
        else:
            holder[last] = value(rng)
    return tree


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    return reduce(lambda held, name: held[name], path, tree)


def damaged(rng: Random, content: bytes) -> bytes:
    """Bytes that were cut, flipped, overwritten, repeated, or that are something else."""
    if not content or rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 10])):
        start = rng.randrange(len(found))
        end = min(len(found), start + rng.choice([1, 4, 64]))
        how = rng.randrange(5)
        if how == 0:
            found[start:end] = rng.randbytes(end - start)
        elif how == 1:
            del found[start:end]
        elif how == 2:
            found[start:start] = found[start:end]
        elif how == 3:
            found[start] ^= 1 << rng.randrange(8)
        else:
            del found[start:]
        if not found:
            return b""
    return bytes(found)
