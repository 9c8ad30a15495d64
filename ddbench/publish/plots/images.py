"""The early-versus-late picture: condensed images and their changes, by row and by iteration, with two curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ddbench.core.errors import UsageError
from ddbench.core.words import plural
from ddbench.data.space.visible import Floats, visible_pixels
from ddbench.publish.looks import GREY, Drawn, Look, looks
from ddbench.publish.pictures import slots
from ddbench.publish.plots.accuracy import STYLE
from ddbench.publish.plots.evolution import (
    WHITE_NOISE,
    Curve,
    Track,
    change_curve,
    high_frequency_share,
    images_of,
    share_curve,
)

WIDTH, LABELS, PAD = 9.2, 1.5, 0.05
"""Of the picture, of the rows' labels, between strips [inches]."""

PERCENTILE = 99.5
"""Of |X − X₀| over a row: what is drawn in the strongest colour."""


def rows_of(tracks: Sequence[Track]) -> dict[str, list[Track]]:
    """Label → its repetitions, in the order of the tracks."""
    rows: dict[str, list[Track]] = {}
    for track in tracks:
        rows.setdefault(track.label, []).append(track)
    return rows


def classes_shown(tracks: Sequence[Track], wanted: Sequence[int] = (), count: int = 3) -> list[int]:
    """The classes in each cell: those asked for, or ``count`` spread over all.

    Raises:
        UsageError: If the sets have no images of a class.
    """
    there = sorted(set(slots(tracks[0].start).tolist()))
    if missing := sorted(set(wanted) - set(there)):
        raise UsageError(f"no images of class {', '.join(map(str, missing))}; there are {there[0]} to {there[-1]}")
    spread = [there[round(i * (len(there) - 1) / max(1, count - 1))] for i in range(min(count, len(there)))]
    return list(wanted) or sorted(set(spread))


def images_plot(
    tracks: Sequence[Track], *, repetition: int = 0, classes: Sequence[int] = (), beside: Sequence[Drawn] = ()
) -> Figure:
    """Two strips a row, X and X − X₀, a column per snapshot; beneath, how far and at which frequencies images moved.

    Args:
        tracks: Sets of one data set and budget (:func:`ddbench.publish.plots.evolution.tracks_of`).
        repetition: Whose images are shown; the curves are over all.
        classes: One image of each is shown; none: three, spread over all.
        beside: Rows that other pictures of these results show, so that a row looks the same in all of them.

    Raises:
        UsageError: If no row has that repetition, or the sets have no images of a class.
    """
    rows = rows_of(tracks)
    shown = {label: track for label, members in rows.items() for track in members if track.r == repetition}
    if not shown:
        known = ", ".join(map(str, sorted({track.r for track in tracks})))
        raise UsageError(f"no sets of repetition {repetition}; there are {known}")
    chosen = classes_shown(tracks, classes)
    with matplotlib.rc_context(STYLE):
        columns, (high, wide) = 1 + max(len(t.steps) for t in tracks), images_of(tracks[0].start).shape[-2:]
        strip = (WIDTH - LABELS) / columns * high / (wide * len(chosen)) + PAD  # the height that leaves no gaps
        images, curves = 2 * len(shown) * strip + 0.5, 3.0
        layout = ConstrainedLayoutEngine(hspace=0.0, wspace=0.0, h_pad=PAD / 2, w_pad=PAD / 2)
        figure = Figure(figsize=(WIDTH, images + curves), layout=layout)
        halves: Any = figure.subfigures(2, 1, height_ratios=[images, curves])
        above, beneath = halves
        _strips(above, shown, chosen)
        _curves(beneath, rows, looks([*beside, *(track.drawn for track in tracks)]))
        figure.suptitle(_title(next(iter(shown.values())), repetition), fontsize=9)
        return figure


def numbers(tracks: Sequence[Track]) -> list[str]:
    """A line per row: how far its images moved, and the high-frequency share of X − X₀ after the last step."""
    lines = []
    for label, members in rows_of(tracks).items():
        change, share = change_curve(members), share_curve(members)
        text = f"{label}: after {change.steps[-1]} steps ‖X − X₀‖ / ‖X₀‖ {_last(change, 2)}"
        lines.append(
            text + (f", high-frequency share of X − X₀ {_last(share, 3)}" if share.steps else ", nothing moved")
        )
    return lines


def _last(curve: Curve, digits: int) -> str:
    return f"{curve.means[-1]:.{digits}f} ± {curve.sds[-1]:.{digits}f} (n = {curve.counts[-1]})"


