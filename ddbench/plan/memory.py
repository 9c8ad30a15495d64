"""How much memory a node will need [MB]: the largest peak in records of its kind, else that of its data. No torch.

What is larger than all memory of this machine is refused where nodes run on it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from ddbench.core.documents import ArtifactDocument, CellDocument, Document, Recorded
from ddbench.core.errors import UsageError
from ddbench.core.memory import available_mb, in_words, total_mb
from ddbench.core.profiles import for_tests_only
from ddbench.core.records import Record
from ddbench.core.specs import Budget, DatasetInfo
from ddbench.data.dataset import Data
from ddbench.data.prepared.room import memory_mb
from ddbench.data.space.ids import ZCA
from ddbench.data.space.params import fitting_mb, is_thin
from ddbench.plan.graph import Plan

WHITENING = "zca"
"""Kind of the artifacts whose fitting is forecast."""


@dataclass(slots=True)
class Peaks:
    """Peaks seen so far.

    Attributes:
        data: Name of a data set → its training images in a process [MB].
        whitening: Name of a data set → what fitting its whitening takes beside them [MB].
        seen: What must agree for nodes to need as much, but for the budget → budget → the largest peaks, on the host
            and on a GPU [MB].
    """

    data: Mapping[str, float] = field(default_factory=dict)
    whitening: Mapping[str, float] = field(default_factory=dict)
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
        more = 0.0
        if isinstance(document, ArtifactDocument):
            name, (host, device) = document.artifact.data.name, (0.0, 0.0)
            more = self.whitening.get(name, 0.0) if document.artifact.kind == WHITENING else 0.0
        else:
            name, (host, device) = document.cell.data.name, self._seen(document)
        images = self.data.get(name, 0.0) + more
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
    """What must agree for nodes to need as much, but for the budget."""
    if isinstance(document, CellDocument):
        return document.cell.method, document.cell.data.name, document.cell.arch
    other = "" if document.facts.protocol is None else document.eval.protocol
    return document.cell.data.name, document.eval.arch, other, document.whole


def in_memory(data: Iterable[Data]) -> dict[str, float]:
    """Name → megabytes of a data set's training images in a process that has them open; of several the largest."""
    found: dict[str, float] = {}
    for each in data:
        found[each.spec.name] = max(found.get(each.spec.name, 0.0), _images_mb(each.info))
    return found


def whitenings(data: Iterable[Data]) -> dict[str, float]:
    """Name of a whitened data set → megabytes that fitting its largest whitening takes beside the images."""
    found: dict[str, float] = {}
    for each in data:
        if each.spec.preprocess in ZCA:
            found[each.spec.name] = max(found.get(each.spec.name, 0.0), _fitting_mb(each.info))
    return found


def _images_mb(info: DatasetInfo) -> float:
    return memory_mb(info.n_train + info.n_val, info.image_bytes)


def _fitting_mb(info: DatasetInfo) -> float:
    return fitting_mb(info.n_train, info.image_bytes)


def refuse_too_large(plan: Plan) -> None:
    """Refuse a plan whose pending nodes need images, or a whitening, that are larger than all memory of this machine.

    Raises:
        UsageError: If there are such; it says what would fit.
    """
    if (total := total_mb()) is None:
        return
    for data in _needed(plan, None):
        if (need := _images_mb(data.info)) > total:
            raise UsageError(
                f"{data.label}: its training images take {in_words(need)} of memory, and this machine has"
                f" {in_words(total)}: prepare smaller ones (--resize), or use fewer (view: {{train_size: …}})"
            )
    for data in _needed(plan, WHITENING):
        if (need := _fitting_mb(data.info)) > total:
            raise UsageError(
                f"{data.label}: ZCA whitening of {_shape(data.info)} pixels on {data.info.n_train:,} images takes"
                f" {in_words(need)} of memory, and this machine has {in_words(total)}: use --preprocess meanstd, or"
                f" smaller images (--resize, view: {{pool: 2}}), or fewer of them ({_fewer(data.info, total)})"
            )


def _needed(plan: Plan, kind: str | None) -> list[Data]:
    """The data sets that pending nodes read; with a kind, those that artifacts of it are made from."""
    specs = []
    for node in plan.pending():
        document = node.document
        if isinstance(document, ArtifactDocument):
            specs += [document.artifact.data] if kind in (None, document.artifact.kind) else []
        elif kind is None:
            specs.append(document.cell.data)
    wanted = {(spec.name, spec.revision, str(spec.view)) for spec in specs}
    found = {(d.spec.name, d.spec.revision, str(d.spec.view)): d for d in plan.grid.data}
    return [data for place, data in found.items() if place in wanted]


def _shape(info: DatasetInfo) -> str:
    return f"{info.channels}×{info.size}×{info.size}"


def _fewer(info: DatasetInfo, total: float) -> str:
    """Up to how many images a thin whitening would fit."""
    most = next((n for n in range(info.n_train, 0, -max(1, info.n_train // 100)) if _thin_fits(n, info, total)), 0)
    return f"view: {{train_size: {most}}}" if most else "none fits"


def _thin_fits(count: int, info: DatasetInfo, total: float) -> bool:
    return is_thin(count, info.image_bytes) and fitting_mb(count, info.image_bytes) < total


def forecast_text(plan: Plan) -> str:
    """What the images of pending nodes take, and fitting their whitenings, for people; empty: nothing is pending."""
    parts = [f"{data.label} ({_shape(data.info)}) {in_words(_images_mb(data.info))}" for data in _needed(plan, None)]
    parts += [f"fitting zca of {d.label} {in_words(_fitting_mb(d.info))}" for d in _needed(plan, WHITENING)]
    free = available_mb()
    beside = "" if free is None else f"; {in_words(free)} are free"
    return f"memory of a process that holds all training images: {', '.join(parts)}{beside}" if parts else ""
