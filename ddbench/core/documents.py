"""The documents of nodes: what is to be done, as a plan writes it and a record keeps it. No torch.

A document is JSON on disk and between processes, and a frozen model everywhere else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, computed_field, model_validator

from ddbench.core.roles import Role, name_from, parse_label
from ddbench.core.specs import ArtifactSpec, Budget, CellSpec, EvalSpec, Frozen, Keyed, Precision, reported

Artifacts: TypeAlias = dict[str, tuple[str, str]]
"""What a node reads: kind and key of each artifact, by the name that the node has for it."""


class ArtifactDocument(Frozen):
    """An artifact to build.

    Attributes:
        key: Its key.
        artifact: What it is.
        artifacts: What its builder reads.
    """

    kind: Literal["artifact"] = "artifact"
    key: str
    artifact: ArtifactSpec
    artifacts: Artifacts = Field(default_factory=dict)

    @property
    def spec(self) -> ArtifactSpec:
        """What the key is made of."""
        return self.artifact


class CellDocument(Keyed):
    """A set to condense.

    Attributes:
        key: Its key; empty for a set that was never planned.
        cell: The cell.
        artifacts: What the method reads.
        folder: Name of the budget's folder, for people.
        shared: Whether the method is a reference, whose sets all results folders share.
        label: The row for which it was planned first.
        profile: The profile that its params come from; None when the record does not say.
        broken: How its params failed while planning; such a cell is a failure.
        role: What that row is.
        bf16: Names of the artifacts whose networks were trained in bfloat16, ascending.
        initial: The set that it starts from, where that is another row's.
    """

    LATER = ("bf16", "initial")

    kind: Literal["cell"] = "cell"
    key: str = ""
    cell: CellSpec
    artifacts: Artifacts = Field(default_factory=dict)
    folder: str = ""
    shared: bool = False
    label: str = ""
    profile: str | None = None
    broken: str | None = None
    role: Role = Role()
    bf16: tuple[str, ...] = ()
    initial: CellDocument | None = None

    @property
    def spec(self) -> CellSpec:
        """What the key is made of."""
        return self.cell

    @property
    def called(self) -> str:
        """What a suite calls the method that made it: ``kmeans_soft`` is ``random_soft`` of the set of ``kmeans``."""
        return self.cell.method if self.initial is None else name_from(self.cell.method, self.initial.cell.method)

    @property
    def set(self) -> CellDocument:
        """The document itself: that of the set, as an evaluation's ``set`` is."""
        return self

    @property
    def reported(self) -> bool:
        """Whether it stands in tables."""
        return reported(self.cell.r, self.cell.data.split)

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:
        """Rows that were never run stood in records without what would have decided them: version 0 says so."""
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # what is no document, validation tells
            cell, label = given["cell"], given.get("label") or given["cell"]["method"]
            if "method_version" not in cell:
                budget = cell["budget"] if any(cell["budget"].values()) else {"fraction": 1.0}
                cell = {"method_version": 0, "origin": "", "params": {}, "master": 0, **cell, "budget": budget}
            return {"role": parse_label(label, cell["method"]), **given, "cell": cell, "label": label}
        return given


class Bought(Keyed):
    """Whose bytes the real images of a set cost.

    Attributes:
        of: Labels of the rows.
        images: How many images these are.
        budget: The column in which they stand.
        uint8: How many the bytes of these rows' sets with uint8 images pay for; None where nobody knows.
    """

    LATER = ("uint8",)

    of: tuple[str, ...]
    images: int
    budget: Budget
    uint8: int | None = None


class Short(Frozen):
    """Classes that have fewer images than an ipc asks of each, and give all they have.

    Attributes:
        classes: How many these are.
        of: Classes that have any image.
        least: Images of the smallest of them.
        most: Images of the largest of them.
    """

    classes: int
    of: int
    least: int
    most: int

    @property
    def text(self) -> str:
        """``2 of 10 classes have fewer images and give all they have (between 12 and 41)``."""
        sizes = str(self.least) if self.least == self.most else f"between {self.least} and {self.most}"
        do = (
            "has fewer images and gives all it has" if self.classes == 1 else "have fewer images and give all they have"
        )
        return f"{self.classes} of {self.of} classes {do} ({sizes})"

    @classmethod
    def at(cls, budget: Budget, counts: Sequence[int]) -> Short | None:
        """Those among classes of ``counts`` training images; None where there are none, or the budget is skipped."""
        short = [n for n in budget.resolve(counts) if 0 < n < (budget.ipc or 0)]
        if not short:
            return None
        return cls(classes=len(short), of=sum(n > 0 for n in counts), least=min(short), most=max(short))


