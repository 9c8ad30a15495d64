"""What a node needs around it: the home, its data set, its artifacts. That one vanished is no result of a method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddbench.core.documents import ArtifactDocument, Document, EvaluationDocument
from ddbench.core.errors import StoreError
from ddbench.core.store import artifacts
from ddbench.core.store.files import home
from ddbench.data.prepared.on_disk import ARRAYS, META, data_root


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Files and folders, by what they are; their places are those of the beginning of a node.

    Attributes:
        places: What it is → where it must be, as long as the node runs.
    """

    places: tuple[tuple[str, Path], ...]

    @classmethod
    def of(cls, document: Document) -> Surroundings:
        """Those of a node."""
        root = home().absolute()
        data = document.artifact.data if isinstance(document, ArtifactDocument) else document.cell.data
        folder = data_root(data.name).absolute() / data.revision
        used = dict(document.artifacts)
        if isinstance(document, EvaluationDocument):
            used |= {f"{name} of its set": place for name, place in document.set.artifacts.items()}
        found = [("the home", root)]
        found += [(f"data set {data.name}", folder / name) for name in (META, *(f"{name}.npy" for name in ARRAYS))]
        for name, (kind, key) in used.items():
            place = artifacts.folder_of(kind, key).absolute()
            if place.exists():  # what is not there at the beginning is told, and made again
                found.append((f"artifact {name} ({kind})", place / artifacts.MANIFEST))
        return cls(tuple(found))

    def check(self) -> None:
        """Notice what is gone by now.

        Raises:
            StoreError: If something is.
        """
        for what, place in self.places:
            if not place.exists():
                raise StoreError(
                    f"{what} is gone while a node ran: {place} is not there; put it back (or let the same command "
                    "prepare it again) and run the same command again: nothing that finished is lost"
                )
