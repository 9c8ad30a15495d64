"""From records to observations: one per evaluation, joined with what making its set took, and placed in its table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ddbench.core.documents import CellDocument, Facts, Recorded, precision_of
from ddbench.core.keys import canonical
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.records import TIMERS, Record, Timer
from ddbench.core.roles import BUYERS, REFERENCES, Role, label_at
from ddbench.core.specs import Budget, CellSpec, EvalSpec


@dataclass(frozen=True, slots=True)
class Setting:
    """What all results of one table have in common; None where a result belongs to every table.

    Attributes:
        data: Canonical JSON of the data document (name, revision, split, view, preprocess).
        protocol: Id with version, ``hard@2``; None for a set that could not be made, under whatever protocol. Where
            records know a protocol or a network of one name from several plugins, who registered it stands behind it.
        arch: Condensing architecture; None when the method does not depend on it.
        eval_arch: Student architecture; None as for ``protocol``.
        profile: Profile name; None when the record does not say.
    """

    data: str
    protocol: str | None
    arch: str | None
    eval_arch: str | None
    profile: str | None

    def agrees(self, other: Setting) -> bool:
        """Whether no field that both know differs."""
        pairs = (
            (self.protocol, other.protocol), (self.arch, other.arch), (self.eval_arch, other.eval_arch),
            (self.profile, other.profile),
        )  # fmt: skip
        return self.data == other.data and all(a == b or a is None or b is None for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Observation:
    """One student of one repetition: a result, or why there is none.

    Attributes:
        setting: Its table.
        key: Key of the evaluation; empty when it was never planned to run.
        row: Label of its row.
        role: What its row is.
        method: Name of the method; ``kind`` its kind.
        budget: Its column; None for references, which span all.
        r: Repetition.
        e: Student.
        status: ``ok``, or why there is no result; ``reason`` in words.
        source: ``measured``, ``imported`` or ``reported``.
        top1: Test accuracy [%]; None unless ``ok``.
        n_test: Test images behind it.
        updates: Updates of the student.
        evaluate: Timer → seconds of training and testing, its own search for a learning rate included.
        train: The same without that search.
        set_key: Key of the condensed set.
        recipe: What repetitions of one cell must share: version, resolved parameters of method and protocol.
        finished: UTC time, ISO 8601.
        facts: Names and sizes; what the record does not say is empty.
        artifacts: Artifacts that the set was made from, by the name its method gave them.
        condensation: The record of the set, if it is among the records.
        made: The document of the set, which says what it was made by.
        engines: The code paths that made the set, what it was made from, and the student, as far as records name them.
        bf16: What was trained in bfloat16: ``student``, and artifacts of the set by name.
        threads: CPU threads of the set and of its student; None where they are not known, or decide nothing: on a GPU,
            and of sets of references.
        warning: What a reader must know about the choice of this result.
        metrics: All that was measured on the test images; empty unless ``ok``.
    """

    setting: Setting
    key: str
    row: str
    role: Role
    method: str
    kind: str
    budget: Budget | None
    r: int
    e: int
    status: str
    reason: str
    source: str
    top1: float | None
    n_test: int | None
    updates: int | None
    evaluate: Mapping[Timer, float]
    train: Mapping[Timer, float]
    set_key: str
    recipe: dict[str, Any]
    finished: str
    facts: Facts = field(default_factory=Facts)
    artifacts: dict[str, str] = field(default_factory=dict)
    condensation: Record | None = None
    made: CellDocument | None = None
    engines: tuple[str, ...] = ()
    bf16: tuple[str, ...] = ()
    threads: tuple[int | None, int | None] = (None, None)
    warning: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)


def observe(records: Sequence[Record]) -> list[Observation]:
    """All observations, each in a fully known setting, in the order of their records.

    A result that belongs to several tables (``random`` depends on no architecture) appears once for each. Repetitions
    that are not reported are left out.
    """
    records = [record for record in records if record.document.reported]
    condensations = {record.key: record for record in records if record.kind == "condense"}
    evaluations = [record for record in records if record.kind == "evaluation"]
    owners = Owners.of(evaluations)
    found = [_of_evaluation(place, condensations, owners) for record in evaluations for place in _rows_of(record)]
    evaluated = {observation.set_key for observation in found}
    found += [
        _of_condensation(record, owners)
        for record in condensations.values()
        if record.status != "ok" and record.key not in evaluated
    ]
    return tell_apart(_placed(found))


@dataclass(frozen=True, slots=True)
class Owners:
    """Who registered the protocols and networks that records name.

    Attributes:
        of_name: Name → all origins that records know of it; "" for ddbench's own.
    """

    of_name: Mapping[str, set[str]]

    @classmethod
    def of(cls, evaluations: Iterable[Record]) -> Owners:
        """Read evaluations; a row that was never planned does not say whose protocol it would have had."""
        found: dict[str, set[str]] = {}
        for document in (record.evaluation for record in evaluations if record.key):
            student, cell = document.eval, document.cell
            found.setdefault(document.protocol, set()).add(student.origins.get("protocol", ""))
            found.setdefault(student.arch, set()).add(student.origins.get("arch", ""))
            if not _no_network_enters(document.set, document.facts):
                found.setdefault(cell.arch, set()).add(cell.origins.get("arch", ""))
        return cls(found)

    def tell(self, name: str, origin: str | None) -> str:
        """The name; where it is several members', with the beginning of the origin of the one that is meant."""
        several = len(self.of_name.get(name, ())) > 1
        return f"{name} [{(origin or FIRST_PARTY)[:8]}]" if several else name