class Facts(Keyed):
    """What a table says about a result besides its spec: names, sizes, and what its row is. It decides nothing.

    What a record does not say is empty.

    Attributes:
        dataset: Label of the data set with its view.
        kind: Of the method.
        role: What the row is.
        axes: Of the method, ascending.
        n: Images of the budget, None where that does not fit the data; all that a reference is trained on.
        n_train: Training images.
        n_val: Validation images.
        image_bytes: Bytes of a real image.
        notes: About the data.
        buys: Whose bytes the set's real images cost; None for all but that control.
        protocol: How reports show a protocol that is not ddbench's own; None for ours.
        short: Classes that have fewer images than the column's ipc; None: there are none.
        own_student: Whether its student starts from an initial state that a set holds (``Params.own_student``): it
            is shown apart.
        place: Of its row among those of the command, from 1; rows of a page are in this order. None: not known.
    """

    LATER = ("buys", "protocol", "short", "own_student", "place")

    dataset: str = ""
    kind: str = ""
    role: Role = Role()
    axes: tuple[str, ...] | None = None
    n: int | None = None
    n_train: int | None = None
    n_val: int | None = None
    image_bytes: int | None = None
    notes: tuple[str, ...] = ()
    buys: Bought | None = None
    protocol: dict[str, Any] | None = None
    short: Short | None = None
    own_student: bool = False
    place: int | None = None


class Choice(Frozen):
    """The evaluation that chose the learning rate of a row.

    Attributes:
        key: Its key.
        set: The set that it is of.
        r: Its repetition.
    """

    key: str
    set: CellDocument
    r: int = 0


class Place(Frozen):
    """Another row that an evaluation serves.

    Attributes:
        label: The row.
        facts: What its table says.
    """

    label: str
    facts: Facts


class EvaluationDocument(Keyed):
    """A student to train and to test.

    Attributes:
        key: Its key; empty for one that was never planned.
        eval: What is evaluated how.
        set: The set's document.
        label: The row.
        facts: What the table says about it.
        recipe: The set whose recipe is followed, where it is another one.
        choice: Which evaluation chose the learning rate; None where this one does, or where there is nothing to choose.
        also: Further rows that it serves.
        artifacts: What the protocol reads.
    """

    LATER = ("also", "artifacts")

    kind: Literal["evaluation"] = "evaluation"
    key: str = ""
    eval: EvalSpec
    set: CellDocument
    label: str = ""
    facts: Facts = Facts()
    recipe: CellDocument | None = None
    choice: Choice | None = None
    also: tuple[Place, ...] = ()
    artifacts: Artifacts = Field(default_factory=dict)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def whole(self) -> bool:
        """Whether the student is trained on all of train ∪ val: under references."""
        return self.set.shared

    @property
    def spec(self) -> EvalSpec:
        """What the key is made of."""
        return self.eval

    @property
    def cell(self) -> CellSpec:
        """The cell whose set it is of."""
        return self.set.cell

    @property
    def profile(self) -> str | None:
        """The profile that the params of the set come from."""
        return self.set.profile

    @property
    def role(self) -> Role:
        """What the row is."""
        return self.facts.role

    @property
    def reported(self) -> bool:
        """Whether it stands in tables."""
        return reported(self.eval.r, self.cell.data.split)

    @property
    def students(self) -> int:
        """How many students it trains: one per learning rate tried, and a reported reference's final one."""
        tried = len(self.eval.protocol_params.get("lr", [0]))
        return 1 if self.choice is not None or tried == 1 else tried + (self.whole and self.reported)

    @property
    def protocol(self) -> str:
        """Id of the protocol with its version, ``hard@2``."""
        return f"{self.eval.protocol}@{self.eval.protocol_version}"

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:
        """Records from before roles say by facts and label what their rows are."""
        if isinstance(given, Mapping):
            given = {name: value for name, value in given.items() if name != "whole"}  # computed
        with contextlib.suppress(AttributeError, KeyError, TypeError):  # what is no document, validation tells
            method = given["set"]["cell"]["method"]
            label = given.get("label") or given["set"].get("label") or method
            told = dict(given)
            if also := given.get("also"):
                told["also"] = [{**row, "facts": _with_role(row["facts"], row["label"], method)} for row in also]
            facts = _with_role(given.get("facts", {}), label, method)
            return {**told, "label": label, "facts": facts, "eval": {"master": 0, **given["eval"]}}
        return given


def _with_role(facts: Mapping[str, Any], label: str, method: str) -> dict[str, Any]:
    """The facts of a row with its role; in records from before roles that which its facts and its label spell."""
    if "buys" in facts:
        role = Role("at_bytes", tuple(facts["buys"]["of"]))
    else:
        role = Role("reference") if facts.get("kind") == "reference" else parse_label(label, method)
    return {"role": role, **facts}


Recorded: TypeAlias = Annotated[CellDocument | EvaluationDocument, Field(discriminator="kind")]
"""What leaves a record."""
Document: TypeAlias = ArtifactDocument | CellDocument | EvaluationDocument


def precision_of(document: Document) -> Precision:
    """What a node trains networks in; a method's own are never in bfloat16."""
    return "fp32" if isinstance(document, CellDocument) else document.spec.precision


_ANY: TypeAdapter[Document] = TypeAdapter(Annotated[Document, Field(discriminator="kind")])


def parse(content: Mapping[str, Any]) -> Document:
    """The document that stands in JSON.

    What earlier versions left out is completed wherever documents are read, here and in records.

    Raises:
        ValidationError: If it is none.
    """
    return _ANY.validate_python(content)
