"""Which results were made by other versions of a method, a protocol or an artifact kind than this ddbench has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from pydantic import ValidationError

from ddbench.core.documents import CellDocument
from ddbench.core.errors import DDBenchError
from ddbench.core.keys import artifact_key
from ddbench.core.plugin.kinds import Kind
from ddbench.core.plugin.loader import Registries, active, params_class
from ddbench.core.specs import ArtifactSpec
from ddbench.data.space.ids import artifact_for
from ddbench.results.tables.observations import Observation
from ddbench.results.tables.protocols import OURS, name_of

WAITS = "waits for new runs"


def outdated(observations: Sequence[Observation]) -> tuple[str, ...]:
    """What other versions made, a line each: ``made under hard@1; ddbench has hard@2: waits for new runs``.

    Of members that are not here, or that another plugin registered by now, no version can be told.
    """
    measured = [o for o in observations if o.key and o.source == "measured"]
    protocols = dict.fromkeys(str(o.setting.protocol) for o in measured)
    lines = [f"made under {used}; ddbench has {now}" for used in protocols if (now := protocol_now(used))]
    found: dict[str, dict[str, None]] = {}
    for o in measured:
        for what in _of_set(o.made, active()) if o.made is not None else ():
            found.setdefault(what, {})[o.row] = None
    lines += [f"{', '.join(rows)}: {what}" for what, rows in found.items()]
    return tuple(f"{line}: {WAITS}" for line in lines)


def protocol_now(used: str) -> str | None:
    """The id of a protocol as this ddbench has it, if that is another version than the one used; else None."""
    name = name_of(used)
    if " " in used:  # of several plugins, told apart
        return None
    known = OURS.get(name) or active().protocols.find(name)
    now = None if known is None else f"{name}@{known.version}"
    return None if now == used else now


def _of_set(made: CellDocument, registries: Registries) -> Iterator[str]:
    """What made a set in another version than is here."""
    cell = made.cell
    info = registries.methods.find(cell.method)
    if info is None or registries.methods.origin(cell.method).key != cell.origin or not cell.method_version:
        return
    if cell.method_version != info.version:
        yield f"made by {cell.method}@{cell.method_version}; ddbench has {cell.method}@{info.version}"
    for name, (kind, key) in made.artifacts.items():
        if (other := _of_artifact(made.model_dump_json(), name, kind, key)) is not None:
            yield other


@lru_cache(maxsize=4096)
def _of_artifact(document: str, name: str, kind: str, key: str) -> str | None:
    """How an artifact was made, if its key is not the one that it has now."""
    registries, made = active(), CellDocument.model_validate_json(document)
    try:
        now = Kind.find(kind, registries)
        spec = registries.with_origins(now.completed(_declared(made, name, registries), ""))
    except (DDBenchError, ValidationError, LookupError):
        return None  # parameters that are no longer there: its method has another version, too
    versions = [version for version in range(now.info.version, 0, -1) if artifact_key(spec, version) == key]
    if now.info.version in versions:
        return None
    used = f"{kind}@{versions[0]}" if versions else f"{kind} of other parameters"
    return f"from {used}; ddbench has {kind}@{now.info.version}"


def _declared(made: CellDocument, name: str, registries: Registries) -> ArtifactSpec:
    """The artifact of a name that a cell's params declare today.

    Raises:
        LookupError: If they declare none.
    """
    matrices = artifact_for(made.cell.data)
    if name == "whitening" and matrices is not None:
        return matrices
    params = params_class(registries.methods.get(made.cell.method)).model_validate(made.cell.params)
    return params.artifacts(made.cell)[name]  # type: ignore[no-any-return]
