"""The JSON record that a finished condensation or evaluation leaves: its schema, and nothing that computes."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ddbench.core.documents import EvaluationDocument, Recorded
from ddbench.core.errors import CorruptFileError, NewerRecordError, first_problem, is_later, shown_value
from ddbench.core.infos import IMPORTED
from ddbench.core.seals import seal_of, sealed

Status = Literal["ok", "failed", "oom", "nan", "timeout", "skipped"]
ENGINES = ("eager", "fused", "bf16")
"""The code paths that this ddbench computes by; ``env.engine`` of a record names its own.

``eager``: PyTorch's operations. ``fused``: norm, ReLU and pooling of a ConvNet's block as one operation on a CPU, in
which sums are taken in another order; other networks compute as under ``eager``, to the bit. ``bf16``: as ``fused``,
but ConvNets are trained in bfloat16; only what says so in its key is computed by it (``precision``).
"""

Origin = Literal["measured", "imported", "reported"]
Timer = Literal["device", "cpu", "wall"]
"""What seconds are read from: the clock of a GPU, that of the process's threads, the one on the wall."""
TIMERS: tuple[Timer, ...] = get_args(Timer)
"""All of them, first what says most of the work that was done."""
_EXTRA = ("extra_forbidden", "unexpected_keyword_argument")
"""How pydantic calls a field that a model or a data class does not have."""
_ALWAYS = {"schema_version": "schema", "cost": "cost", "env": "env", "metrics": "metrics"}
"""What every record of a file says, older ones too, and its name there."""
FAILURES: frozenset[str] = frozenset({"failed", "oom", "nan"})


def first_known(knows: Callable[[Timer], bool]) -> Timer:
    """The first timer of :data:`TIMERS` that something holds of; the wall's where it holds of none."""
    return next(filter(knows, TIMERS), "wall")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a document is a number; ``true`` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def said(status: str, reason: str | None) -> str:
    """Why there is no result, in words: the status stands before the reason where that says more than "failed"."""
    if status == "failed":
        return reason or status
    return f"{status}: {reason}" if reason else status


class Seconds(BaseModel):
    """Seconds of one timer, over all attempts.

    Attributes:
        prepare_s: In ``prepare``, of the last attempt: each prepares anew. Records of before have it of all attempts.
        condense_s: In the outer loop.
        evaluate_s: Of training and testing the student.
        artifact_s: To build what the node can open of the artifacts that it read, whether or not they were built for
            it, and to make the set of another row that it starts from; None: an artifact does not say, it was built
            before this timer was read.
        artifact_rest_s: To build the rest of them; None: as before, or nobody asked what the node can open, and
            ``artifact_s`` holds all of it.
    """

    model_config = ConfigDict(extra="forbid")

    prepare_s: float = 0.0
    condense_s: float = 0.0
    evaluate_s: float = 0.0
    artifact_s: float | None = None
    artifact_rest_s: float | None = None


