"""Parameters of imported sets. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    Field,
    PositiveInt,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    StringConstraints,
    TypeAdapter,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler  # pydantic itself exports it from 2.11 on

from ddbench.core.api import ArtifactSpec, CellSpec, ClassCounts, DatasetInfo, Params

KIND = "set"
"""Artifact kind of an imported set."""

Centred: TypeAlias = Literal["no", "learned", "unlearned"]
"""Whether labels are centred, so no probabilities, and whether the set's recipe learns them (``Recipe.loss``: mse)."""
Source = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]


class SetParams(Params):
    """Which imported set."""

    source: Source = Field(description="content hash that `ddbench import` printed")


class ImportedParams(Params):
    """A row of sets made elsewhere; `ddbench evaluate` fills them in."""

    sources: tuple[Source, ...] = Field(
        min_length=1, description="hashes that `ddbench import` printed; repetition r reads the r-th, or the only one"
    )
    n: PositiveInt = Field(description="images of each set")
    initial: bool = Field(default=False, description="whether the sets hold an initial state that students start from")
    _centred: Centred = PrivateAttr(default="no")

    @model_validator(mode="wrap")
    @classmethod
    def _with_what_is_said(cls, value: Any, handler: ModelWrapValidatorHandler[ImportedParams]) -> ImportedParams:
        """``centred`` is no parameter: the sets say it, and no key has it. Plans know it before sets are read."""
        if not isinstance(value, Mapping) or "centred" not in value:
            return handler(value)
        found = handler({name: given for name, given in value.items() if name != "centred"})
        found._centred = TypeAdapter(Centred).validate_python(value["centred"])
        return found

    @model_serializer(mode="wrap")
    def _as_before(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys of sets without such a state are as they were before there were others."""
        found: dict[str, Any] = serialise(self)
        return found if self.initial else {name: value for name, value in found.items() if name != "initial"}

    @property
    def own_student(self) -> bool:
        """As the files say."""
        return self.initial

    @property
    def centred_labels(self) -> bool:
        """As the files say."""
        return self._centred != "no"

    @property
    def recipe_learns_centred(self) -> bool:
        """As the files say."""
        return self._centred != "unlearned"

    @property
    def class_counts(self) -> ClassCounts:
        """Whatever their authors gave each class; the table's column says how many images that is."""
        return "total_at_most"

    def artifacts(self, cell: CellSpec) -> dict[str, ArtifactSpec]:
        """The set of this repetition; the first for one that is not reported."""
        source = self.sources[max(cell.r, 0) % len(self.sources)]
        return {"set": ArtifactSpec(kind=KIND, data=cell.data, params={"source": source})}

    def unsupported(self, cell: CellSpec, data: DatasetInfo) -> str | None:
        """More repetitions than sets, or a column that the sets do not fit."""
        allowed = sum(cell.budget.resolve(data.counts))
        if self.n > allowed:
            return f"the set has {self.n} images, {cell.budget.label} allows {allowed}"
        if 1 < len(self.sources) <= cell.r:
            return f"there are {len(self.sources)} imported sets: --seeds is at most that"
        return None
