"""Which results were made by other versions of a method, a protocol or an artifact kind than this ddbench has.

And by code paths that it no longer computes by.

And under which learning rates, lengths and other settings that a profile gives a protocol no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from ddbench.core.documents import CellDocument
from ddbench.core.errors import DDBenchError
from ddbench.core.keys import artifact_key
from ddbench.core.plugin.kinds import Kind
from ddbench.core.plugin.limited import asked
from ddbench.core.plugin.loader import Registries, active, params_class
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.profiles import profiles
from ddbench.core.records import ENGINES
from ddbench.core.specs import ArtifactSpec, DatasetInfo
from ddbench.data.space.ids import artifact_for
from ddbench.models import names as arch_names
from ddbench.results.tables.observations import Observation
from ddbench.results.tables.protocols import OURS, name_of

WAITS = "waits for new runs"


def outdated(observations: Sequence[Observation]) -> tuple[str, ...]:
    """What other versions made, a line each: ``made under hard@1; ddbench has hard@2: waits for new runs``.

    And what this version of a protocol would not make again: ``made with learning rates .01, .03; ddbench tries .003,
    .01, .03: waits for new runs``; it names the rows where others of the table were made as they are today.

    Of members that are not here, or that another plugin registered by now, no version can be told.
    """
    measured = [o for o in observations if o.key and o.source == "measured"]
    protocols = dict.fromkeys(str(o.setting.protocol) for o in measured)
    lines = [f"made under {used}; ddbench has {now}" for used in protocols if (now := protocol_now(used))]
    found: dict[str, dict[str, None]] = {}
    for o in measured:
        for what in _of_set(o.made, active()) if o.made is not None else ():
            found.setdefault(what, {})[o.row] = None
        for engine in o.engines:
            if engine not in ENGINES:
                what = f"computed by {engine}; ddbench computes by {', '.join(ENGINES[:-1])} or {ENGINES[-1]}"
                found.setdefault(what, {})[o.row] = None
    lines += [f"{', '.join(rows)}: {what}" for what, rows in found.items()]
    lines += _of_settings(measured, active())
    return tuple(f"{line}: {WAITS}" for line in lines)


def protocol_now(used: str) -> str | None:
    """The id of a protocol as this ddbench has it, if that is another version than the one used; else None."""
    name = name_of(used)
    if " " in used:  # of several plugins, told apart
        return None
    known = OURS.get(name) or active().protocols.find(name)
    now = None if known is None else f"{name}@{known.version}"
    return None if now == used else now


def _of_settings(measured: Sequence[Observation], registries: Registries) -> Iterator[str]:
    """Which settings of protocols are others today, with their rows unless that is so for all."""
    compared: dict[str, None] = {}
    found: dict[str, dict[str, None]] = {}
    resolved: dict[tuple[Any, ...], dict[str, Any] | None] = {}
    for o in measured:
        used = {name.removeprefix("protocol."): x for name, x in o.recipe.items() if name.startswith("protocol.")}
        made, name = o.made, str(o.setting.protocol)
        if made is None or made.profile is None or "lr" not in used or protocol_now(name):
            continue
        data, n, flip = made.cell.data, o.facts.n, used.get("flip", True)
        place = name, data.name, data.revision, made.profile, o.setting.eval_arch, n, o.recipe.get(ORIGIN, ""), flip
        if place not in resolved:
            resolved[place] = _settings_now(o, made, flip, registries)
        if (now := resolved[place]) is None:
            continue
        compared[o.row] = None
        for setting in [name for name in now if name in used and used[name] != now[name]]:
            found.setdefault(_other(setting, used[setting], now[setting]), {})[o.row] = None
    for what, rows in found.items():
        yield what if rows.keys() == compared.keys() else f"{', '.join(rows)}: {what}"


ORIGIN = "protocol origin"
"""What the recipe of an observation calls who registered its protocol."""


def _settings_now(o: Observation, made: CellDocument, flip: bool, registries: Registries) -> dict[str, Any] | None:
    """What a protocol resolves today for the place of a result; None where nobody can tell.

    The data itself is not opened: a plugin whose protocol asks for more of it than records know gets no answer.
    """
    protocol, profile = name_of(str(o.setting.protocol)), profiles().get(made.profile or "")
    spec, facts = made.cell.data, o.facts
    n = facts.n
    if profile is None or n is None or registries.protocols.find(protocol) is None:
        return None
    if registries.origins(protocol=protocol).get("protocol", "") != o.recipe.get(ORIGIN, ""):
        return None
    known = registries.datasets.find(spec.name)
    data = SimpleNamespace(
        name=spec.name, revision=spec.revision, n_train=facts.n_train, n_val=facts.n_val, flip=flip,
        dc_augmentation=None if known is None else known.dc_augmentation,
    )  # fmt: skip
    try:
        student = arch_names.student(str(o.setting.eval_arch), registries.architectures)
        found = Protocol.find(protocol, registries).resolve(
            n=n, data=cast(DatasetInfo, data), student=student, profile=profile
        )
    except DDBenchError:
        return None
    return found.model_dump(mode="json", exclude={"recipe_of"})


def _other(setting: str, used: Any, now: Any) -> str:
    if setting == "lr":
        return f"made with learning rates {_rates(used)}; ddbench tries {_rates(now)}"
    return f"made with {setting} {used}; ddbench has {now}"


def _rates(rates: Iterable[float]) -> str:
    return ", ".join(f"{rate:g}".removeprefix("0") for rate in rates)


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
    if made.initial is not None:
        yield from (f"starts from a set {other}" for other in _of_set(made.initial, registries))


@lru_cache(maxsize=4096)
def _of_artifact(document: str, name: str, kind: str, key: str) -> str | None:
    """How an artifact was made, if its key is not the one that it has now."""
    registries, made = active(), CellDocument.model_validate_json(document)
    try:
        now = Kind.find(kind, registries)
        spec = registries.with_origins(now.completed(_declared(made, name, registries), ""))
        spec = spec.model_copy(update={"precision": "bf16" if name in made.bf16 else "fp32"})
    except (DDBenchError, LookupError):
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
    cls, cell = params_class(registries.methods.get(made.cell.method)), made.cell
    declared: dict[str, ArtifactSpec] = asked(
        f"planning {cell.method}", lambda: dict(cls.model_validate(cell.params).artifacts(cell))
    )
    return declared[name]
