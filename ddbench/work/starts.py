"""The set of another row that a cell starts from: opened and checked, and what making it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ddbench.core.api import CondensedSet, Params
from ddbench.core.documents import Artifacts, CellDocument
from ddbench.core.errors import NodeFailureError
from ddbench.core.plugin.loader import Registries, params_class
from ddbench.core.records import Record
from ddbench.core.specs import CellSpec, DatasetInfo
from ddbench.core.store.folder import Store
from ddbench.work.artifact_builds import engines_of


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a cell was made from, for its record; its own artifacts alone until more is known.

    Attributes:
        artifacts: Those that it reads, and those from which the set was made that it starts from.
        shares: Name → share of an artifact that can be opened, by the cell or by that set.
        made: The record of that set; several where it had started from another one itself.
    """

    artifacts: Artifacts
    shares: Mapping[str, float] = field(default_factory=dict)
    made: tuple[Record, ...] = ()

    @property
    def engines(self) -> list[str]:
        """The code paths that made them, as far as they say."""
        named = {engine for record in self.made for engine in (record.env.get("engine"), *record.env.get("inputs", ()))}
        return sorted({*engines_of(self.artifacts), *named} - {None})


def open_start(store: Store, document: CellDocument) -> tuple[CondensedSet | None, tuple[Record, ...]]:
    """The set that a cell starts from, None for nearly all, and the records of what it was made by.

    Raises:
        CorruptFileError: If it is not the one that its record names; it is set aside, so that it is made again.
    """
    if document.initial is None:
        return None, ()
    condensed, record = store.load_set(store.folder(document.initial))
    earlier = (store.condensation(store.folder(made), keep=True) for made in _starts(document.initial))
    return condensed, (record, *(found for found in earlier if found is not None))


def inputs_of(
    document: CellDocument, made: tuple[Record, ...], registries: Registries, data: DatasetInfo
) -> Inputs:  # fmt: skip
    """What a cell was made from; an artifact that several of its parts read is one, opened as far as any can open it.

    Args:
        document: The cell's.
        made: From :func:`open_start`.
        registries: For the params of what made them.
        data: Facts about the data set.

    Raises:
        NodeFailureError: If params say what is no share; before anything is computed, so that nothing is lost.
    """
    used: Artifacts = {}
    shares: dict[str, float] = {}
    for part in (document, *_starts(document)):
        params = params_class(registries.methods.get(part.cell.method)).model_validate(part.cell.params)
        declared = params.artifacts(part.cell)
        for own, place in part.artifacts.items():
            share = _share(params, own, part.cell, data) if own in declared else 1.0
            name = next((known for known, other in used.items() if other == place), None)
            name = name or (own if part is document else f"{own} of {part.cell.method}")
            used[name], shares[name] = place, max(share, shares.get(name, 0.0))
    return Inputs(used, shares, made)


def _starts(document: CellDocument) -> Iterator[CellDocument]:
    """The set that a cell starts from, then the one from which this was started, and so on."""
    found = document.initial
    while found is not None:
        yield found
        found = found.initial


def _share(params: Params, name: str, spec: CellSpec, data: DatasetInfo) -> float:
    share = params.opens(name, spec, data)
    if not 0.0 <= share <= 1.0:
        raise NodeFailureError("failed", f"Params.opens({name!r}, …) gives {share!r}, not a share in [0, 1]")
    return share