def _title(track: Track, repetition: int) -> str:
    cell = track.record.document.cell
    where = f"{cell.data.name} · {cell.data.preprocess} · {cell.arch} · ipc {cell.budget.ipc}"
    return f"{where} · images of repetition {repetition}, clipped to pixels · X₀: {track.origin}"


# -------------------------------------------------------------------------------------------------------------- strips


def _strips(figure: Any, shown: Mapping[str, Track], classes: Sequence[int]) -> None:
    steps = sorted({step for track in shown.values() for step in track.steps if step})
    axes = figure.subplots(2 * len(shown), 1 + len(steps), squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        for spine in axis.spines.values():
            spine.set_visible(False)
    for column, title in enumerate(["X₀", *(plural(step, "step") for step in steps)]):
        axes[0, column].set_title(title)
    for i, (label, track) in enumerate(shown.items()):
        mine = _first(track, classes)
        start = visible_pixels(track.start, track.record)[mine]
        _show(axes[2 * i, 0], start)
        changes = {
            k: (images_of(s) - images_of(track.start))[mine].mean(1).numpy() for k, s in track.steps.items() if k
        }
        scale = float(np.percentile(np.abs(np.stack(list(changes.values()))), PERCENTILE)) or 1.0
        for column, step in enumerate(steps, 1):
            if step in changes:
                _show(axes[2 * i, column], visible_pixels(track.steps[step], track.record)[mine])
                _show_change(axes[2 * i + 1, column], changes[step], scale)
        refused = track.record.metrics.get("skipped_percent")
        note = "" if refused is None else f"\n{refused:.3g} % of steps refused"
        axes[2 * i, 0].set_ylabel(f"{label}{note}", rotation=0, ha="right", va="center", fontsize=8.5)
        text = f"X − X₀,\nred +{scale:.2g}, blue −{scale:.2g}"
        axes[2 * i + 1, 0].text(
            1, 0.5, text, ha="right", va="center", fontsize=8, transform=axes[2 * i + 1, 0].transAxes
        )


def _first(track: Track, classes: Sequence[int]) -> list[int]:
    """The position of the first image of each class."""
    found = slots(track.start).tolist()
    return [found.index(c) for c in classes]


def _show(axis: Any, images: Floats) -> None:
    """Images [n, C, H, W] in [0, 1] side by side."""
    strip = np.concatenate(list(_apart(images, 1.0)), axis=1)
    grey = strip.shape[-1] != 3
    axis.imshow(strip.mean(-1) if grey else strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _show_change(axis: Any, change: Floats, scale: float) -> None:
    """Changes [n, H, W] side by side: blue less, white none, red more."""
    strip = np.concatenate(list(_apart(change[:, None], 0.0)), axis=1)[..., 0]
    axis.imshow(strip, cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="nearest")


def _apart(images: Floats, fill: float) -> list[Any]:
    """[H, W + 1, C] each, with a column between neighbours."""
    arrays = images.transpose(0, 2, 3, 1)
    return [np.pad(a, ((0, 0), (0, 1), (0, 0)), constant_values=fill) for a in arrays[:-1]] + [arrays[-1]]


# -------------------------------------------------------------------------------------------------------------- curves


def _curves(figure: Any, rows: Mapping[str, Sequence[Track]], style: Mapping[str, Look]) -> None:
    change, share = figure.subplots(1, 2)
    for label, members in rows.items():
        _curve(change, change_curve(members), label, style[label])
        _curve(share, share_curve(members), label, style[label])
    starts = [high_frequency_share(images_of(track.start)) for members in rows.values() for track in members]
    known = [value for value in starts if value is not None]
    if known:
        share.axhline(float(np.mean(known)), color=GREY[0], linestyle="--", linewidth=1.2, label="X₀ itself")
    share.axhline(WHITE_NOISE, color=GREY[0], linestyle=":", linewidth=1.2, label="white noise")
    change.set(xlabel="iterations", ylabel="‖X − X₀‖ / ‖X₀‖", ylim=(0, None), title="how far the images moved")
    share.set(xlabel="iterations", ylabel="share of energy", ylim=(0, 1), xlim=change.get_xlim())
    share.set_title("energy of X − X₀ above half the Nyquist frequency")
    handles, labels = share.get_legend_handles_labels()
    title = f"mean and sd (shaded) over {plural(max(map(len, rows.values())), 'repetition')}"
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, title=title, title_fontsize=8.5)


def _curve(axis: Any, curve: Curve, label: str, look: Look) -> None:
    means, sds = np.array(curve.means), np.array(curve.sds)
    axis.plot(curve.steps, means, label=label, **look.style)
    axis.fill_between(curve.steps, np.maximum(means - sds, 0), means + sds, color=look.ink, alpha=0.18, linewidth=0)