class Cost(BaseModel):
    """What it took; its own seconds are wall seconds.

    Attributes:
        prepare_s: As in :class:`Seconds`.
        condense_s: As in :class:`Seconds`.
        evaluate_s: As in :class:`Seconds`.
        artifact_s: As in :class:`Seconds`; of artifacts wall seconds are always known.
        artifact_rest_s: As in :class:`Seconds`.
        cpu: CPU seconds: of all threads of the process, and of children that have ended; None: not measured (records
            of before).
        device: Seconds on the clock of the GPU that the node ran on; None: it ran on the CPU.
        steps: Outer steps or updates done.
        peak_mb: Peak resident memory minus the level at the start [MB].
        peak_from: How the peak was measured; empty: it was not.
        warm: Whether that level was taken after a warm-up that imports what the node needs, so that the first node of a
            process and a later one have the same peak.
        kept: Whether the process kept what it had freed (:mod:`ddbench.work.allocator`), which can raise its peak.
        device_mb: Peak memory of tensors on the GPU minus the level at the start [MB]; None: it ran on the CPU.
        bytes: Stored bytes of the set, by part.
        contended: Whether other processes used the cores meanwhile.
        beside: The most other nodes of ddbench that were seen to run meanwhile, on this machine and into this results
            folder or the shared one; None: nobody looked.
        attempts: Starts and resumptions.
    """

    model_config = ConfigDict(extra="forbid")

    prepare_s: float = 0.0
    condense_s: float = 0.0
    evaluate_s: float = 0.0
    artifact_s: float = 0.0
    artifact_rest_s: float | None = None
    cpu: Seconds | None = None
    device: Seconds | None = None
    steps: int = 0
    peak_mb: float = 0.0
    peak_from: Literal["clear_refs", "sampled", "cuda", ""] = ""
    warm: bool = False
    kept: bool = False
    device_mb: float | None = None
    bytes: dict[str, int] = Field(default_factory=dict)
    contended: bool = False
    beside: int | None = None
    attempts: int = 1

    def by(self, timer: Timer) -> Seconds | None:
        """The seconds of one timer; None where it was not read."""
        if timer == "wall":
            return Seconds(**{name: getattr(self, name) for name in Seconds.model_fields})
        return self.cpu if timer == "cpu" else self.device


ACCEPTED_STEPS = 50
"""Fewer steps that changed a set are too few to speak of its method."""

REFUSED_PERCENT = 20.0
"""A method whose gate refused a larger share of the steps ran otherwise than its parameters say."""


