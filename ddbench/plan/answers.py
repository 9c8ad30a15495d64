"""What the params of a method say about a cell, asked once and under guard: they may be anybody's code. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from ddbench.core.api import Params
from ddbench.core.errors import UsageError
from ddbench.core.plugin.loader import Registries
from ddbench.core.specs import ArtifactSpec, CellSpec, DatasetInfo
from ddbench.models import names as arch_names
from ddbench.plan.rows import Row


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one cell; without a reason to skip it all that a plan needs.

    Attributes:
        skip: Why it cannot run, or None.
        artifacts: What it needs, by name.
        origins: Where the networks come from that its method builds.
        steps: How often the method is called.
        own_student: Whether its set is made for one network in one initial state.
        centred: Whether its set's labels are centred.
        learns_centred: Whether its set's recipe learns these.
    """

    skip: str | None = None
    artifacts: dict[str, ArtifactSpec] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    steps: int = 0
    own_student: bool = False
    centred: bool = False
    learns_centred: bool = True


def answers(row: Row, params: Params, spec: CellSpec, info: DatasetInfo, registries: Registries) -> Answers:
    """Ask the params of a row about a cell; whatever their code raises comes out of here.

    Raises:
        TypeError: If an answer has the wrong type.
    """
    if params.keeps_best_snapshot and not any(info.val_counts):
        return Answers("selection: val needs validation images, and there are none (--split paper)")
    skip, artifacts = params.unsupported(spec, info), dict(params.artifacts(spec))
    if not (skip is None or isinstance(skip, str)):
        raise TypeError(f"Params.unsupported returned {skip!r}, not a reason or None")
    wrong = [name for name, artifact in artifacts.items() if not isinstance(artifact, ArtifactSpec)]
    if wrong:
        raise TypeError(f"Params.artifacts gives {wrong[0]!r} no ArtifactSpec")
    named = tuple(params.architectures(spec))
    skip = _with_statistics(params, spec, registries) or skip or _no_network(named, info, registries)
    return Answers(
        skip, artifacts, {} if skip else _origins(row, spec, named, registries), params.steps,
        bool(params.own_student), bool(params.centred_labels), bool(params.recipe_learns_centred),
    )  # fmt: skip


def _with_statistics(params: Params, spec: CellSpec, registries: Registries) -> str | None:
    """Why a method takes no network of this cell's kind; None where it does."""
    refused = params.without_statistics
    return refused if refused and arch_names.keeps_statistics(spec.arch, registries.architectures) else None


def _no_network(named: tuple[str, ...], info: DatasetInfo, registries: Registries) -> str | None:
    """Which of the networks that a method builds beside the cell's does not exist, or is too deep; None: none."""
    for name in named:
        try:
            parsed = arch_names.parse(name, registries.architectures)
        except UsageError as error:
            return f"no such network to condense with: {error}"
        if (why := arch_names.too_few_pixels(parsed, channels=info.channels, size=info.size)) is not None:
            return why
    return None


def _origins(row: Row, spec: CellSpec, named: tuple[str, ...], registries: Registries) -> dict[str, str]:
    """Where the architectures come from that a cell's method builds."""
    parsed = {f"arch {name}": arch_names.parse(name, registries.architectures).canonical for name in named}
    return registries.origins(arch=spec.arch if "arch" in row.method.axes else None, **parsed)
