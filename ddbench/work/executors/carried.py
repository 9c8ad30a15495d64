"""Files that cross with a node to and from machines that share no folder with the run that wants it. No torch.

A name says where a file lies: ``out/…`` below the results folder, ``home/…`` below ``DDBENCH_HOME``, ``plugins/…``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, EvaluationDocument
from ddbench.core.errors import CorruptFileError
from ddbench.core.keys import short
from ddbench.core.plugin import one_file
from ddbench.core.store import artifacts
from ddbench.core.store.artifacts import MANIFEST
from ddbench.core.store.files import atomic_file, home, sha256_file
from ddbench.core.store.folder import CONDENSE, SET, SPEC, Store, evaluation_path
from ddbench.data.prepared.on_disk import data_root
from ddbench.work.continuation import FINAL, shorter

PIECE = 1 << 25
"""Bytes of a large file that cross together."""
OURS: Mapping[str, tuple[str, ...]] = {
    "out": (".claims", ".jobs", ".lost", ".removed"),
    "home": ("compiled", "data", "rates"),
    "home/artifacts": (".claims", ".removed"),
}
"""What a machine has for itself, and sends to nobody."""
Pieces: TypeAlias = list[Any]
"""A file's bytes in order; what stands for bytes elsewhere may stand for them."""


@dataclass(frozen=True, slots=True)
class Given:
    """A file that a node may read.

    Attributes:
        name: Its name.
        path: Where it lies here.
        fixed: Whether it never changes, so that a machine that has it keeps it: data and artifacts; else the node may
            replace or remove it, and that is taken over.
    """

    name: str
    path: Path
    fixed: bool = False


def given(document: Document, store: Store, plugins: Iterable[Path]) -> Iterator[Given]:
    """The files of a node: those that it reads, and what an earlier attempt left.

    Args:
        document: The node's.
        store: Where its results go.
        plugins: One-file plugins.
    """
    seen: set[Path] = set()
    for fixed, paths in ((True, _fixed(document)), (False, _inputs(document, store)), (False, _own(document, store))):
        for path in paths:
            if path not in seen and path.is_file() and path.suffix != ".tmp":
                seen.add(path)
                yield Given(name_of(path, store.out), path, fixed)
    for number, plugin in enumerate(one_file.read_all(plugins)):
        for text in plugin.modules.values():
            with contextlib.suppress(ValueError):  # of another plugin, which brings it
                yield Given(f"plugins/{number}/{text.path.relative_to(plugin.path.parent)}", text.path)


def name_of(path: Path, out: Path) -> str:
    """The name of a file of the results folder, or of the home."""
    for word, root in (("out", out), ("home", home())):
        if path.is_relative_to(root):
            return f"{word}/{path.relative_to(root).as_posix()}"
    raise ValueError(f"{path} lies in no folder of a run")


def path_of(name: str, out: Path) -> Path:
    """Where a file of a name lies here.

    Raises:
        CorruptFileError: If it would lie outside.
    """
    word, _, rest = name.partition("/")
    root = {"out": out, "home": home()}.get(word)
    if root is None or not rest or ".." in Path(rest).parts or Path(rest).is_absolute():
        raise CorruptFileError(f"a worker sent a file named {name!r}")
    return root / rest


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _fixed(document: Document) -> Iterator[Path]:
    """Data and artifacts."""
    data = document.artifact.data if isinstance(document, ArtifactDocument) else document.cell.data
    yield from _below(data_root(data.name) / data.revision)
    used = [*document.artifacts.values()]
    if isinstance(document, EvaluationDocument):
        used += [place for name, place in document.set.artifacts.items() if name == "whitening"]
    elif isinstance(document, CellDocument):
        used += [place for start in _starts(document) for place in start.artifacts.values()]
    for kind, key in used:
        yield from _below(artifacts.folder_of(kind, key))


def _starts(document: CellDocument) -> Iterator[CellDocument]:
    found = document.initial
    while found is not None:
        yield found
        found = found.initial


def _inputs(document: Document, store: Store) -> Iterator[Path]:
    """Sets and records of other nodes."""
    sets: list[CellDocument] = []
    match document:
        case CellDocument():
            sets += _starts(document)
            if "iterations" in document.cell.params:  # what a longer run may go on from
                for _, _, folder in shorter(store.folder(document), document):
                    yield from (folder / SPEC, folder / CONDENSE, folder / FINAL, *_below(folder / "snapshots"))
        case EvaluationDocument():
            sets += [document.set, *([] if document.recipe is None else [document.recipe])]
            if (choice := document.choice) is not None:
                yield evaluation_path(store.folder(choice.set), choice.key)
    for one in sets:
        yield from (store.folder(one) / SET, store.folder(one) / CONDENSE)


def _own(document: Document, store: Store) -> Iterator[Path]:
    """What earlier attempts left."""
    match document:
        case ArtifactDocument(artifact=spec):
            yield from _below(artifacts.partial_folder(spec.kind, document.key))
        case CellDocument():
            folder = store.folder(document)
            yield from (path for path in _below(folder) if path.relative_to(folder).parts[0] != "eval")
        case EvaluationDocument():
            yield from sorted((store.folder(document.set) / "eval").glob(f"{short(document.key)}.*"))


def found(roots: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """The files that a node left, records and manifests last; links, and what a machine has for itself, are not told.

    Args:
        roots: ``out`` and ``home``.
    """
    names = []
    for word, root in roots.items():
        for folder, below, files in os.walk(root):
            place = "/".join((word, *Path(folder).relative_to(root).parts))
            below[:] = [name for name in below if name not in OURS.get(place, ())]
            for file in files:
                path = Path(folder, file)
                if not path.is_symlink() and path.suffix != ".tmp":
                    names.append((f"{word}/{path.relative_to(root).as_posix()}", path))
    return iter(sorted(names, key=lambda one: (is_told_last(one[0]), one[0])))


def is_told_last(name: str) -> bool:
    """Whether a file says that others are whole."""
    return name.endswith((f"/{CONDENSE}", f"/{MANIFEST}")) or ("/eval/" in name and name.endswith(".json"))


def write(path: Path, pieces: Iterable[bytes], sha256: str) -> None:
    """Put a file in its place, whole or not at all.

    Raises:
        CorruptFileError: If what came is not what was sent.
        StoreError: If it cannot be written.
    """

    def put(temporary: Path) -> None:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        if sha256_file(temporary) != sha256:
            raise CorruptFileError(f"{path}: arrived damaged")

    atomic_file(path, put)


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def check_inputs(document: Document, store: Store) -> None:
    """Set aside what a node reads and what is damaged here, as the node itself would: then it is made again."""
    with contextlib.suppress(CorruptFileError):
        for place in document.artifacts.values():
            artifacts.verify(*place)
    if isinstance(document, EvaluationDocument):
        with contextlib.suppress(CorruptFileError):
            store.load_set(store.folder(document.set), framework="numpy")
