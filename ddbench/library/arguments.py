"""What the functions of ddbench are given: lists of words, parameters by method, sets in memory. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddbench.core.errors import DataError, UsageError

_OPTION = re.compile(r"--(range|preprocess|labels|label|device|executor|engine)\b(?: (?:'([^']*)'|([\w:,-]*[\w-])))?")
"""Options of the command that are arguments of the function, with their values where these follow."""


def _as_argument(said: re.Match[str]) -> str:
    """``range='01'`` of ``--range 01``; ``range`` of the option alone."""
    value = said[2] if said[2] is not None else said[3]
    return said[1] if value is None else f"{said[1]}={value!r}"


def listed(value: Any) -> list[Any]:
    """One word or several as a list; names in one text are told apart by commas, as the command does it."""
    if value is None:
        return []
    if isinstance(value, str) and "=" not in value:
        return [name.strip() for name in value.split(",")]
    if isinstance(value, str | Path | int | float | Mapping):
        return [value]
    return [*value]


def sizes(value: Any, kind: type[int] | type[float]) -> list[Any]:
    """One size or several as a list; texts are numbers, and what is none stays for a message."""
    return [_number(one, kind) if isinstance(one, str) else plain(one) for one in listed(plain(value))]


def plain(value: Any) -> Any:
    """A number of numpy or torch as Python's; all else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def settings(given: Any) -> list[tuple[str, str, Any]]:
    """Method, name and value of each parameter that is set.

    Raises:
        UsageError: If they are not given by method.
    """
    if not isinstance(given, Mapping) or not all(isinstance(more, Mapping) for more in given.values()):
        raise UsageError(f"set={str(given)[:200]}: parameters are given by method, set={{'dm': {{'iterations': 500}}}}")
    return [(method, name, value) for method, more in given.items() for name, value in more.items()]


def words_given(resources: Any) -> dict[str, str]:
    """What nodes on a cluster get, as the words of ``--resources``.

    Raises:
        UsageError: If it is no mapping of numbers and texts.
    """
    if resources is not None and not isinstance(resources, Mapping):
        raise UsageError(f"resources={str(resources)[:80]!r}: a mapping, {{'cpus': 4, 'mem': '8G'}}")
    found = {str(name): plain(value) for name, value in (resources or {}).items()}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UsageError(f"resources={{{name!r}: {str(value)[:80]}}}: a number or a text, as for --resources")
    return {name: str(value) for name, value in found.items()}


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse a word that an argument does not have.

    Raises:
        UsageError: If it is one.
    """
    if value is not None and value not in known:
        raise UsageError(f"{name}={str(value)[:80]!r}: {name} is one of {', '.join(map(repr, known))}")


@contextmanager
def speaking_of(sets: Mapping[str, Any], folder: Path = Path()) -> Iterator[None]:
    """A block whose errors speak of sets and arguments, not of the files and options behind them.

    Args:
        sets: What is evaluated, by the names of rows.
        folder: Where those that are no files lie as ``0``, ``1`` and so on.
    """
    try:
        yield
    except (DataError, UsageError) as error:
        text = str(error)
        for i, (name, one) in enumerate(sets.items()):
            if not isinstance(one, str | Path):
                text = re.sub(re.escape(f"{folder / str(i)}.") + r"\w+", f"set {name!r}", text)
        error.args = (_OPTION.sub(_as_argument, text),)
        raise


def _number(text: str, kind: type[int] | type[float]) -> int | float | str:
    try:
        return kind(text)
    except ValueError:
        return text


def paths(value: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several as a list."""
    return [Path(one) for one in ([value] if isinstance(value, str | Path) else value)]


def by_name(sets: Any) -> Mapping[str, Any]:
    """Sets by the names of their rows."""
    if isinstance(sets, Mapping):
        if not sets:
            raise UsageError("sets: there is nothing to evaluate")
        return {str(name): one for name, one in sets.items()}
    return {Path(sets).stem if isinstance(sets, str | Path) else "set": sets}


def file_of(one: Any, stem: Path) -> Path:
    """A file that holds a set; of paths, what they name.

    Raises:
        UsageError: If it is nothing that can be a set.
    """
    from ddbench.core.api import CondensedSet

    if isinstance(one, str | Path):
        return Path(one)
    if isinstance(one, CondensedSet):
        from ddbench.core.store.tensors import save_set

        path = stem.with_suffix(".safetensors")
        save_set(path, one)
        return path
    if isinstance(one, tuple | list) and len(one) == 2:
        import numpy as np

        images, labels = (np.asarray(part.detach().cpu() if hasattr(part, "detach") else part) for part in one)
        path = stem.with_suffix(".npz")
        np.savez(path, images=images, labels=labels)
        return path
    raise UsageError(
        f"a set is a ddbench.CondensedSet, (images, labels), or the path of a file or folder; got {type(one).__name__}"
    )
