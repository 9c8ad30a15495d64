"""The records that plugins register: methods, data sets, architectures, protocols, artifact kinds. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ddbench.errors import PluginError

ALL_AXES: frozenset[str] = frozenset({"budget", "arch", "seed"})

IMPORTED = "imported"
"""The method whose sets were made elsewhere: its rows are shown and never ranked."""


DCAugmentation: TypeAlias = Literal["dc_mnist", "crop_noise"]
"""What the evaluation of DC (2021) does to training images: crop, scale and rotate; or crop and noise."""


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a method was published."""

    title: str
    venue: str
    year: int
    url: str


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """A method, as a plugin registers it; its classes are named, not imported.

    Attributes:
        name: What users type; ``^[a-z][a-z0-9_]*$``.
        kind: ``distillation`` optimises pixels, ``selection`` keeps real images, ``reference`` is the yardstick.
        target: ``"module:Class"`` of the :class:`Method`.
        params: ``"module:Class"`` of the :class:`Params`; that module must not import torch.
        summary: One line for ``ddbench list methods``.
        paper: Where it was published, or None.
        version: Bumped when results may change; part of the key.
        axes: Of budget, arch and seed, what the result depends on.
        controls: Control methods planned beside this one with ``--controls``; each takes over the parameters that it
            shares with this one (its pool of experts).
        own_labels: Whether a selection has labels of its own, and thus a recipe that ``native`` can follow.
        presets: Package-relative YAML: (dataset, budget, profile) → overrides, each with its source.

    Raises:
        PluginError: If a field is malformed.
    """

    name: str
    kind: Literal["distillation", "selection", "reference"]
    target: str
    params: str
    summary: str
    paper: Paper | None = None
    version: int = 1
    axes: frozenset[str] = ALL_AXES
    controls: tuple[str, ...] = ()
    own_labels: bool = False
    presets: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise PluginError(f"method name {self.name!r} must match ^[a-z][a-z0-9_]*$")
        if self.kind not in ("distillation", "selection", "reference"):
            raise PluginError(f"method {self.name!r}: kind {self.kind!r} is none of distillation, selection, reference")
        for what, target in (("target", self.target), ("params", self.params)):
            if not re.fullmatch(r"[\w.]+:\w+", target):
                raise PluginError(f'method {self.name!r}: {what} {target!r} is not of the form "module:Class"')
        if not self.axes <= ALL_AXES:
            raise PluginError(f"method {self.name!r}: unknown axes {sorted(self.axes - ALL_AXES)}")


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A data set that ddbench can read by name.

    Attributes:
        name: What users type.
        reader: ``"module:function"``: ``reader(folder: Path) -> RawDataset`` reads the user's files.
        summary: One line for ``ddbench data list``.
        files: File names expected in ``ddbench data prepare NAME --from DIR``.
        download: ``"module:function"``: ``download(folder: Path) -> None`` fetches ``files``; None without a source.
        download_mb: Size of the download [MB].
        flip: Whether a mirrored image still shows its class.
        mean: Per-channel constants of ``meanstd``; None: computed from train.
        std: As ``mean``.
        embedded: True when the reader needs no files.
        licence: Terms of the real images, which may bind a set made from them; None: unknown.
        dc_augmentation: What the protocol ``dc2021`` does to its images, in 1001 passes; None: nothing, in 301.
    """

    name: str
    reader: str
    summary: str
    files: tuple[str, ...] = ()
    download: str | None = None
    download_mb: int = 0
    flip: bool = True
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    embedded: bool = False
    licence: str | None = None
    dc_augmentation: DCAugmentation | None = None


@dataclass(frozen=True, slots=True)
class ArchInfo:
    """A family of architectures with one name grammar: ``<base>[-VARIANT][-wWIDTH][-NORM]``.

    Attributes:
        name: Family name (``convnet``).
        bases: Base names (``convnet1`` … ``convnet5``).
        target: ``"module:function"``: ``build(name: ArchName, *, channels, classes, size)``; a module with ``.embed``.
        summary: One line for ``ddbench list archs``.
        width: Width when the name gives none.
        norms: Allowed norm suffixes, the default first.
        variants: Suffixes for other forms of the family (``ap``: average pooling instead of strides).
        dc_augmentation: By norm, what the protocol ``dc2021`` does to images in 1001 passes, unless the data set says;
            nothing in 301 passes for other norms.
    """

    name: str
    bases: tuple[str, ...]
    target: str
    summary: str
    width: int = 128
    norms: tuple[str, ...] = ("in", "bn", "nn")
    variants: tuple[str, ...] = ()
    dc_augmentation: Mapping[str, DCAugmentation] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """An evaluation recipe.

    Attributes:
        name: Id without version, e.g. ``hard``; shown as ``hard@1``.
        version: Bumped when results may change; part of the key.
        target: ``"module:Class"`` of the :class:`EvalProtocol`.
        params: ``"module:Class"`` of its params type, whose classmethod
            ``resolve(defaults, *, n, data, student, profile)`` gives the params for a budget of n images of ``data``, a
            student architecture (:class:`ddbench.models.ArchName`) and a profile; they have ``updates`` (for
            forecasts) and ``lr``, a tuple of which the best on val is used.
        summary: One line for ``ddbench list protocols``.
        defaults: What distinguishes this protocol; the rest follows from the params type.
    """

    name: str
    version: int
    target: str
    params: str
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArtifactKind:
    """A kind of shared input.

    Attributes:
        name: Kind, e.g. ``features``.
        version: ``kind_version`` of the key; bumped when the content may change.
        params: ``"module:Class"`` of its params type.
        build: ``"module:function"``: ``build(ctx: RunContext, folder: Path, params) -> None`` writes into ``folder``.
        summary: One line for ``ddbench list artifacts``.
    """

    name: str
    version: int
    params: str
    build: str
    summary: str
