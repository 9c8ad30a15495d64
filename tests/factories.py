"""Records as runs leave them, without running anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ddbench.core.documents import parse
from ddbench.core.infos import ALL_AXES
from ddbench.core.keys import canonical, condense_key, eval_key, short
from ddbench.core.records import Cost, Record
from ddbench.core.specs import Budget
from ddbench.core.store.folder import CONDENSE, evaluation_path, write_record

WHEN = "2025-01-01T00:00:00+00:00"
ARCH = "convnet2-w32-in"
N_TRAIN, N_VAL, CLASSES = 1197, 300, 10


def key_of(*parts: object) -> str:
    """A key that is different for different parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def images_of(budget: Budget) -> int:
    """Images of a set for digits."""
    return budget.ipc * CLASSES if budget.ipc is not None else round((budget.fraction or 0) * N_TRAIN)


def change(
    record: Record, *, cell: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None,
    eval: Mapping[str, Any] | None = None, **fields: Any,
) -> None:  # fmt: skip
    """Change the document of a record: the cell of its set, the data of this, its evaluation, other fields."""
    content = record.document.model_dump(mode="json")
    made = content.get("set", content)
    made["cell"] |= cell or {}
    made["cell"]["data"] |= data or {}
    content.get("eval", {}).update(eval or {})
    record.document = parse(content | fields)


def pair(
    method: str = "dm",
    top1: float | None = 50.0,
    *,
    r: int = 0,
    e: int = 0,
    ipc: int | None = 1,
    fraction: float | None = None,
    label: str | None = None,
    kind: str | None = None,
    status: str = "ok",
    reason: str | None = None,
    profile: str | None = "short",
    arch: str = ARCH,
    eval_arch: str | None = None,
    protocol: str = "hard",
    preprocess: str = "meanstd",
    params: Mapping[str, Any] | None = None,
    cost: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    artifacts: Mapping[str, Sequence[str]] | None = None,
    facts: Mapping[str, Any] | None = None,
    source: str = "measured",
    one_set: bool = False,
    updates: int = 1000,
    metrics: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    n_test: int = 300,
    evaluate_s: float = 4.0,
    steps: int | None = None,
    student: Mapping[str, Any] | None = None,
) -> list[Record]:
    """A condensation and one evaluation of it; for a ``skipped`` status the evaluation alone, as if never planned.

    ``cost`` is of the condensation, ``student`` of the evaluation.
    """
    kind = kind or {"full": "reference", "random": "selection"}.get(method, "distillation")
    budget = Budget(ipc=None if fraction else ipc, fraction=fraction)
    made_in = 0 if one_set or kind == "reference" else r
    n = N_TRAIN + N_VAL if kind == "reference" else images_of(budget)
    named = {"name": "digits", "revision": "0" * 16, "split": "default", "view": None, "preprocess": preprocess}
    changed, data = data, named | dict(data or {})
    cell = {
        "method": method, "method_version": 1, "origin": "ddbench", "params": dict(params or {}), "data": data,
        "budget": budget.model_dump(mode="json"), "arch": arch, "master": 0, "r": made_in,
    }  # fmt: skip
    where = (
        method,
        label,
        None if kind == "reference" else budget.slug,
        arch,
        preprocess if changed is None else canonical(data),
        sorted((params or {}).items()),
    )
    set_key = key_of("set", *where, made_in)
    made = {
        "kind": "cell", "key": set_key, "cell": cell, "artifacts": {k: list(v) for k, v in (artifacts or {}).items()},
        "shared": kind == "reference", "label": label or method,
    }  # fmt: skip
    if profile is not None:
        made["profile"] = profile
    students = {"set": set_key, "protocol": protocol, "protocol_version": 1, "protocol_params": {"updates": updates},
                "arch": eval_arch or arch, "master": 0, "r": r, "e": e}  # fmt: skip
    known = {
        "dataset": data["name"],
        "kind": kind,
        "n": n,
        "n_train": N_TRAIN,
        "n_val": N_VAL,
        "image_bytes": 64,
        "notes": [],
    }
    spec = {
        "kind": "evaluation", "label": label or method, "facts": {**known, **(facts or {})},
        "set": made, "eval": students,
    }  # fmt: skip
    skipped = status == "skipped"
    evaluation = Record(
        key="" if skipped else key_of("eval", *where, profile, protocol, eval_arch, r, e, updates),
        kind="evaluation", status=status, reason=reason, source=source, document=spec,
        metrics={"top1": top1, **(metrics or {})} if status == "ok" else {}, n_test=n_test if status == "ok" else None,
        cost=Cost(evaluate_s=evaluate_s, steps=updates if steps is None else steps, **(student or {})),
        started=WHEN, finished=WHEN,
    )  # fmt: skip
    spent = {"prepare_s": 0.2, "condense_s": 1.0, "peak_mb": 12.3, "bytes": {"images": 64 * n}}
    condensation = Record(
        key=set_key, kind="condense", status="ok", document=made, warnings=list(warnings), started=WHEN, finished=WHEN,
        cost=Cost.model_validate({**spent, **(cost or {})}),
    )  # fmt: skip
    return [evaluation] if skipped else [condensation, evaluation]


