"""The records that plugins register: methods, data sets, architectures, protocols, artifact kinds. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from ddbench.core.errors import PluginError

ALL_AXES: frozenset[str] = frozenset({"budget", "arch", "seed"})

IMPORTED = "imported"
"""The method whose sets were made elsewhere: its rows are shown and never ranked."""


_WORD = "[a-z][a-z0-9_]*"
_DASHED = "[a-z][a-z0-9_-]*"
_TYPED = r"[A-Za-z][\w-]*"


def _check(noun: str, name: str, pattern: str, version: int, **targets: str | None) -> str:
    """Refuse a member with a malformed name, version or target; what messages call it."""
    if not (isinstance(name, str) and re.fullmatch(pattern, name)):
        raise PluginError(f"{noun} name {name!r} must match ^{pattern}$")
    who = f"{noun} {name!r}"
    if not (isinstance(version, int) and version >= 1):
        raise PluginError(f"{who}: version {version!r} is not an integer from 1")
    for what, target in targets.items():
        if target is not None and not (isinstance(target, str) and re.fullmatch(r"[\w.]+:\w+", target)):
            raise PluginError(f'{who}: {what} {target!r} is not of the form "module:name"')
    return who


def _check_names(who: str, what: str, names: tuple[str, ...], pattern: str) -> None:
    """Refuse what is no tuple of names."""
    if not isinstance(names, tuple):
        raise PluginError(f"{who}: {what} is {names!r}, not a tuple of names")
    for name in names:
        if not (isinstance(name, str) and re.fullmatch(pattern, name)):
            raise PluginError(f"{who}: {what} holds {name!r}, which must match ^{pattern}$")


DCAugmentation: TypeAlias = Literal["dc_mnist", "crop_noise"]
"""What the evaluation of DC (2021) does to training images: crop, scale and rotate; or crop and noise."""


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a method was published; part of no key.

    Attributes:
        title: The title.
        venue: Where the paper appeared.
        year: When.
        url: Where to read it.
        authors: One a name, as BibTeX reads them (``"Zhao, Bo"``); empty where nobody said.

    Raises:
        PluginError: If the authors are no tuple of names, a name holds " and ", or a text braces that are not in pairs.
    """

    title: str
    venue: str
    year: int
    url: str
    authors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names(f"paper {self.title!r}", "authors", self.authors, r"\S.*")
        for text in (self.title, self.venue, self.url, *self.authors):
            if not _balanced(text):
                raise PluginError(f"paper {self.title!r}: {text!r} has a brace without its other one")
        if several := next((name for name in self.authors if re.search(r"\sand\s", name, re.IGNORECASE)), None):
            raise PluginError(f"paper {self.title!r}: authors holds {several!r}, several names to BibTeX: one each")


