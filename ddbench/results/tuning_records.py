"""Which records a ledger may hold: those of its file's own run, all made under one version of everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.plugin.loader import Registries
from ddbench.core.plugin.protocols import Protocol
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.records import Record
from ddbench.core.specs import TUNE
from ddbench.data.prepared.views import canonical_view
from ddbench.models import names as arch_names
from ddbench.plan.grid import usual_student
from ddbench.plan.tuning import REPETITIONS, Tuning


def check(records: Sequence[Record], tuning: Tuning, registries: Registries) -> None:
    """Refuse what is no result of this tuning, or does not fit beside the others.

    Raises:
        UsageError: If one is of test images, of a repetition that is reported, or made otherwise than the file says; or
            if two are of different versions, or from different plugins or data.
    """
    wanted = _wanted(tuning, registries)
    first: dict[str, tuple[str, Record]] = {}
    for record in records:
        _check_split(record, tuning)
        for what, value in _made(record, tuning, registries):
            if wanted[what] not in (None, value):
                raise UsageError(
                    f"{tuning.where}: {titled(record)}: {what} is {value}, but the file says {wanted[what]}: put the "
                    f"file back, or {apart(tuning)}"
                )
        for what, value in _version(record):
            known, other = first.setdefault(what, (value, record))
            if known != value:
                raise UsageError(
                    f"{tuning.where}: {what}: {titled(other)} is of {known}, {titled(record)} of {value}, and a ledger "
                    f"compares what is of one: {apart(tuning)}"
                )


def titled(record: Record) -> str:
    """What messages call a record: its row, budget and repetition, and the beginning of its key."""
    cell = record.document.cell
    r = record.evaluation.eval.r if record.kind == "evaluation" else cell.r
    return (
        f"{record.document.label} at {cell.budget.label}, repetition {r} ({record.kind} {record.key[:8] or 'not run'})"
    )


def apart(tuning: Tuning) -> str:
    """How to get a file of records that fit together."""
    return f"write what this file runs to a file of its own: `ddbench tune {tuning.where} --to NEW.jsonl`"


def _check_split(record: Record, tuning: Tuning) -> None:
    cell = record.document.cell
    r = record.evaluation.eval.r if record.kind == "evaluation" else cell.r
    if cell.data.split != TUNE or r not in REPETITIONS:
        raise UsageError(
            f"{tuning.where}: {record.document.label} is of split {cell.data.split!r}, repetition {r}: a ledger holds "
            f"results of split 'tune' and repetitions {' and '.join(map(str, REPETITIONS))} alone"
        )


def _wanted(tuning: Tuning, registries: Registries) -> dict[str, Any]:
    """What the file says; None where it leaves that to the data."""
    suite, (data,) = tuning.suite, tuning.suite.datasets
    arch = next((arch_names.parse(one, registries.architectures).canonical for one in suite.archs), None)
    name, student = tuning.own.protocol.partition("@")[0], None
    if arch is not None and registries.protocols.find(name) is not None:
        student = usual_student(Protocol.find(name, registries), arch, registries)
    return {
        "data": _data(data.name.partition("=")[0], canonical_view(data.view)), "preprocessing": suite.preprocess[0],
        "master seed": suite.master_seed, "condensing network": arch, "protocol": tuning.own.protocol,
        "student network": student, "student number": 0, "profile": suite.profile,
    }  # fmt: skip


def _made(record: Record, tuning: Tuning, registries: Registries) -> Iterator[tuple[str, Any]]:
    """What a record says of the same; of what its key does not know nothing, for the set may be another run's, too."""
    cell, method = record.document.cell, registries.methods.find(record.document.cell.method)
    axes = {"arch", "seed"} if method is None else method.axes
    yield "data", _data(cell.data.name, cell.data.view)
    yield "preprocessing", cell.data.preprocess
    if record.key and "seed" in axes:  # what never ran names no seeds
        yield "master seed", cell.master
    if record.kind == "evaluation" or "arch" in axes:
        yield "condensing network", cell.arch
    if record.kind == "evaluation":
        document, student = record.evaluation, record.evaluation.eval
        if record.key:
            yield "master seed", student.master
        yield "protocol", document.protocol if "@" in tuning.own.protocol else student.protocol
        yield "student network", student.arch
        yield "student number", student.e
        yield "profile", document.profile


def _version(record: Record) -> Iterator[tuple[str, str]]:
    """What all records of a ledger must have in common, besides what its file says."""
    if not record.key:
        return
    cell = record.document.cell
    yield "data", _owned(f"revision {cell.data.revision}", cell.data.origin)
    yield f"method {cell.method}", _owned(f"{cell.method}@{cell.method_version}", cell.origin)
    if record.kind == "evaluation":
        student = record.evaluation.eval
        yield "protocol", _owned(record.evaluation.protocol, student.origins.get("protocol", ""))
        yield "condensing network", cell.arch
        yield "student network", _owned(student.arch, student.origins.get("arch", ""))


def _data(name: str, view: Sequence[Mapping[str, Any]] | None) -> str:
    return f"{name} {canonical(view)}" if view else name


def _owned(name: str, origin: str) -> str:
    return name if origin in ("", FIRST_PARTY) else f"{name} of {origin}"