def cell(method: str, scores: Iterable[float | None], **fields: Any) -> list[Record]:
    """One record pair per repetition; None is a repetition whose student diverged."""
    records = []
    for r, top1 in enumerate(scores):
        bad = {"status": "nan", "reason": "loss is nan at step 17"} if top1 is None else {}
        records += pair(method, top1, r=r, **{**bad, **fields})
    return records


def skipped(method: str, reason: str, *, repetitions: int = 3, **fields: Any) -> list[Record]:
    """Rows for cells that were never planned to run."""
    return [
        x
        for r in range(repetitions)
        for x in pair(method, None, r=r, status="skipped", reason=reason, profile=None, **fields)
    ]


def keyed(records: Iterable[Record]) -> list[Record]:
    """The same records with the keys that their documents have, as files of records must hold them."""
    return [_keyed(record) for record in records]


def _keyed(record: Record) -> Record:
    if not record.key:
        return record
    content = record.document.model_dump(mode="json")
    axes = ALL_AXES
    if record.kind == "evaluation":
        axes = ALL_AXES if record.evaluation.facts.axes is None else frozenset(record.evaluation.facts.axes)
    made = record.document.set
    key = condense_key(made.cell, axes, [used for _, used in made.artifacts.values()])
    content.get("set", content)["key"] = key
    if record.kind == "evaluation":
        key = eval_key(record.evaluation.eval.model_copy(update={"set": key}))
        content |= {"key": key, "eval": content["eval"] | {"set": content["set"]["key"]}}
    return record.model_copy(update={"key": key, "document": parse(content), "n_test": _test_images(record)})


def _test_images(record: Record) -> int | None:
    """Of how many test images its accuracy is that of a whole number, as files of records must hold it."""
    n, top1 = record.n_test, record.metrics.get("top1")
    if n is None or record.status != "ok" or (top1 * n / 100) % 1 == 0:
        return n
    return n * Fraction(top1 * n / 100).limit_denominator(10**6).denominator


def placed(folder: Path, records: Iterable[Record]) -> list[Path]:
    """Write records, with the keys of their documents, where a results folder has them; their files."""
    files = []
    for record in keyed(records):
        place = folder / short(record.document.set.key)
        files.append(place / CONDENSE if record.kind == "condense" else evaluation_path(place, record.key))
        write_record(files[-1], record)
    return files


def unsealed(record: Record) -> dict[str, Any]:
    """The JSON of a record as older ones stand in files, and as a forger writes them: without the seal."""
    content: dict[str, Any] = json.loads(record.to_json())
    del content["seal"]
    return content


def demo() -> list[Record]:
    """A run with references, two methods, a skip and a failure."""
    too_large = "the smallest class has 118 training images, so ipc is at most 118"
    return [
        *cell("full", [97.5, 97.8, 98.1], updates=3000),
        *cell("random", [41.0, 43.0, 45.0], ipc=1),
        *cell("random", [80.0, 82.0, 81.0], ipc=10),
        *skipped("random", too_large, ipc=500),
        *cell("mtt", [None, None, None], ipc=1),
        *cell("mtt", [85.0, 88.0, None], ipc=10, cost={"artifact_s": 120.0, "condense_s": 30.0}),
        *skipped("mtt", too_large, ipc=500),
        *cell("datm", [57.0, 58.0, 62.0], ipc=1, warnings=["soft labels were clipped"]),
        *cell("datm", [86.0, 89.0, 87.5], ipc=10, cost={"condense_s": 14.0, "contended": True}),
        *skipped("datm", too_large, ipc=500),
    ]


def decided(**fields: Any) -> list[Record]:
    """A run of six repetitions, which decide the one pair of its methods."""
    noise = [0.0, 2.0, 1.0, 0.5, 2.5, 1.5]
    rows = (("random", 40.0, 1), ("dm", 50.0, 3), ("datm", 60.0, 5))
    return [
        x
        for name, mean, k in rows
        for x in cell(name, [mean + e + k * r % 7 / 9 for r, e in enumerate(noise)], **fields)
    ]


def imported() -> list[Record]:
    """``theirs``, an imported row, beside a measured one in every kind of table: protocols, students, a failure."""
    places = ({}, {"protocol": "native"}, {"eval_arch": "mlp-w128-nn"})
    return [
        record
        for where in places
        for method, source in (("dm", "measured"), ("theirs", "imported"))
        for scores, ipc in (([60.0, 62.0, 61.0], 1), ([80.0, 82.0, None], 10))
        for record in cell(method, scores, source=source, ipc=ipc, **where)
    ]
