"""Files of users → artifacts of kind ``set``: read, checked, settled, and stored under the hash of their content.

A pointer, named by the hashes of the files and the flags, remembers what they came to: the second time nothing is read,
and no torch is imported.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ddbench.core.errors import DataError, UsageError
from ddbench.core.keys import artifact_key, digest, short
from ddbench.core.plugin.loader import Registries
from ddbench.core.provenance import environment
from ddbench.core.specs import ArtifactSpec, Budget, DatasetInfo
from ddbench.core.store import artifacts
from ddbench.core.store.files import atomic_write, home
from ddbench.data.dataset import Data, open_data
from ddbench.data.exchange.files import Flags, Source
from ddbench.data.exchange.params import KIND, Centred, SetParams
from ddbench.data.readers.troubles import Troubles

if TYPE_CHECKING:
    from ddbench.data.exchange.layouts import Stored
    from ddbench.data.exchange.settle import Settled

READER = 7
"""Bumped when files come to other sets, or to other words about them: pointers of older readers are not used."""


class Understood(BaseModel):
    """What the files of one source came to.

    Attributes:
        layout: What wrote such files.
        sources: Content hashes of the sets, one per repetition.
        preprocess: The space they are evaluated in.
        n: Images of each set.
        ipc: Images per class, None when classes have different numbers.
        per_class: Images of each class; None for soft labels.
        initial: Whether the sets hold an initial state that students start from.
        centred: Whether labels are centred, so that they are no probabilities, and whether the recipe learns them.
        found: What was found, a line each.
        warnings: What a reader of the table must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    sources: tuple[str, ...]
    preprocess: str
    n: int
    ipc: int | None
    per_class: tuple[int, ...] | None
    found: tuple[str, ...]
    warnings: tuple[str, ...]
    initial: bool = False
    centred: Centred = "no"


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports for one data set.

    Attributes:
        registries: Loaded plugins.
        dataset: As users name it.
        split: The split of the runs that will use the sets.
    """

    registries: Registries
    dataset: str
    split: Literal["default", "paper"] = "default"

    def take_all(self, sources: Sequence[Source], flags: Flags) -> list[tuple[Source, Understood]]:
        """Import some sources.

        Raises:
            DataError: As :meth:`take`; all that cannot be imported are named.
            UsageError: If a name is unknown.
        """
        self.data("meanstd")  # its errors are no source's
        found = []
        with Troubles() as troubles:
            for source in sources:
                with troubles.noted():
                    found.append((source, self.take(source, flags)))
        return found

    def take(self, source: Source, flags: Flags) -> Understood:
        """Import one source, unless that was done before.

        Raises:
            DataError: If the files are damaged, do not fit the data set, or are ambiguous.
            UsageError: If a name is unknown.
        """
        spec = self.data("meanstd").spec
        data = [spec.name, spec.revision, self.split]
        described = [READER, source.form, source.contents(), asdict(flags), data, source.notes]
        pointer = home() / "artifacts" / KIND / ".files" / f"{short(digest(described))}.json"
        known = _read(pointer)
        if known is not None and all(self._stored(known.preprocess, content) for content in known.sources):
            return known
        understood = self._import(source, flags)
        atomic_write(pointer, understood.model_dump_json(indent=1).encode())
        return understood

    def data(self, preprocess: str) -> Data:
        """The data set under a preprocessing."""
        return open_data(self.dataset, None, self.split, preprocess, self.registries)

    def _spec(self, preprocess: str, content: str) -> tuple[ArtifactSpec, str]:
        params = SetParams(source=content).model_dump(mode="json")
        spec = ArtifactSpec(kind=KIND, data=self.data(preprocess).spec, params=params)
        return spec, artifact_key(spec, self.registries.artifacts.get(KIND).version)

    def _stored(self, preprocess: str, content: str) -> bool:
        return artifacts.manifest(KIND, self._spec(preprocess, content)[1]) is not None

    def _import(self, source: Source, flags: Flags) -> Understood:
        from ddbench.data.exchange.layouts import read
        from ddbench.data.exchange.settle import settle, space_of

        where = str(source.place)
        # What is read depends on names and channels alone, which are the same in every space.
        sets = _chosen(read(source, self.data("meanstd").info), flags.experiment, where)
        preprocess = space_of(sets[0], flags, where)
        info = self.data(preprocess).info
        settled = [settle(stored, info, flags, preprocess, where) for stored in sets]
        first = settled[0].stored
        if any(len(other.stored.images) != len(first.images) for other in settled):
            raise DataError(f"{where}: its experiments differ in size: choose one with --experiment")
        sources = tuple(self._keep(each, preprocess, source) for each in settled)
        per_class = None
        if first.labels.ndim == 1:
            per_class = tuple(first.labels.bincount(minlength=info.classes).tolist())
        found = settled[0].found
        if len(sets) > 1:
            found = (f"{len(sets)} experiments, which become repetitions; the first: {found[0]}", *found[1:])
        return Understood(
            layout=first.layout, sources=sources, preprocess=preprocess, n=len(first.images),
            ipc=_ipc(per_class, len(first.images), info), per_class=per_class, found=found,
            warnings=settled[0].warnings, initial=first.initial is not None,
            centred=_centred([each.stored for each in settled]),
        )  # fmt: skip

    def _keep(self, settled: Settled, preprocess: str, source: Source) -> str:
        """Store one set; returns its content hash."""
        from ddbench.data.exchange.imported import pack, write

        content, name = pack(settled)
        spec, key = self._spec(preprocess, name)
        if artifacts.manifest(KIND, key) is not None:
            return name
        partial = artifacts.partial_folder(KIND, key)
        shutil.rmtree(partial, ignore_errors=True)
        write(partial, content)
        facts = {
            "spec": spec.model_dump(mode="json"),
            "kind_version": self.registries.artifacts.get(KIND).version,
            "cost": {"seconds": 0.0, "peak_mb": 0.0, "attempts": 0},
            "env": dict(environment(self.registries.artifacts.origin(KIND).key)),
            "imported": [{"file": Path(path).name, "role": role} for role, path in source.files[:4]],
            "found": list(settled.found),
        }
        artifacts.publish(KIND, key, facts)
        return name


def _read(pointer: Path) -> Understood | None:
    try:
        return Understood.model_validate_json(pointer.read_bytes())
    except (OSError, ValidationError):
        return None


def _chosen(sets: Sequence[Stored], experiment: int | None, where: str) -> Sequence[Stored]:
    if experiment is None:
        return sets
    if experiment >= len(sets):
        if len(sets) == 1:
            raise UsageError(f"{where}: holds one experiment: leave out --experiment {experiment}")
        raise UsageError(f"{where}: holds {len(sets)} experiments: --experiment is below that")
    return [sets[experiment]]


def _centred(sets: Sequence[Stored]) -> Centred:
    """Whether sets have centred labels, and recipes that learn them."""
    losses = {stored.recipe.loss for stored in sets if stored.label_space == "centred"}
    return "no" if not losses else "learned" if losses == {"mse"} else "unlearned"


def _ipc(per_class: tuple[int, ...] | None, n: int, info: DatasetInfo) -> int | None:
    """The ipc that gives these classes, or n images where soft labels say no classes; None: there is none."""
    if per_class is not None:
        ipc = max(per_class)
        return ipc if Budget(ipc=ipc).resolve(info.counts) == per_class else None
    present = sum(1 for count in info.counts if count)
    sizes = ((ipc, sum(Budget(ipc=ipc).resolve(info.counts))) for ipc in range(max(1, n // present), n + 1))
    return next((ipc for ipc, size in sizes if size == n), None)


def column_of(understood: Understood, info: DatasetInfo) -> Budget:
    """The budget under which a set is shown: its ipc, else the smallest fraction that allows as many images."""
    if understood.ipc is not None:
        return Budget(ipc=understood.ipc)
    wanted = understood.n
    for images in range(wanted, 2 * wanted + info.classes + 1):
        budget = Budget(fraction=min(1.0, round(images / info.n_train, 9)))
        if sum(budget.resolve(info.counts)) >= wanted:
            return budget
    raise DataError(f"a set of {wanted} images is larger than the training set of {info.name} ({info.n_train})")