def _rows_of(record: Record) -> list[Record]:
    """The record once for each row that it serves (see :func:`ddbench.plan.collect.remember`)."""
    document = record.evaluation
    served = [document.model_copy(update={"label": place.label, "facts": place.facts}) for place in document.also]
    return [record, *(record.model_copy(update={"document": document}) for document in served)]


def _of_evaluation(record: Record, condensations: dict[str, Record], owners: Owners) -> Observation:
    document = record.evaluation
    student = document.eval
    protocol = owners.tell(document.protocol, student.origins.get("protocol"))
    eval_arch = owners.tell(student.arch, student.origins.get("arch"))
    recipe = _recipe(document.set, student.protocol_params) | _origins(student, protocol="protocol", arch="student")
    if recipe.get("precision") == "fp32":
        recipe["precision"] = student.precision
    return _observation(
        record,
        document.facts,
        setting=replace(_setting(document.set, document.facts, owners), protocol=protocol, eval_arch=eval_arch),
        r=student.r,
        e=student.e,
        top1=record.metrics.get("top1") if record.status == "ok" else None,
        updates=record.updates,
        evaluate={timer: spent.evaluate_s for timer in TIMERS if (spent := record.cost.by(timer)) is not None},
        train={timer: spent_s for timer in TIMERS if (spent_s := record.train_s(timer)) is not None},
        set_key=student.set,
        recipe=recipe,
        condensation=condensations.get(student.set),
    )


def _of_condensation(record: Record, owners: Owners) -> Observation:
    """A set that could not be made and that no evaluation mentions: a row of every table where it would have stood."""
    made, facts = record.document.set, Facts()
    return _observation(
        record,
        facts,
        setting=_setting(made, facts, owners),
        r=made.cell.r,
        e=0,
        top1=None,
        updates=None,
        evaluate={},
        train={},
        set_key=record.key,
        recipe=_recipe(made, {}),
        condensation=record,
    )


