"""How much memory a node will need [MB]: the largest peak in records of its kind, else that of its data. No torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, Recorded
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.data.dataset import Data
from ddbench.plan.forecast import condensed, trained

BYTES = 5
"""Of a pixel in a process that has a data set open: as uint8, and in the space of networks as float32."""


@dataclass(slots=True)
class Peaks:
    """Peaks seen so far.

    Attributes:
        data: Name of a data set → its training images in a process [MB].
        seen: What must agree for nodes to need as much → the largest peaks, on the host and on a GPU [MB].
    """

    data: Mapping[str, float] = field(default_factory=dict)
    seen: dict[Hashable, tuple[float, float]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Learn from a record; what failed needed so much as well. Not from profile smoke: its batches are small."""
        if not for_tests_only(record.document.profile):
            kind = _kind(record.document)
            host, device = self.seen.get(kind, (0.0, 0.0))
            self.seen[kind] = max(host, record.cost.peak_mb), max(device, record.cost.device_mb or 0.0)

    def of(self, document: Document) -> tuple[float, float]:
        """Expected peaks of a node, on the host and on the GPU if it runs on one [MB]; 0: not known."""
        if isinstance(document, ArtifactDocument):
            name, (host, device) = document.artifact.data.name, (0.0, 0.0)
        else:
            name, (host, device) = document.cell.data.name, self.seen.get(_kind(document), (0.0, 0.0))
        images = self.data.get(name, 0.0)
        return host or images, device or images


def _kind(document: Recorded) -> Hashable:
    if isinstance(document, CellDocument):
        return condensed(document)
    return *trained(document), document.whole


def in_memory(data: Iterable[Data]) -> dict[str, float]:
    """Name → megabytes of a data set's training images in a process that has them open."""
    infos = {each.spec.name: each.info for each in data}
    return {name: BYTES * info.image_bytes * (info.n_train + info.n_val) / 2**20 for name, info in infos.items()}