def _balanced(text: str) -> bool:
    """Whether every brace has its other one."""
    depths = [*accumulate((c == "{") - (c == "}") for c in text)]
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


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
        labels_only: Whether its sets differ from what they start from, ``random`` unless it is another row's set, in
            labels alone. Under protocols that learn hard labels its row says so and is not trained.
        takes_initial: Whether it can start from the set of another row (``ctx.initial``). If it is called ``random_X``,
            a suite may name ``NAME_X`` for every selection NAME of real images with hard labels.
        presets: Package-relative YAML: (dataset, budget, profile) → overrides, each with its source.
        aliases: What else users may call it (:mod:`ddbench.core.names`: other case and hyphens need no alias); where
            several members could be meant, none is.

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
    labels_only: bool = False
    takes_initial: bool = False
    presets: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        who = _check("method", self.name, _WORD, self.version, target=self.target, params=self.params)
        _check_names(who, "aliases", self.aliases, _TYPED)
        if self.kind not in ("distillation", "selection", "reference"):
            raise PluginError(f"{who}: kind {self.kind!r} is none of distillation, selection, reference")
        if not self.axes <= ALL_AXES:
            raise PluginError(f"{who}: unknown axes {sorted(self.axes - ALL_AXES)}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files of a data set are known to hold, so that no other data go by its name.

    Attributes:
        counts: Images of each class, in the order of the classes, of ``train`` and ``test`` (and ``val``).
        scheme: How a copy that differs is read under a name of its own: ``idx``, ``cifar``, ``svhn``, ``tiny`` …
        digests: Hash of the images and labels of each part, whatever their order (``ddbench.data.prepared.contents``);
            empty where that is not known.
        mean: Per-channel mean of all pixels in [0, 1], of each part; empty where that is not known.
        std: Likewise, the standard deviation of all pixels.
        tolerance: How far ``mean`` and ``std`` may be off.
        class_names: What classes are called when the images come in another format; empty: as that says.

    Raises:
        PluginError: If parts differ.
    """

    counts: dict[str, tuple[int, ...]]
    scheme: str
    digests: dict[str, str] = field(default_factory=dict)
    mean: dict[str, tuple[float, ...]] = field(default_factory=dict)
    std: dict[str, tuple[float, ...]] = field(default_factory=dict)
    tolerance: float = 1e-6
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(set(known) <= set(self.counts) for known in (self.digests, self.mean, self.std)):
            raise PluginError("contents of a data set: digests, mean and std are of parts that counts does not have")


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A data set that ddbench can read by name.

    Attributes:
        name: What users type; ``^[a-z][a-z0-9_-]*$``.
        reader: ``"module:function"``: ``reader(folder: Path) -> RawDataset`` reads the user's files.
        summary: One line for ``ddbench data list``.
        files: File names expected in ``ddbench data prepare NAME --from DIR``.
        download: ``"module:function"``: ``download(folder: Path) -> None`` fetches ``files``; None without a source.
        download_mb: Size of the download [MB].
        flip: Whether a mirrored image still shows its class.
        mean: Per-channel constants of ``meanstd``; None: computed from train.
        std: As ``mean``, above 0; given together with it.
        embedded: True when the reader needs no files.
        version: Bumped when the reader returns something else for the same files, which are then decoded anew, or when
            another fact of the record changes; part of keys from 2 on.
        licence: Terms of the real images, which may bind a set made from them; None: unknown.
        dc_augmentation: What the protocol ``dc2021`` does to its images, in 1001 passes; None: nothing, in 301.
        aliases: As of :class:`MethodInfo`.
        contents: What its files must hold; None: anything.

    Raises:
        PluginError: If a field is malformed.
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
    aliases: tuple[str, ...] = ()
    contents: Contents | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        who = _check("data set", self.name, _DASHED, self.version, reader=self.reader, download=self.download)
        _check_names(who, "aliases", self.aliases, _TYPED)
        if not isinstance(self.files, tuple):
            raise PluginError(f"{who}: files is {self.files!r}, not a tuple of file names")
        if self.mean is None and self.std is None:
            return
        if self.mean is None or self.std is None or len(self.mean) != len(self.std):
            raise PluginError(f"{who}: mean {self.mean} and std {self.std} are not one number per channel each")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std, default=0) <= 0:
            raise PluginError(f"{who}: mean {self.mean} and std {self.std} must be finite, and std above 0")


@dataclass(frozen=True, slots=True)
class ArchInfo:
    """A family of architectures with one name grammar: ``<base>[-VARIANT][-wWIDTH][-NORM]``.

    Attributes:
        name: Family name (``convnet``), ``^[a-z][a-z0-9_]*$``.
        bases: Base names (``convnet1`` … ``convnet5``), likewise, at least one: ``-`` begins a suffix.
        target: ``"module:function"``: ``build(name: ArchName, *, channels, classes, size)``; a module with ``.embed``.
        summary: One line for ``ddbench list archs``.
        width: Width when the name gives none.
        narrow: Width up to which one CPU thread computes such a network: more of them would wait for each other.
        norms: Allowed norm suffixes, the default first; at least one (``nn``: none).
        statistics: Those of them whose layers keep running statistics beside parameters.
        variants: Suffixes for other forms of the family (``ap``: average pooling instead of strides).
        dc_augmentation: By norm, what the protocol ``dc2021`` does to images in 1001 passes, unless the data set says;
            nothing in 301 passes for other norms.
        version: Bumped when a network of the family computes something else; part of keys from 2 on.
        aliases: What else users may write for a name, suffixes included, and that name: ``{"convnet": "convnet3"}``;
            suffixes may follow. Case, hyphens and ``dN`` for the depth need none (:func:`ddbench.models.names.meant`).

    Raises:
        PluginError: If a field is malformed.
    """

    name: str
    bases: tuple[str, ...]
    target: str
    summary: str
    width: int = 128
    narrow: int = 64
    norms: tuple[str, ...] = ("in", "bn", "nn")
    statistics: tuple[str, ...] = ("bn",)
    variants: tuple[str, ...] = ()
    dc_augmentation: Mapping[str, DCAugmentation] = field(default_factory=dict, hash=False)
    version: int = 1
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        who = _check("architecture", self.name, _WORD, self.version, target=self.target)
        _check_names(who, "aliases", tuple(self.aliases), _TYPED)
        for what in ("bases", "norms", "statistics", "variants"):
            _check_names(who, what, names := getattr(self, what), _WORD)
            if not names and what in ("bases", "norms"):
                raise PluginError(f"{who}: {what} is empty; it needs at least one")
        for what, width, least in (("width", self.width, 1), ("narrow", self.narrow, 0)):
            if not (isinstance(width, int) and width >= least):
                raise PluginError(f"{who}: {what} {width!r} is not an integer from {least}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How reports show a protocol, and which other protocols they hold it against, each by its name without version.

    Attributes:
        regime: Its labels and augmentation in a few words: the heading of its column in the view ``regime``; empty:
            its id. Where no student is trained: what is done instead, which captions of tables say, too.
        own_recipe: The protocol under which sets are trained as they want to be; with it the scores HLR and LRS stand.
        unaugmented: The protocol that differs from this one in having no augmentation; with it the score ARS stands.
        full_under: The protocol that suits real data: losslessness is judged under this protocol, against ``full``
            under it and, unless students follow the recipe of their set, under this one. For protocols that do not cap
            the student's updates.

    Raises:
        PluginError: If a field is malformed.
    """

    regime: str = ""
    own_recipe: str | None = None
    unaugmented: str | None = None
    full_under: str | None = None

    def __post_init__(self) -> None:
        for what in ("own_recipe", "unaugmented", "full_under"):
            if not isinstance(name := getattr(self, what), str | None):
                raise PluginError(f"standing: {what} is {name!r}, not the name of a protocol")


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """An evaluation recipe; what the core must know of it is declared here.

    Attributes:
        name: Id without version, ``^[a-z][a-z0-9_-]*$``, e.g. ``hard``; shown as ``hard@2``.
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
        lr_repetition: Whose student chooses it for all repetitions: 0, the first of the reported ones; or −1, which is
            made like them, for this alone, and never reported.
        draws_random: Whether ``random`` is drawn more often where a suite says so (``seeds: random``).
        trains_student: Whether a network is trained; without, nothing depends on the student's seed, and there is one
            result for each set.
        students: What it evaluates: families or base names of networks, or names of predictors of its own
            (``ntk-fc3``); empty: all networks. The first is the default where the condensing network is none of them.
        standing: How reports show it.
        aliases: As of :class:`MethodInfo`, without version.

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
    lr_repetition: Literal[-1, 0] = 0
    draws_random: bool = False
    trains_student: bool = True
    students: tuple[str, ...] = ()
    standing: Standing = Standing()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        who = _check("protocol", self.name, _DASHED, self.version, target=self.target, params=self.params)
        _check_names(who, "students", self.students, _DASHED)
        _check_names(who, "aliases", self.aliases, _TYPED)
        if self.labels not in ("hard", "soft", "own"):
            raise PluginError(f"{who}: labels {self.labels!r} is none of hard, soft, own")
        if self.lr_repetition not in (-1, 0):
            raise PluginError(f"{who}: lr_repetition {self.lr_repetition!r} is neither -1 nor 0")
        if self.standing.own_recipe is not None and self.labels != "hard":
            raise PluginError(f"{who}: standing.own_recipe is for protocols with labels 'hard'")

    def chooser(self, r: int) -> int:
        """The repetition whose student chooses the learning rate of repetition ``r``; r itself where it chooses.

        Repetitions below 0 are tuned on, or choose for others: nothing of a reported one reaches them.
        """
        return self.lr_repetition if r >= 0 else -1


@dataclass(frozen=True, slots=True)
class ArtifactKind:
    """A kind of shared input.

    Attributes:
        name: Kind, e.g. ``features``; ``^[a-z][a-z0-9_-]*$``.
        version: ``kind_version`` of the key; bumped when the content may change.
        params: ``"module:Class"`` of its params type.
        build: ``"module:function"``: ``build(ctx: RunContext, folder: Path, params) -> None`` writes into ``folder``.
        summary: One line for ``ddbench list artifacts``.
        bf16: Whether its networks may be trained in bfloat16 (``--engine bf16``): only by first derivatives.

    Raises:
        PluginError: If a field is malformed.
    """

    name: str
    version: int
    params: str
    build: str
    summary: str
    bf16: bool = False

    def __post_init__(self) -> None:
        _check("artifact kind", self.name, _DASHED, self.version, params=self.params, build=self.build)
