"""Suites: the YAML (or the options of `ddbench run`) that says what to run, validated before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    StrictInt,
    field_validator,
    model_validator,
)

from ddbench.core.asked import Asked
from ddbench.core.errors import UsageError, shown_count
from ddbench.core.names import is_address, meant, nearest
from ddbench.core.roles import Kind
from ddbench.core.specs import TUNE, Budget, Frozen, Precision, SplitName
from ddbench.core.yaml import read_yaml
from ddbench.data.catalog import SCHEMES
from ddbench.data.readers.framing import Framing
from ddbench.plan.mistakes import checked
from ddbench.plan.wordings import PYTHON, SUITE


def _entries(value: Any) -> Any:
    return [{"name": item} if isinstance(item, str) else item for item in _sequence(value)]


def _sequence(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f"expected a list, got the text {value!r}")
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, got {str(value)[:40]}")
    return value


Name: TypeAlias = Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]
"""Of something, never blank: who holds it says so."""
Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_sequence, json_schema_input_type=list[Name])]
SomeNames: TypeAlias = Annotated[Names, Field(json_schema_extra={"minItems": 1})]


class MethodEntry(Frozen):
    """A row of the table: a method, the parameters in which it differs from its preset, and its label.

    Attributes:
        name: A method's, or one of :mod:`ddbench.plan.derived` (``kmeans_soft``).
        params: Hyper-parameters, by name; the others are those of the preset.
        label: What the row is called; None: the method's name and what differs.
    """

    name: Name
    params: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None


class DatasetEntry(Framing):
    """A data set as the user names it, with an optional view of it; beside a framing of its images (``resize: 64``).

    Attributes:
        name: ``digits``, ``my``, or ``cifar10-original=hf:PATH``.
        path: Where images of one's own are, ``SCHEME:PATH`` or the path of a folder of images; ``name`` has none then.
        view: A named transform of its splits, or several, in this order; None: the data set as it is.
        label: The column of labels, where parquet files have several.
        resize: Pixels of a side that images of any shape get.
        crop: What of an image that is not square: its ``center``, or all of it with a border (``pad``).
        gray: Colours become grey.
        rgb: Grey images become colour images.
    """

    name: Name
    path: str | None = None
    view: dict[str, Any] | list[dict[str, Any]] | None = None
    label: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> DatasetEntry:
        if self.path is not None and ("=" in self.name or not self.path.strip()):
            raise ValueError("path is empty" if "=" not in self.name else "name and path both say where the images are")
        return self

    @property
    def text(self) -> str:
        """The data set as ``--datasets`` would name it."""
        if self.path is None:
            return self.name
        scheme, colon, _ = self.path.partition(":")
        return f"{self.name}={self.path if colon and scheme in SCHEMES else f'folder:{self.path}'}"

    @property
    def framing(self) -> Framing:
        """What is to become of its images."""
        return Framing(**{name: getattr(self, name) for name in Framing.model_fields})


Methods: TypeAlias = Annotated[
    tuple[MethodEntry, ...],
    BeforeValidator(_entries, json_schema_input_type=list[Name | MethodEntry]),
    Field(json_schema_extra={"minItems": 1}),
]
DataSets: TypeAlias = Annotated[
    tuple[DatasetEntry, ...],
    BeforeValidator(_entries, json_schema_input_type=list[Name | DatasetEntry]),
    Field(json_schema_extra={"minItems": 1}),
]
MOST_IPC = 10**9
"""More than any class has images."""
IPC: TypeAlias = Annotated[StrictInt, Field(json_schema_extra={"minimum": 1, "maximum": MOST_IPC})]
Share: TypeAlias = Annotated[float, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": 1})]


class BudgetAxis(Asked):
    """The sizes to condense to; one of the two is given.

    Attributes:
        ipc: Images per class, each at least 1.
        fraction: Shares of the training images, each in (0, 1].
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"properties": {name: {"minItems": 1}}, "required": [name]} for name in ("ipc", "fraction")]
        }
    )

    ipc: tuple[IPC, ...] = ()
    fraction: tuple[Share, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> BudgetAxis:
        if bool(self.ipc) == bool(self.fraction):
            raise ValueError("give either ipc or fraction, with at least one value")
        for ipc in self.ipc:
            if not 1 <= ipc <= MOST_IPC:
                bound = "least 1" if ipc < 1 else f"most {MOST_IPC:,}"
                raise ValueError(f"ipc must be at {bound}, got {shown_count(ipc)}")
        for fraction in self.fraction:
            if not 0 < fraction <= 1:
                raise ValueError(f"a fraction lies in (0, 1], got {fraction:g}")
        return self

    def budgets(self) -> list[Budget]:
        """One budget per value, duplicates removed, in the order given."""
        if self.ipc:
            return [Budget(ipc=ipc) for ipc in dict.fromkeys(self.ipc)]
        return [Budget(fraction=fraction) for fraction in dict.fromkeys(self.fraction)]


class Seeds(Asked):
    """How often; None: as the profile says.

    Attributes:
        condense: Repetitions of condensation.
        evaluate: Students per repetition.
        random: Repetitions of ``random`` under protocols that draw it more often (``ProtocolInfo.draws_random``), where
            they are more than those of condensation; None: as many.
    """

    condense: PositiveInt | None = None
    evaluate: PositiveInt | None = None
    random: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            raise ValueError("says how many seeds, not which, got a list")
        return value


Some: TypeAlias = Annotated[list[str], Field(min_length=1)]


class Exclusion(Asked):
    """Cells to leave out: those that match every field given.

    Attributes:
        method: A method or the label of a row; of several any.
        role: What the row is (:class:`ddbench.core.roles.Role`); twins are left out by their role alone.
        of: The row that it stands beside, by its label; of several any.
        dataset: A data set, without its view.
        ipc: A budget; ``fraction`` likewise.
        fraction: A budget.
        arch: Condensing architecture; ``eval_arch`` that of the students.
        eval_arch: Architecture of the students.
        protocol: A protocol, with or without its version.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    method: tuple[str, ...] | None = None
    role: Kind | None = None
    of: tuple[str, ...] | None = None
    dataset: str | None = None
    ipc: int | None = None
    fraction: float | None = None
    arch: str | None = None
    eval_arch: str | None = None
    protocol: str | None = None

    @field_validator("method", "of", mode="before", json_schema_input_type=str | Some | None)
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if value in ([], ()):
            raise ValueError("is an empty list")
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _not_empty(self) -> Exclusion:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"an exclusion names at least one of {', '.join(Exclusion.model_fields)}")
        return self

    def matches(self, *, method: Set[str], of: Set[str] = frozenset(), **cell: Any) -> bool:
        """Whether a cell with these fields is excluded.

        Args:
            method: What its method and its row are called.
            of: Which rows its row stands beside.
            cell: The other fields, as far as they are known.
        """
        wanted = self.model_dump(exclude_none=True, exclude={"method", "of"})
        named = all(mine is None or not held.isdisjoint(mine) for mine, held in ((self.method, method), (self.of, of)))
        return named and all(name in cell and cell[name] == value for name, value in wanted.items())


class Suite(Asked):
    """What to run. No include, no interpolation, no inheritance; unknown keys are errors.

    Attributes:
        schema_version: Version of this schema, written ``schema``.
        methods: Rows, each a name or a :class:`MethodEntry`; ``full`` and ``random`` are always added.
        datasets: Data sets, each a name or a :class:`DatasetEntry`.
        budget: Sizes.
        archs: Condensing architectures; empty: each data set's default.
        eval_archs: Student architectures; empty: the same as the condensing one.
        preprocess: Preprocessing ids.
        protocols: Evaluation protocols.
        seeds: How often; empty: as the profile says.
        profile: ``smoke``, ``short`` or ``paper``.
        split: ``paper`` condenses from train ∪ val, for the reproduction ledger only; ``tune`` is for code alone.
        controls: Plan the control rows of every method as well.
        precision: ``bf16``: experts, and students of ``full``, are trained in bfloat16.
        master_seed: The seed that all others derive from.
        set: Overrides ``{method: {param: value}}``, as ``--set`` gives them.
        exclude: Cells to leave out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    methods: Methods
    datasets: DataSets = (DatasetEntry(name="digits"),)
    budget: BudgetAxis
    archs: Names = ()
    eval_archs: Names = ()
    preprocess: SomeNames = ("meanstd",)
    protocols: SomeNames = ("hard",)
    seeds: Seeds = Seeds()
    profile: str = "short"
    split: SplitName = Field(default="default", json_schema_extra={"enum": ["default", "paper"]})
    controls: bool = False
    precision: Precision = "fp32"
    master_seed: NonNegativeInt = 0
    set: dict[str, dict[str, Any]] = Field(default_factory=dict)
    exclude: tuple[Exclusion, ...] = ()

    @model_validator(mode="after")
    def _nothing_empty(self) -> Suite:
        for field in ("methods", "datasets", "preprocess", "protocols"):
            if not getattr(self, field):
                raise ValueError(f"{field} is an empty list")
        names = [entry.name for entry in self.methods] + [entry.name for entry in self.datasets]
        names += [*self.archs, *self.eval_archs, *self.preprocess, *self.protocols]
        if any(not name.strip() for name in names):
            raise ValueError("a list holds an empty name")
        return self


def load(name: str, what: str = "suite", names: str = "*") -> dict[str, Any]:
    """Read a suite: a path, else a name in the installed package, else one in the repository's ``configs/``.

    Args:
        name: The path or name.
        what: As for :func:`find`.
        names: As for :func:`find`.

    Raises:
        UsageError: If there is no such file, or it is not a YAML mapping.
    """
    path = find(name, what, names)
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise UsageError(
            f"{what} {path}: expected a mapping with keys such as methods and budget, see configs/demo.yaml"
        )
    return content


def picked(entries: Any, names: Iterable[Any], fields: Sequence[str] = ("label", "name")) -> list[Any]:
    """Methods or data sets that a command names, those that a suite describes as it describes them.

    A name means the entries that are called so, with their parameters or views; else all entries of that member.

    Args:
        entries: What the suite has; anything, as it is not checked yet.
        names: As they were typed; a program may give entries in place of names, which stay as they are.
        fields: What of an entry is a name of it, what decides first; a data set's ``label`` is none.
    """
    listed = list(entries) if isinstance(entries, list | tuple) else []
    plain = {entry: () for entry in listed if isinstance(entry, str)}
    described = [entry for entry in listed if isinstance(entry, dict)]
    found: list[Any] = []
    for name in names:
        if not isinstance(name, str):
            found.append(name)
            continue
        own: list[Any] = []
        for field in fields:
            known = {entry[field]: () for entry in described if isinstance(entry.get(field), str)}
            if not own and not meant(name, plain):
                called = meant(name, known)
                own = [entry for entry in described if entry.get(field) in called]
        found += own or [name]
    return found


def find(name: str, what: str = "suite", names: str = "*") -> Path:
    """The file behind a name.

    Args:
        name: A path, or the name of a file that comes with ddbench.
        what: What it is called in messages.
        names: Pattern of the known names.
    """
    folders = [Path(str(files("ddbench") / "_configs")), Path(__file__).parents[2] / "configs"]
    if not name or "\0" in name:
        raise UsageError(f"no {what} {name!r}: give the path of a file, or a known name")
    if is_address(name):
        raise UsageError(f"{name}: addresses are not read: download the {what}, and give the path of the file")
    candidates = [Path(name), *(folder / f"{name.removesuffix('.yaml')}.yaml" for folder in folders)]
    for path in candidates:
        if _is_file(path):
            return path
    known = sorted({path.stem for folder in folders if folder.is_dir() for path in folder.glob(f"{names}.yaml")})
    near = nearest(name, known)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    raise UsageError(f"no {what} {name!r}: neither a file nor a known name; {hint}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def parse(content: Mapping[str, Any], where: str) -> Suite:
    """Validate a suite's content.

    Args:
        content: The mapping.
        where: File name or ``command line``, for messages.

    Raises:
        UsageError: If a key is unknown or a value impossible.
    """
    if content.get("split") == TUNE:
        raise UsageError(f"{where}: split: {TUNE!r} is set by `ddbench tune` alone; a suite has 'default' or 'paper'")
    return checked(Suite, content, where, LEVELS, PYTHON if where.startswith("ddbench.") else SUITE)


LEVELS: dict[str, type[Frozen]] = {
    "methods": MethodEntry, "datasets": DatasetEntry, "budget": BudgetAxis, "seeds": Seeds, "exclude": Exclusion,
}  # fmt: skip
"""Which keys a suite has below its own."""