def _observation(record: Record, facts: Facts, *, condensation: Record | None, **fields: Any) -> Observation:
    document = record.document
    envs = [made.env for made in (record, condensation) if made is not None]
    named = [name for env in envs for name in (env.get("engine"), *env.get("inputs", ()))]
    half = ["student"] if precision_of(document) == "bf16" else []
    kind = _kind(document.set, facts)
    column = document.cell.budget if facts.buys is None else facts.buys.budget
    return Observation(
        key=record.key,
        row=_label(document),
        role=document.role,
        method=document.cell.method,
        kind=kind,
        budget=None if kind == "reference" else column,
        status=record.status,
        reason=record.reason or "",
        source=record.source,
        n_test=record.n_test,
        finished=record.finished,
        facts=facts,
        metrics=record.metrics if record.kind == "evaluation" and record.status == "ok" else {},
        artifacts=_artifacts(document.set),
        made=document.set,
        condensation=condensation,
        engines=tuple(sorted({str(name) for name in named if name})),
        threads=(
            _threads(condensation) if condensation is not None and not document.set.shared else None,
            _threads(record) if record.kind == "evaluation" else None,
        ),
        bf16=(*half, *document.set.bf16, *(() if (start := document.set.initial) is None else start.bf16)),
        **fields,
    )


def _threads(record: Record) -> int | None:
    threads = record.env.get("threads")
    return threads if isinstance(threads, int) and record.env.get("device") == "cpu" else None


def _artifacts(made: CellDocument) -> dict[str, str]:
    """Keys of the artifacts that a set was made from, and of those of the set that it started from."""
    own = {name: key for name, (_, key) in made.artifacts.items()}
    if made.initial is None:
        return own
    theirs = {f"{name} of {made.initial.cell.method}": key for name, key in _artifacts(made.initial).items()}
    return {name: key for name, key in theirs.items() if key not in own.values()} | own


def _label(document: Recorded) -> str:
    """The label of a row; of real images at others' bytes, whose labels once named all of these, the short one."""
    role = document.role
    long = f"{BUYERS[role.kind]} (for {', '.join(role.of)})" if role.buys else ""
    return label_at(role) if document.label == long else document.label


def _kind(made: CellDocument, facts: Facts) -> str:
    return facts.kind or ("reference" if made.shared else "distillation")


def _setting(made: CellDocument, facts: Facts, owners: Owners) -> Setting:
    """What a set's document says about its table."""
    cell = made.cell
    arch = None if _no_network_enters(made, facts) else owners.tell(cell.arch, cell.origins.get("arch"))
    return Setting(canonical(cell.data.model_dump(mode="json")), None, arch, None, made.profile)


def _no_network_enters(made: CellDocument, facts: Facts) -> bool:
    """Whether the set depends on no architecture; of records that do not tell we know it of the references alone."""
    if facts.axes is None:
        return made.cell.method in REFERENCES or _kind(made, facts) == "reference"
    return "arch" not in facts.axes


def _recipe(made: CellDocument, protocol: dict[str, Any]) -> dict[str, Any]:
    """What decided the result besides its place in the table; of a row that was never planned, nothing is known."""
    # recipe_of names a set of the same repetition: it differs between repetitions that belong together.
    cell, start = made.cell, made.initial
    params = {f"protocol.{name}": value for name, value in protocol.items() if name != "recipe_of"} | cell.params
    if start is not None:  # of which set it started depends on the repetition, too
        params |= {"start": start.cell.method}
        params |= {f"{start.cell.method}.{name}": value for name, value in _recipe(start, {}).items()}
    named: dict[str, Any] = {}
    if cell.method_version:
        named = {"version": cell.method_version, "origin": cell.origin, "master seed": cell.master}
        named["precision"] = "bf16" if made.bf16 else "fp32"
    found = {**named, **_origins(cell, arch="condensing network"), **params}
    return {name: value for name, value in found.items() if value is not None}


def _origins(spec: CellSpec | EvalSpec, **parts: str) -> dict[str, str]:
    """Who registered what took part, where it was not ddbench."""
    return {f"{parts[part]} origin": origin for part, origin in spec.origins.items() if part in parts}