class Record(BaseModel):
    """One finished condensation or evaluation. Percent in [0, 100]; units in names.

    Attributes:
        key_format: How keys are made of specs; a record without it is of format 1.
        key: The 64-digit key of the node.
        kind: What finished.
        status: ``ok``, or why there is no result.
        reason: One line, for every status but ``ok``.
        source: ``measured`` here, ``imported``, or ``reported`` by someone.
        document: The node's: everything that decided the result, plus the row's label; ``spec`` in JSON.
        metrics: Of an evaluation: top1, loss, per_class, correct (:mod:`ddbench.core.correctness`), train_top1,
            val_top1 at U/4, U/2, U; student where a recipe asks for another norm: the network that was trained;
            updates where the protocol's params could not know them, and recipe_updates where
            a recipe asked for more; later also quartiles and difficulty (:mod:`ddbench.results.audit.quartiles`). Of a
            condensation: what the method says about its run (:meth:`ddbench.core.api.Method.diagnostics`).
        n_test: Test images behind ``metrics``.
        selection: What was chosen on val and how many configurations were tried.
        cost: What it took.
        env: Versions, device, threads, engine; whose method (``plugin``), protocol, architecture and data took part.
        warnings: Footnotes.
        set_sha256: sha256 of ``condensed.safetensors`` that was made or evaluated.
        started: UTC time, ISO 8601.
        finished: UTC time, ISO 8601.
        seal: Of a record in a file: the sha256 of its canonical JSON without the seal (:mod:`ddbench.core.seals`); None
            in memory, and in records of before.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    key_format: Literal[1] = 1
    key: str
    kind: Literal["condense", "evaluation"]
    status: Status
    reason: str | None = None
    source: Origin = "measured"
    document: Recorded = Field(alias="spec")
    metrics: dict[str, Any] = Field(default_factory=dict)
    n_test: int | None = None
    selection: dict[str, Any] | None = None
    cost: Cost = Field(default_factory=Cost)
    env: dict[str, Any] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    set_sha256: str | None = None
    started: str
    finished: str
    seal: str | None = Field(default=None, exclude=True, repr=False)

    @field_validator("schema_version", "key_format", mode="before")
    @classmethod
    def _is_whole(cls, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):  # Literal[1] takes true and 1.0
            raise ValueError(f"a whole number is wanted, not {shown_value(value)}")
        return value

    @property
    def as_run(self) -> bool:
        """Whether it speaks of this run alone, not of the method: few steps changed its set, or many were refused.

        A condensation says so by ``accepted_steps`` and ``skipped_percent`` among its metrics; without them: no.
        """
        accepted, refused = self.metrics.get("accepted_steps"), self.metrics.get("skipped_percent")
        few = accepted is not None and accepted < ACCEPTED_STEPS
        return self.kind == "condense" and (few or (refused is not None and refused > REFUSED_PERCENT))

    @model_validator(mode="after")
    def _agrees(self) -> Record:
        if (self.kind == "condense") != (self.document.kind == "cell"):
            raise ValueError(f"the document of a record of kind {self.kind!r} is one of kind {self.document.kind!r}")
        return self

    @property
    def evaluation(self) -> EvaluationDocument:
        """The document of an evaluation; only evaluations have one."""
        assert isinstance(self.document, EvaluationDocument)
        return self.document

    @property
    def updates(self) -> int | None:
        """Of an evaluation: updates of its student."""
        made = self.metrics.get("updates", self.evaluation.eval.protocol_params.get("updates"))
        return made if isinstance(made, int) else None

    def train_s(self, timer: Timer = "wall") -> float | None:
        """Of an evaluation: seconds to train and test one student, the share of its updates in all updates done.

        The student that a learning rate was searched for did those of every trial besides its own.

        Args:
            timer: Which seconds; None is returned where they were not measured.
        """
        spent, updates = self.cost.by(timer), self.updates
        if spent is None:
            return None
        if not updates or self.cost.steps <= updates:
            return spent.evaluate_s
        return float(spent.evaluate_s * updates / self.cost.steps)

    def to_json(self, *, indent: int | None = 1) -> str:
        """The record as JSON text, sealed."""
        return sealed(self.model_dump_json(by_alias=True), indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Record:
        """Read a record.

        Raises:
            CorruptFileError: If the text is not a record of this schema, or not what was written.
            NewerRecordError: If it is one of a newer ddbench.
        """
        # Editors of Windows put a byte order mark before what they save.
        text = text.removeprefix("\ufeff") if isinstance(text, str) else text.removeprefix(codecs.BOM_UTF8)
        try:
            record = cls.model_validate_json(text)
        except ValidationError as error:
            if (newer := _newer(text, error)) is not None:
                raise NewerRecordError(where, newer) from None
            raise CorruptFileError(f"{where}: not a record of schema 1 ({first_problem(error)})") from None
        measured = record.kind == "evaluation" and record.status == "ok"
        if measured and not is_number(record.metrics.get("top1")):
            raise CorruptFileError(f"{where}: an evaluation without a number in metrics.top1")
        lost = [name for field, name in _ALWAYS.items() if field not in record.model_fields_set]
        if lost:
            raise CorruptFileError(f"{where}: it does not say its {lost[0]}")
        if "seal" in record.model_fields_set and not _fits(record.seal, text):
            raise CorruptFileError(f"{where}: its seal is not that of its content: it was changed after it was written")
        record.seal = None
        return record


def _fits(seal: str | None, text: str | bytes) -> bool:
    try:
        return seal == seal_of(text)
    except (ValueError, RecursionError):
        return False


def _newer(text: str | bytes, error: ValidationError) -> str | None:
    """What tells that a record which cannot be read is a newer ddbench's; None when it is damaged."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or "schema" not in content:
        return None
    for name in ("schema", "key_format"):
        if is_later(content.get(name), 1):
            return f"{name} {json.dumps(content[name])[:40]}"
        if name in content and (isinstance(content[name], bool) or content[name] != 1):
            return None  # of no ddbench at all
    told = [(e["type"], ".".join(map(str, e["loc"]))) for e in error.errors()]
    for kind, where in told:
        if kind in _EXTRA:
            return f"unknown field {where}"
    # What a document may say grows; a record's own statuses and the like are of its schema.
    if all(kind == "literal_error" and where.startswith("spec.") for kind, where in told):
        return f"unknown value of {told[0][1]}"
    return None


def source_of(document: Recorded) -> Origin:
    """Whether the set of a cell's or an evaluation's document was made here."""
    return "imported" if document.cell.method == IMPORTED else "measured"
