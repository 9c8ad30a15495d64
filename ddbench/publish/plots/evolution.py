"""How condensed images leave their start: snapshots of a results folder against X₀, in numbers.

Early segments of the experts' training are said to give blurred images, late ones fine detail. What shows it is where
in the spectrum the change X − X₀ lies. Symbols: X the images of a set [n, C, H, W] in the space that networks see.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from ddbench.core.api import CondensedSet
from ddbench.core.errors import UsageError
from ddbench.core.keys import canonical
from ddbench.core.records import Record
from ddbench.core.roles import RANDOM, ZERO_STEPS
from ddbench.core.specs import CellSpec
from ddbench.core.store.folder import SET, Store, lacks
from ddbench.core.store.tensors import load_set
from ddbench.data.space.split import open_splits
from ddbench.data.space.visible import PictureWarning
from ddbench.publish.looks import Drawn

NYQUIST = 0.5
"""Highest frequency along one axis [cycles per pixel]."""

WHITE_NOISE = 1 - torch.pi / 16
"""High-frequency share of white noise: of the unit square of frequencies, what lies outside a radius of 1/4."""

AGREES = 2e-3
"""Largest relative error at which a change agrees with the one that the method recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One set on its way from X₀.

    Attributes:
        label: Its row.
        r: Repetition.
        record: Of its condensation.
        start: X₀ as a set.
        origin: What X₀ is, in words.
        steps: Steps → the set after them, ascending.
    """

    label: str
    r: int
    record: Record
    start: CondensedSet
    origin: str
    steps: Mapping[int, CondensedSet]

    @property
    def drawn(self) -> Drawn:
        """Its row, as one that is drawn."""
        return Drawn(self.label, self.record.document.cell.method, "distillation", self.record.document.role)


@dataclass(frozen=True, slots=True)
class Curve:
    """A number of each snapshot, over the repetitions that have it.

    Attributes:
        steps: Steps, ascending.
        means: Mean over repetitions.
        sds: Standard deviation; 0 for a single repetition.
        counts: Repetitions.
    """

    steps: tuple[int, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    counts: tuple[int, ...]


def high_frequency_share(images: Tensor) -> float | None:
    """Share of the spectral energy above half the Nyquist frequency, in [0, 1]; None when there is no energy.

    Energy is the squared modulus of each channel's 2-D Fourier transform, summed over images and channels; the distance
    of a frequency from 0 is √(fy² + fx²), and half the Nyquist frequency is 1/4 cycle per pixel. White noise has 0.80.

    Args:
        images: [n, C, H, W].
    """
    energy = torch.fft.fft2(images.to(torch.float64)).abs().square().sum((0, 1))
    if not float(energy.sum()) > 0:
        return None
    fy, fx = (torch.fft.fftfreq(side, dtype=torch.float64) for side in images.shape[-2:])
    radius = (fy[:, None].square() + fx[None, :].square()).sqrt()
    return float(energy[radius > NYQUIST / 2].sum() / energy.sum())


def relative_change(images: Tensor, start: Tensor) -> float:
    """‖X − X₀‖ / ‖X₀‖ over all images."""
    return float((images - start).norm() / start.norm())


def change_curve(tracks: Sequence[Track]) -> Curve:
    """‖X − X₀‖ / ‖X₀‖ by steps, 0 at the start."""
    values: dict[int, list[float]] = {0: [0.0] * len(tracks)}
    for track in tracks:
        for step, condensed in track.steps.items():
            if step:
                values.setdefault(step, []).append(relative_change(images_of(condensed), images_of(track.start)))
    return _curve(values)


def share_curve(tracks: Sequence[Track]) -> Curve:
    """High-frequency share of X − X₀ by steps, over the repetitions whose images have moved."""
    values: dict[int, list[float]] = {}
    for track in tracks:
        for step, condensed in track.steps.items():
            share = high_frequency_share(images_of(condensed) - images_of(track.start))
            if share is not None:
                values.setdefault(step, []).append(share)
    return _curve(values)


def tracks_of(
    store: Store, *, ipc: int | None = None, datasets: Iterable[str] = (), methods: Iterable[str] = ()
) -> list[Track]:
    """The sets of one data set, architecture and budget that left snapshots, with their starts.

    Rows are ordered by where on the experts' way they matched, as far as they say; repetitions ascend.

    Args:
        store: The results folder.
        ipc: The budget; None: the smallest there is.
        datasets: Names of data sets; none: all.
        methods: Methods or labels of rows; none: all.

    Raises:
        UsageError: If there are no such sets, sets of several data sets or architectures, or a start is unknown.
        CorruptFileError: If a set or snapshot is damaged.
    """
    known = [(path.parent, r) for path, r in store.records() if r.kind == "condense" and r.status == "ok"]
    made = [(folder, r) for folder, r in known if r.document.reported]
    moving = [(folder, r) for folder, r in _wanted(made, set(datasets), set(methods)) if _snapshots(folder)]
    budgets = sorted({b for _, r in moving if (b := r.document.cell.budget.ipc) is not None})
    chosen = budgets[0] if ipc is None and budgets else ipc
    moving = [(folder, record) for folder, record in moving if record.document.cell.budget.ipc == chosen]
    if not moving:
        there = f"; there are ipc {', '.join(map(str, budgets))}" if budgets else ""
        raise UsageError(f"nothing to plot: {lacks(store.out, f'sets with snapshots of that kind{there}')}")
    places = sorted({_place(record) for _, record in moving})
    if len(places) > 1:
        raise UsageError(f"one picture shows one data set and architecture; here are {' and '.join(places)}: "
                         "choose with --datasets")  # fmt: skip
    starts = _Starts([(folder, record) for folder, record in made if (folder / SET).is_file()], store)
    tracks = _tracks(moving, starts)
    return sorted(tracks, key=lambda t: (t.record.metrics.get("window_first_top1", -1.0), t.label, t.r))


def images_of(condensed: CondensedSet) -> Tensor:
    """The images of a set that holds some."""
    assert condensed.images is not None
    return condensed.images


# -------------------------------------------------------------------------------------------------------------- parts


Made = Sequence[tuple[Path, Record]]
"""Sets: the folder and the record of each."""


def _wanted(made: Made, datasets: Set[str], methods: Set[str]) -> Made:
    """Those of some data sets, and of some methods or rows; an empty choice is all."""
    return [
        (folder, record)
        for folder, record in made
        if (not datasets or record.document.cell.data.name in datasets)
        and (not methods or {record.document.label, record.document.cell.method} & methods)
    ]


def _snapshots(folder: Path) -> list[Path]:
    return sorted((folder / "snapshots").glob("*.safetensors"))


def _tracks(moving: Made, starts: _Starts) -> list[Track]:
    """Those whose start is known; the others are warned of.

    Raises:
        UsageError: If none is known.
    """
    tracks: list[Track] = []
    unknown: list[UsageError] = []
    for folder, record in moving:
        try:
            tracks.append(_track(folder, record, starts))
        except UsageError as error:
            unknown.append(error)
    if unknown and not tracks:
        raise unknown[0]
    for reason in unknown:
        warnings.warn(f"left out: {reason}", PictureWarning, stacklevel=3)
    return tracks


def _place(record: Record) -> str:
    data = record.document.cell.data
    return f"{data.name} {canonical(data.view)} {data.preprocess} {record.document.cell.arch}"


def _track(folder: Path, record: Record, starts: _Starts) -> Track:
    steps = {int(path.stem): load_set(path) for path in _snapshots(folder)}
    start, origin = (steps[0], "the set after 0 steps") if 0 in steps else starts.of(record)
    label = record.document.label
    if images_of(start).shape != images_of(steps[max(steps)]).shape:
        raise UsageError(f"{label} r{record.document.cell.r}: {origin} are not as many as its images: X₀ is unknown")
    _check(record, start, origin, steps)
    return Track(label, record.document.cell.r, record, start, origin, steps)


def _check(record: Record, start: CondensedSet, origin: str, steps: Mapping[int, CondensedSet]) -> None:
    """Compare with what the method itself said: it knew its start."""
    said, last = record.metrics.get("image_change"), steps[max(steps)]
    if said is None or "codes" in last.aux or record.cost.steps != max(steps):
        return
    ours = relative_change(images_of(last), images_of(start))
    if abs(ours - said) > AGREES * max(1.0, said):
        raise UsageError(
            f"{record.document.label} r{record.document.cell.r}: X₀ is not {origin}: its record says "
            f"‖X − X₀‖ / ‖X₀‖ = {said:.3f}, this start gives {ours:.3f}"
        )


class _Starts:
    """Finds X₀: of the row without steps, or the images of ``random`` at the same repetition.

    Args:
        made: All sets there are.
        store: Where they are.
    """

    def __init__(self, made: Made, store: Store) -> None:
        self._store = store
        self._starts: dict[tuple[str, ...], tuple[Path, str]] = {}
        self._random: dict[tuple[str, ...], Path] = {}
        for folder, record in made:
            role, cell = record.document.role, record.document.cell
            for of in role.of if role.kind == "start" else ():
                self._starts[*self._name(cell), cell.arch, of] = folder, record.document.label
            if role.kind == "reference" and cell.method == RANDOM:
                self._random[self._name(cell)] = folder  # it depends on no architecture

    def of(self, record: Record) -> tuple[CondensedSet, str]:
        """X₀ of a set, and what it is.

        Raises:
            UsageError: If it cannot be found.
        """
        label, cell = record.document.label, record.document.cell
        start = self._starts.get((*self._name(cell), cell.arch, label))
        if start is not None:
            return self._store.load_set(start[0], keep=True)[0], f"the images of {start[1]}"
        random = self._random.get(self._name(cell))
        if random is None or cell.params.get("init") != "real":
            raise UsageError(
                f"{label} r{cell.r}: X₀ is unknown: no snapshot after 0 steps, no row {label}{ZERO_STEPS}, "
                "not init real with random's set of the same repetition (run the suite with --controls)"
            )
        condensed = self._store.load_set(random, keep=True)[0]
        return self._with_images(condensed, record), "random's images"

    @staticmethod
    def _name(cell: CellSpec) -> tuple[str, ...]:
        return canonical(cell.data.model_dump(mode="json")), cell.budget.slug, str(cell.master), str(cell.r)

    @staticmethod
    def _with_images(condensed: CondensedSet, record: Record) -> CondensedSet:
        """Real images in the space of the set that began with them."""
        from dataclasses import replace

        from ddbench.core.store.artifacts import folder_of

        if condensed.images is not None or condensed.indices is None:
            return condensed
        named, data = record.document.artifacts.get("whitening"), record.document.cell.data
        train = open_splits(data, device="cpu", whitening=None if named is None else folder_of(*named))[0]
        return replace(condensed, images=train.images(condensed.indices), indices=None)


def _curve(values: Mapping[int, Sequence[float]]) -> Curve:
    steps = tuple(sorted(values))
    return Curve(
        steps,
        tuple(fmean(values[k]) for k in steps),
        tuple(stdev(values[k]) if len(values[k]) > 1 else 0.0 for k in steps),
        tuple(len(values[k]) for k in steps),
    )