def _placed(observations: list[Observation]) -> list[Observation]:
    """Put those that belong to every table into each table there is.

    One field after the other, because a result may lack one that another has while the other lacks what it has. A set
    that could not be made stands where other sets of its row were evaluated; in every table only if there is none.
    """
    for name in ("profile", "arch", "protocol", "eval_arch"):
        known: dict[Setting, set[str]] = {}
        for o in observations:
            if getattr(o.setting, name) is not None:
                known.setdefault(o.setting, set()).add(o.row)
        observations = [placed for o in observations for placed in _filled(o, name, _places(o, known))]
    return observations


def _places(observation: Observation, known: dict[Setting, set[str]]) -> list[Setting]:
    """Settings, known with the rows in them, that an observation may stand in."""
    mine = [s for s, rows in known.items() if observation.row in rows and observation.setting.agrees(s)]
    return mine if mine and observation.status != "ok" else list(known)


def _filled(observation: Observation, name: str, known: list[Setting]) -> Iterator[Observation]:
    setting = observation.setting
    if getattr(setting, name) is not None:
        yield observation
        return
    values = list(dict.fromkeys(getattr(other, name) for other in known if setting.agrees(other)))
    if not values and name == "profile":
        values = [""]
    if not values and name == "arch" and setting.eval_arch is not None:
        values = [setting.eval_arch]  # nothing was condensed: the student's is the only architecture there is
    for value in values:
        yield replace(observation, setting=replace(setting, **{name: value}))


# ------------------------------------------------------------------------------------------------------------ variants


def tell_apart(observations: list[Observation]) -> list[Observation]:
    """Give each variant of a row its own label, and keep one observation per place.

    Parameters may differ between budgets (presets do); where they differ within one cell, the row is split by the
    parameters that do, e.g. ``dm`` into ``dm [iterations=100]`` and ``dm [iterations=1000]``.
    """
    differing: dict[tuple[Any, ...], dict[str, None]] = {}
    cells: dict[tuple[Any, ...], list[Observation]] = {}
    for observation in observations:
        cells.setdefault((*_row_of(observation), observation.budget), []).append(observation)
    for members in cells.values():
        differing.setdefault(_row_of(members[0]), {}).update(dict.fromkeys(_differing(o.recipe for o in members)))
    return _unique(_labelled(o, list(differing[_row_of(o)])) for o in observations)


def _row_of(observation: Observation) -> tuple[Any, ...]:
    return observation.setting, observation.row


def _differing(recipes: Iterable[dict[str, Any]]) -> list[str]:
    """Names of the parameters that two recipes both have, with different values."""
    values: dict[str, set[str]] = {}
    for recipe in recipes:
        for name, value in recipe.items():
            values.setdefault(name, set()).add(canonical(value))
    return sorted(name for name, seen in values.items() if len(seen) > 1)


ORIGIN = "origin is a package, or the hash of a plugin's file, which every edit changes"
"""What is said where origins are shown."""


def _labelled(observation: Observation, names: list[str]) -> Observation:
    shown = [f"{name}={as_text(observation.recipe[name])}" for name in names if name in observation.recipe]
    return replace(observation, row=f"{observation.row} [{', '.join(shown)}]") if shown else observation


def as_text(value: Any) -> str:
    """As text; of hashes the beginning."""
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{8,}\b", r"\1", text)


def _unique(observations: Iterable[Observation]) -> list[Observation]:
    """One observation per place: rather a measured than a planned one, then the latest."""
    places: dict[tuple[Any, ...], list[Observation]] = {}
    for observation in observations:
        place = (*_row_of(observation), observation.budget, observation.r, observation.e)
        places.setdefault(place, []).append(observation)
    return [_latest(claims) for claims in places.values()]


def _latest(claims: list[Observation]) -> Observation:
    latest = max(claims, key=lambda o: (bool(o.key), o.finished, o.key))
    if len({o.key for o in claims if o.key}) > 1:
        return replace(latest, warning="made more than once, from different artifacts; the latest result is shown")
    return latest
