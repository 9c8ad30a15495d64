"""The records that plugins register: methods, data sets, architectures, protocols, artifact kinds. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ddbench.core.errors import PluginError

ALL_AXES: frozenset[str] = frozenset({"budget", "arch", "seed"})

IMPORTED = "imported"
"""The method whose sets were made elsewhere: its rows are shown and never ranked."""


def _check_targets(who: str, **targets: str) -> None:
    for what, target in targets.items():
        if not re.fullmatch(r"[\w.]+:\w+", target):
            raise PluginError(f'{who}: {what} {target!r} is not of the form "module:Class"')


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
        _check_targets(f"method {self.name!r}", target=self.target, params=self.params)
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
        version: Bumped when the reader returns something else for the same files, which are then decoded anew, or when
            another fact of the record changes; part of keys from 2 on.
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
    version: int = 1
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
        version: Bumped when a network of the family computes something else; part of keys from 2 on.
    """

    name: str
    bases: tuple[str, ...]
    target: str
    summary: str
    width: int = 128
    norms: tuple[str, ...] = ("in", "bn", "nn")
    variants: tuple[str, ...] = ()
    dc_augmentation: Mapping[str, DCAugmentation] = field(default_factory=dict, hash=False)
    version: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """How reports show a protocol, and which other protocols they hold it against, each by its name without version.

    Attributes:
        regime: Its labels and augmentation in a few words: the heading of its column in the view ``regime``; empty:
            its id.
        own_recipe: The protocol under which sets are trained as they want to be; with it the scores HLR and LRS stand.
        unaugmented: The protocol that differs from this one in having no augmentation; with it the score ARS stands.
        full_under: The protocol that suits real data: losslessness is judged under this protocol, against the better
            of ``full`` under both. For protocols that do not cap the student's updates.
    """

    regime: str = ""
    own_recipe: str | None = None
    unaugmented: str | None = None
    full_under: str | None = None


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """An evaluation recipe; what the core must know of it is declared here.

    Attributes:
        name: Id without version, ``^[a-z][a-z0-9_-]*$``, e.g. ``hard``; shown as ``hard@1``.
        version: Bumped when results may change, from 1; part of the key.
        target: ``"module:Class"`` of the :class:`EvalProtocol`.
        params: ``"module:Class"`` of its :class:`ProtocolParams`; that module must not import torch.
        summary: One line for ``ddbench list protocols``.
        defaults: What distinguishes this protocol, for ``ProtocolParams.resolve``; nobody else reads it.
        labels: What is learned: ``hard`` classes (of soft labels the arg max), ``soft`` probabilities, or the set's
            ``own`` form of labels.
        follows_recipe: Whether students follow the recipe of their set; ``random`` and the controls then stand beside
            each row, trained by that row's recipe.
        chooses_lr: Whether params may hold several learning rates, of which the best on val is used.
        trains_student: Whether a network is trained; without, nothing depends on the student's seed, and there is one
            result for each set.
        students: What it evaluates: families or base names of networks, or names of predictors of its own
            (``ntk-fc3``); empty: all networks. The first is the default where the condensing network is none of them.
        standing: How reports show it.

    Raises:
        PluginError: If a field is malformed.
    """

    name: str
    version: int
    target: str
    params: str
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    labels: Literal["hard", "soft", "own"] = "hard"
    follows_recipe: bool = False
    chooses_lr: bool = False
    trains_student: bool = True
    students: tuple[str, ...] = ()
    standing: Standing = Standing()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise PluginError(f"protocol name {self.name!r} must match ^[a-z][a-z0-9_-]*$")
        _check_targets(f"protocol {self.name!r}", target=self.target, params=self.params)
        if self.labels not in ("hard", "soft", "own"):
            raise PluginError(f"protocol {self.name!r}: labels {self.labels!r} is none of hard, soft, own")
        if self.standing.own_recipe is not None and self.labels != "hard":
            raise PluginError(f"protocol {self.name!r}: standing.own_recipe is for protocols with labels 'hard'")


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
