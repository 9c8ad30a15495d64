"""Looks: a row has one colour and one shape, on the page and in every picture, whatever a filter leaves."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.colors
import pytest

import ddbench.publish.page
from ddbench.cli import invoke
from ddbench.core.roles import Role
from ddbench.core.store.jsonl import write_records
from ddbench.publish.leaderboard import ordered
from ddbench.publish.looks import COLOURS, SHAPES, Drawn, looks
from ddbench.publish.page import page
from ddbench.publish.plots import accuracy
from tests.factories import cell, demo, keyed

PATHS = {
    "4.2": "o", "M-3.8-3.8": "s", "M0-5.4": "D", "M0-5 ": "^", "M0 5 ": "v", "M-1.6-5": "P"
}  # fmt: skip
"""How a shape begins that the page draws → matplotlib's marker of that shape."""


def results():
    start = {"label": "datm (0 steps)", "params": {"iterations": 0}}
    return ordered([
        *demo(), *cell("kmeans", [60.0, 61.0], ipc=1), *cell("kmeans", [70.0, 71.0], ipc=10),
        *cell("datm", [30.0, 31.0], ipc=1, **start), *cell("datm", [50.0, 51.0], ipc=10, **start),
        *cell("dm", [56.0, 57.0], ipc=1), *cell("dm", [66.0, 67.0], ipc=10),
    ])  # fmt: skip


class Curves(HTMLParser):
    """Row → number of its colour, whether it is hollow, and how its shape begins, as the page draws its series."""

    def __init__(self, text):
        super().__init__()
        self.found, self.row, self.inside = {}, "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        names = (attrs.get("class") or "").split()
        if tag == "g" and "series" in names:
            self.row = attrs["data-row"]
            self.found[self.row] = [names[1], "hollow" in names, ""]
        elif tag == "g" and "mark" in names:
            self.inside = True
        elif self.inside:
            self.found[self.row][2] = attrs.get("d") or attrs["r"]
            self.inside = False


def on_the_page(records):
    text = page(records, title="t", sources=["a.jsonl"])
    colours = dict(re.findall(r"--(s-?\d): light-dark\((#\w{6}), #\w{6}\)", text))
    classes = dict(re.findall(r"\.(s-?\d) \{ --s: var\(--(s-?\d)\); \}", text))
    return {
        row: (colours[classes[name]], hollow, next(mark for start, mark in PATHS.items() if shape.startswith(start)))
        for row, (name, hollow, shape) in Curves(text).found.items()
    }


def in_the_plot(figure):
    """Row → colour, whether it is hollow, marker, of the lines that a picture draws."""
    found = {}
    for axis in figure.axes:
        for line in axis.lines:
            if line.get_marker() not in ("None", "") and not str(line.get_label()).startswith("_"):
                colour = matplotlib.colors.to_hex(line.get_color())
                found[line.get_label()] = colour, line.get_markerfacecolor() == "white", line.get_marker()
    return found


@pytest.fixture
def drawn(tmp_path, fresh_home, monkeypatch):
    """Draws a plot by the command line; its figure."""
    monkeypatch.chdir(tmp_path)
    write_records(Path("a.jsonl"), keyed(results()))
    figures = []
    monkeypatch.setattr(accuracy, "encode", lambda figure, target: figures.append(figure) or b"")

    def draw(kind, *options):
        assert invoke(["plot", kind, "--records", "a.jsonl", "--to", "p.png", *options]) == 0
        return figures[-1]

    return draw


@pytest.mark.parametrize("kind", ["ipc", "cost"])
def test_a_row_has_one_colour_and_one_marker_on_the_page_and_in_the_picture(drawn, kind):
    page_ = on_the_page(results())
    assert {"random", "kmeans", "datm", "datm (0 steps)", "dm", "mtt"} == set(page_)
    assert in_the_plot(drawn(kind, "--controls")) == page_


def test_a_filter_changes_no_row_s_look(drawn):
    everything = in_the_plot(drawn("ipc"))
    assert in_the_plot(drawn("ipc", "--methods", "dm")) == {"dm": everything["dm"]}


def row(label, kind="distillation", role=None, method="dm"):
    return Drawn(label, method, kind, role or Role())


RANDOM = row("random", "selection", Role("reference"), "random")


def test_two_rows_never_look_the_same_and_a_start_shares_the_look_of_its_method_but_hollow():
    names = [row(f"method {i}") for i in range(20)]
    found = looks([RANDOM, row("its start", role=Role("start", ("method 3",))), *names])
    assert len(set(found.values())) == 22
    mine, start = found["method 3"], found["its start"]
    assert (mine.colour, mine.shape, mine.hollow, start.hollow) == (start.colour, start.shape, False, True)


def test_real_images_at_random_are_grey_and_take_no_colour_whatever_they_are_called():
    others = [row(kind, "selection", Role(kind, ("dm",)), "random") for kind in ("twin", "at_bytes")]
    found = looks([RANDOM, *others, row("dm"), row("random@bytes (for me)")])
    grey = {label for label, look in found.items() if look.colour < 0}
    assert grey == {"random", "twin", "at_bytes"}
    assert len({found[label].shape for label in grey}) == 3
    assert found["dm"] == looks([row("dm")])["dm"]


def test_the_page_has_a_style_for_every_colour_and_a_drawing_for_every_shape():
    folder = Path(ddbench.publish.page.__file__).parent
    style, template = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "template.html"))
    assert re.findall(r"\.s(-?\d+) \{", style) == [str(i) for i in range(-1, len(COLOURS))]
    named = re.findall(r'name == "(\w+)"', template)
    assert [*named, "cross"] == list(SHAPES)
