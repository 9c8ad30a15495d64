"""Sets made elsewhere: which rows files stand for, and the suite that evaluates them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.core.infos import IMPORTED
from ddbench.core.profiles import DEFAULT
from ddbench.core.specs import DatasetInfo
from ddbench.core.words import plural
from ddbench.data.exchange.files import Source, sources_of
from ddbench.data.exchange.importer import Importer, Understood, column_of
from ddbench.plan import suite

LISTS = ("archs", "eval_archs", "protocols")


def named_sources(files: Iterable[Path], labels: Sequence[str]) -> list[Source]:
    """The rows that files stand for, each under a name of its own.

    Args:
        files: What users point at.
        labels: Names of the rows, in the order of the files; none: as the files are called.

    Raises:
        UsageError: If names are missing or clash.
    """
    found = sources_of(files)
    wanted = labels or [source.label for source in found]
    if len(wanted) != len(found):
        raise UsageError(
            f"{len(wanted)} --label for {plural(len(found), 'row')} ({', '.join(source.label for source in found)})"
        )
    twice = next((label for i, label in enumerate(wanted) if label in wanted[:i]), None)
    if twice is not None:
        raise UsageError(f"two rows would be called {twice!r}: name each with --label, in the order of the files")
    return [replace(each, label=label) for label, each in zip(wanted, found, strict=True)]


def suite_of_sets(
    rows: Sequence[tuple[Source, Understood]], importer: Importer, words: Mapping[str, Any]
) -> suite.Suite:
    """The suite that evaluates the rows, each at its own size.

    Args:
        rows: Sources, and what they came to.
        importer: Took them in.
        words: Lists of :data:`LISTS`, ``seeds``, ``eval_seeds``, ``profile``, and ``where`` they were said, if not on
            the command line; what is missing or empty is not said.

    Raises:
        UsageError: If they cannot stand in one run.
    """
    spaces = dict.fromkeys(understood.preprocess for _, understood in rows)
    if len(spaces) > 1:
        raise UsageError(f"the sets live in different spaces ({', '.join(spaces)}): evaluate them in separate calls")
    (space,) = spaces
    axis, size_of = _sizes(rows, importer.data(space).info)
    sizes = sorted(set(size_of.values()))
    several = max(len(understood.sources) for _, understood in rows)
    repetitions = several if words.get("seeds") is None and several > 1 else words.get("seeds")
    seeds = {"condense": repetitions, "evaluate": words.get("eval_seeds")}
    content = {
        "methods": [
            {"name": IMPORTED, "label": source.label, "params": _params(understood)} for source, understood in rows
        ],
        "datasets": [importer.dataset],
        "budget": {axis: sizes},
        "preprocess": [space],
        "split": importer.split,
        "profile": words.get("profile") or DEFAULT,
        "exclude": [
            {"method": label, axis: other} for label, own in size_of.items() for other in sizes if other != own
        ],
        **{name: [*words[name]] for name in LISTS if words.get(name)},
        "seeds": {name: n for name, n in seeds.items() if n is not None},
    }
    return suite.parse(content, words.get("where", "command line"))


def _params(understood: Understood) -> dict[str, Any]:
    """Those of the row of a source."""
    initial = {"initial": True} if understood.initial else {}
    return {"sources": understood.sources, "n": understood.n, "centred": understood.centred, **initial}


def _sizes(rows: Sequence[tuple[Source, Understood]], info: DatasetInfo) -> tuple[str, dict[str, float]]:
    """The axis of all rows, ``ipc`` or ``fraction``, and each row's size on it by the row's label.

    Raises:
        UsageError: If some rows have an ipc and others have none.
    """
    columns = {source.label: column_of(understood, info) for source, understood in rows}
    odd = [label for label, budget in columns.items() if budget.ipc is None]
    if odd and len(odd) < len(columns):
        raise UsageError(
            f"{odd[0]!r} has no single number of images per class, others have: evaluate it in another call"
        )
    axis = "fraction" if odd else "ipc"
    return axis, {label: getattr(budget, axis) for label, budget in columns.items()}
