"""Pictures of every committed record file: nothing lies on anything else, and every point lies inside its frame."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from ddbench.core.errors import UsageError
from ddbench.core.store.jsonl import read_records
from ddbench.library.results import PLOTS, Results

RECORDS = Path(__file__).parents[3] / "leaderboards" / "records"
FILES = sorted(path.name for path in RECORDS.glob("*.jsonl") if ".pictures" not in path.name)
FREE = 2.0
"""What is free between a point and the frame at least, and what two boxes may share: a letter's antialiasing [pixels]."""


@pytest.fixture(scope="module", params=FILES)
def figures(request):
    """Kind of plot → its figure, laid out but not drawn; of what the file has results for."""
    results, found = Results(read_records(RECORDS / request.param)), {}
    tables = results.tables
    for kind in PLOTS:
        results.tables = tables[: 2 if kind == "ipc" else 1]  # more of them are more rows of panels
        for controls in {False, request.param == "cpu-digits.jsonl"}:
            try:
                figure = results.plot(kind, controls=controls).figure
            except UsageError as error:
                assert "nothing to plot" in str(error)
                continue
            FigureCanvasAgg(figure)
            figure.get_layout_engine().execute(figure)
            assert all(axis.get_tightbbox() for axis in figure.axes if axis.axison)  # labels follow their ticks
            found[f"{kind}{' with controls' if controls else ''}"] = figure
    assert found
    return found


def texts_of(axis):
    """Title, labels and tick labels of a panel that are seen."""
    texts = [axis.title, axis.xaxis.label, axis.yaxis.label]
    for one, (low, high) in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        texts += [tick.label1 for tick in one.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_text() and text.get_visible()]


def boxes_of(figure):
    """What → its box, of all that may not share a place."""
    found = {"legend": figure.legends[0].get_window_extent()}
    for i, axis in enumerate(figure.axes):
        if axis.axison:
            found[f"{i} frame"] = axis.get_window_extent()
            found |= {f"{i} {text.get_text()!r} {k}": text.get_window_extent() for k, text in enumerate(texts_of(axis))}
    return found


def test_legend_frames_titles_and_labels_share_no_place_and_leave_no_picture(figures):
    for kind, figure in figures.items():
        boxes = {name: box.padded(-FREE / 2) for name, box in boxes_of(figure).items()}
        clashes = [
            (one, other) for (one, a), (other, b) in combinations(boxes.items(), 2)
            if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
        ]  # fmt: skip
        outside = [name for name, box in boxes.items() if not contains(figure.bbox, box)]
        assert (kind, clashes, outside) == (kind, [], [])


def contains(outer: Bbox, inner: Bbox) -> bool:
    return outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0 and inner.y1 <= outer.y1


def test_every_point_that_is_drawn_lies_inside_its_frame_with_room(figures):
    for kind, figure in figures.items():
        for axis in figure.axes:
            frame = axis.get_window_extent().padded(-FREE)
            for line in axis.lines:
                if line.get_marker() in ("None", "", "_"):
                    continue
                places = line.get_transform().transform(line.get_xydata())
                marked = places if line.get_markevery() is None else places[line.get_markevery()]
                out = [tuple(xy) for xy in marked if not (np.isfinite(xy).all() and frame.contains(*xy))]
                assert (kind, axis.get_title(), line.get_label(), out) == (kind, axis.get_title(), line.get_label(), [])


def test_no_row_is_lost(figures):
    """Every row of a panel has its entry in the legend, and points that are cut off have an arrow and are named."""
    for figure in figures.values():
        told = {text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()}
        for axis in figure.axes:
            rows = [line for line in axis.lines if not line.get_label().startswith("_")]
            assert {line.get_label() for line in rows} <= told
            kept = [line for line in rows if line.get_markevery() is not None]
            cut = sum(len(line.get_xdata()) - len(line.get_markevery()) for line in kept)
            arrows = [line for line in axis.lines if line.get_label() == "_cut"]
            assert len(arrows) >= cut
            assert ("cut off" in axis.get_xlabel()) == bool(arrows)
