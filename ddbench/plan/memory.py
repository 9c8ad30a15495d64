"""How much memory a node will need [MB]: the largest peak in records of its kind, else that of its data. No torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, Recorded
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.specs import Budget
from ddbench.data.dataset import Data
from ddbench.plan.forecast import condensed, trained

BYTES = 5
"""Of a pixel in a process that has a data set open: as uint8, and in the space of networks as float32."""


@dataclass(slots=True)
class Peaks:
    """Peaks seen so far.

    Attributes:
        data: Name of a data set → its training images in a process [MB].
        seen: What must agree for nodes to need as much, but for the budget → budget → the largest peaks, on the host
            and on a GPU [MB].
    """

    data: Mapping[str, float] = field(default_factory=dict)
    seen: dict[Hashable, dict[Budget, tuple[float, float]]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Learn from a record; what failed needed so much as well. Not from profile smoke: its batches are small."""
        if not for_tests_only(record.document.profile):
            document, cost = record.document, record.cost
            peaks = self.seen.setdefault(_kind(document), {})
            host, device = peaks.get(document.cell.budget, (0.0, 0.0))
            peaks[document.cell.budget] = max(host, cost.peak_mb), max(device, cost.device_mb or 0.0)

    def of(self, document: Document) -> tuple[float, float]:
        """Expected peaks of a node, on the host and on the GPU if it runs on one [MB]; 0: not known."""
        if isinstance(document, ArtifactDocument):
            name, (host, device) = document.artifact.data.name, (0.0, 0.0)
        else:
            name, (host, device) = document.cell.data.name, self._seen(document)
        images = self.data.get(name, 0.0)
        return host or images, device or images

    def _seen(self, document: Recorded) -> tuple[float, float]:
        """The peaks of its kind at its budget; where that was not seen, as other budgets grow to it at most: like n."""
        peaks, budget = self.seen.get(_kind(document), {}), document.cell.budget
        if budget in peaks:
            return peaks[budget]
        grown = []
        for other, two in peaks.items():
            alike, n, known = budget.place[0] == other.place[0], budget.place[1], other.place[1]
            grown.append([peak * max(1.0, n / known if alike else 1.0) for peak in two])
        return min((host for host, _ in grown), default=0.0), min((device for _, device in grown), default=0.0)


def _kind(document: Recorded) -> Hashable:
    if isinstance(document, CellDocument):
        return condensed(document)
    return *trained(document), document.whole


def in_memory(data: Iterable[Data]) -> dict[str, float]:
    """Name → megabytes of a data set's training images in a process that has them open."""
    infos = {each.spec.name: each.info for each in data}
    return {name: BYTES * info.image_bytes * (info.n_train + info.n_val) / 2**20 for name, info in infos.items()}
