"""The page: what it shows is what the text tables show, escaped, complete in itself, and equal for equal records."""

import base64
import gzip
import hashlib
import io
import json
import math
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from ddbench.cli import invoke
from ddbench.core.errors import UsageError
from ddbench.core.keys import short
from ddbench.core.store.folder import CONDENSE, SET, Store, evaluation_path, write_record
from ddbench.core.store.jsonl import write_records
from ddbench.publish.leaderboard import fresh, ordered
from ddbench.publish.looks import Look, drawn, looks
from ddbench.publish.page import page
from ddbench.publish.page.curves import Series, Value, cost_chart, ipc_chart
from ddbench.publish.page.document import _series
from ddbench.publish.page.tiles import beside, pictures_of, read_pictures, write_pictures
from ddbench.publish.plots.series import cost_points
from ddbench.publish.text.render import render
from ddbench.publish.views.catalog import views_of
from ddbench.publish.views.main import main_view
from ddbench.results.scores.scores import cost_of
from ddbench.results.tables.tables import tables_of
from tests.factories import cell, decided, demo, imported, keyed, pair
from tests.page_fixtures import HOSTILE, pictures, png, records

MARKER = '<!-- ddbench:page title="Digits &amp; more" records=records/digits.jsonl -->'


class Elements(HTMLParser):
    """Tags with attributes, and the text of scripts, as an independent parser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self.tags and self.cdata_elem == "script":
            self.scripts[-1] += text
        else:
            self.texts.append(text)

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if attrs.get(name)]


def made(found=None, shown=(), title="A title"):
    found = ordered(records() if found is None else found)
    return page(found, title=title, sources=["a.jsonl"], pictures=shown)


def data_of(text):
    return json.loads(Elements(text).scripts[0])


# ------------------------------------------------------------------------------------------------------ escaping


def test_no_text_of_a_record_becomes_markup():
    parsed = Elements(made(title=HOSTILE))
    assert len(parsed.scripts) == 2
    assert not [tag for tag, attrs in parsed.tags if any(name.startswith("on") for name in attrs)]
    assert not [attrs for tag, attrs in parsed.tags if tag == "img"]
    assert HOSTILE in parsed.attributes("data-row")
    assert HOSTILE in parsed.texts  # the title
    assert "alert" not in parsed.scripts[1]


def test_the_one_script_that_may_run_is_the_one_in_the_page():
    parsed = Elements(made())
    (policy,) = [attrs["content"] for tag, attrs in parsed.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(parsed.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")


def test_everything_is_in_the_file():
    found = ordered(records())
    parsed = Elements(made(found, pictures(found)))
    for name in ("src", "href", "action", "srcset"):
        held = ("#", "data:image/png;base64,", "data:text/csv;base64,", "data:application/gzip;base64,")
        assert all(value.startswith(held) for value in parsed.attributes(name))
    assert not [tag for tag, _ in parsed.tags if tag in ("link", "iframe", "object", "base")]


def downloads(text):
    """File name → what it holds, or leads to."""
    links = [attributes for tag, attributes in Elements(text).tags if tag == "a" and "download" in attributes]
    return {link["download"] or link["href"]: link["href"] for link in links}


def test_tables_and_records_can_be_downloaded_from_a_page_of_a_folder(tmp_path):
    found = ordered(keyed(records()))
    held = {name: base64.b64decode(href.partition(",")[2]) for name, href in downloads(made(found)).items()}
    assert list(held) == ["tables.csv", "records.jsonl.gz"]
    assert held["tables.csv"].decode() == render(tables_of(found), "csv")
    (tmp_path / "a.jsonl").write_bytes(gzip.decompress(held["records.jsonl.gz"]))
    write_records(tmp_path / "b.jsonl", found)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


# ------------------------------------------------------------------------------------------ same as the text tables


def test_the_page_shows_every_text_of_the_main_tables_and_the_same_cells_are_bold():
    found = ordered([*demo(), *decided(ipc=20)])
    text = made(found)
    parsed = Elements(text)
    shown = {piece.strip() for piece in parsed.texts}
    bold = []
    for table in tables_of(found):
        for line in main_view(table).grid:
            bold += [piece.replace("**", "") for piece in line if "**" in piece]
            assert {piece.replace("**", "") for piece in line if piece} <= shown
    assert sorted(re.findall(r"<strong>(.*?)</strong>", text)) == sorted(bold)
    assert bold


def test_derived_tables_can_be_opened_with_every_text_of_them():
    found = ordered([*records(), *cell("dm", [50.0, 51.0, 52.0], protocol="native")])
    text = set(map(str.strip, Elements(made(found)).texts))
    tables = tables_of(found)
    for view in (
        view
        for name in ("scores", "cost", "regime", "ranks", "stability", "verdicts")
        for view in views_of(tables, [name])
    ):
        wanted = {each.strip() for line in view.grid for each in line if each} | {view.caption}
        assert wanted <= text, (view.name, wanted - text)
    assert "Labels and augmentation" in text
    assert "Labels and augmentation" not in set(map(str.strip, Elements(made()).texts)), "one protocol: nothing to open"


def test_the_panel_of_a_cell_lists_its_repetitions_with_their_keys():
    found = cell("dm", [50.0, 60.0, 70.0], params={"iterations": 5}, label="dm (iterations=5)")
    (panel,) = data_of(made(found))["cells"].values()
    rows = panel["tables"][0]["rows"]
    assert [row[2] for row in rows] == ["50.00", "60.00", "70.00"]
    evaluations = [record for record in found if record.kind == "evaluation"]
    assert [row[4] for row in rows] == [record.key[:16] for record in evaluations]
    facts = dict(panel["facts"])
    assert facts["mean over repetitions"] == "60.00 % ± 10.00 (sd)"
    half = 4.302652729911275 * 10 / math.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %
    assert facts["95 % interval of the mean"].startswith(f"{60 - half:.2f} – {60 + half:.2f} %")
    assert panel["set"] == ["iterations"]


def test_imported_rows_are_marked_wherever_the_page_names_them():
    text = made(imported())
    elements = Elements(text)
    named = [text for text in [*elements.texts, *elements.attributes("data-row")] if "theirs" in text]
    assert len(named) > 20
    assert not [text for text in named if re.search(r"theirs(?! \(imported\))", text)]
    titles = {panel["title"].partition(" · ")[0] for panel in data_of(text)["cells"].values()}
    assert titles == {"dm", "theirs (imported)"}


def test_failures_and_skips_are_listed_with_their_reason():
    text = Elements(made(demo())).texts
    assert any("loss is nan at step 17" in piece for piece in text)
    assert any("Without a full result (5)" in piece for piece in text)  # three skips, mtt at both budgets


def test_ids_are_unique_every_link_has_a_target_and_every_cell_a_panel():
    text = made()
    parsed = Elements(text)
    ids = parsed.attributes("id")
    assert len(ids) == len(set(ids))
    targets = {href[1:] for href in parsed.attributes("href") if not href.startswith("data:")}
    assert targets <= set(ids)
    assert set(data_of(text)["cells"]) == {name for name in ids if re.fullmatch("c[0-9a-f]{10}", name)}


def test_a_link_to_a_cell_outlives_new_rows_and_new_numbers():
    before = {panel["title"]: name for name, panel in data_of(made(cell("dm", [50.0, 51.0, 52.0])))["cells"].items()}
    more = [*cell("dm", [60.0, 61.0, 62.0, 63.0]), *cell("mtt", [40.0]), *cell("dm", [80.0], ipc=10)]
    after = {panel["title"]: name for name, panel in data_of(made(more))["cells"].items()}
    assert before.items() <= after.items()
    assert len(after) == 3


def test_tables_of_other_protocols_and_students_have_other_links():
    found = [*cell("dm", [50.0]), *cell("dm", [50.0], protocol="soft"), *cell("dm", [50.0], eval_arch="mlp-w128-nn")]
    assert len(data_of(made(found))["cells"]) == 3


# ---------------------------------------------------------------------------------------------------------- curves

LOOK = Look(0, "circle", False)


def value(x, y, low=None, high=None, front=True):
    return Value(x, y, low, high, "c0", "title", front)


def test_sizes_are_spaced_by_their_logarithm_and_higher_accuracies_lie_higher():
    chart = ipc_chart(
        [Series("a", LOOK, (value(1, 20), value(10, 30), value(100, 60)))], [(1, "1"), (10, "10")], [], "x"
    )
    xs, ys = zip(*[(mark.x, mark.y) for mark in chart.drawn[0].marks], strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.02)
    assert (ys[0] - ys[1]) * 3 == pytest.approx(ys[1] - ys[2], abs=0.05)
    assert ys[0] > ys[1] > ys[2]


def test_budgets_per_class_and_in_shares_have_one_axis_of_images():
    shares = cell("dm", [70.0, 71.0, 72.0], fraction=0.1, ipc=None)
    text = made([*cell("dm", [50.0, 51.0, 52.0], ipc=1), *cell("dm", [60.0, 61.0, 62.0], ipc=10), *shares])
    assert "Accuracy by size of the set" in text
    assert ">images</text>" in text
    assert [found for found in (">10</text>", ">100</text>", ">120</text>") if found not in text] == []


def test_bars_end_where_the_interval_ends_and_never_leave_the_scale_of_accuracies():
    chart = ipc_chart([Series("a", LOOK, (value(1, 50, 40, 60), value(10, 90, 70, 110)))], [], [(60.0, "full")], "x")
    first, second = chart.drawn[0].marks
    level = chart.levels[0][0]
    assert first.top == level
    assert second.top == min(y for y, _ in chart.y_ticks)
    assert {text: y for y, text in chart.y_ticks}["100"] == second.top


def test_one_size_alone_is_no_curve_and_one_point_no_cost_chart():
    assert ipc_chart([Series("a", LOOK, (value(10, 50),)), Series("b", LOOK, (value(10, 60),))], [], [], "x") is None
    assert cost_chart([Series("a", LOOK, (value(10, 50),))]) is None


def test_the_front_steps_through_its_points_and_through_no_other():
    small, large = value(1, 50), value(100, 60)
    chart = cost_chart([Series("a", LOOK, (small, large)), Series("b", LOOK, (value(0.01, 90, front=False),))])
    first, second = chart.drawn[0].marks
    assert chart.front.path.startswith(f"M{first.x} {first.y}H{second.x}V{second.y}H")
    assert cost_chart([Series("a", LOOK, (value(1, 50, front=False), value(2, 50, front=False)))]).front is None


def test_page_plot_and_view_share_one_front_without_the_twins_of_recipes():
    """Under the own recipe the twin is both cheapest and best, and a large budget is beaten by a small one."""
    slow = {"prepare_s": 0.0, "condense_s": 50.0, "bytes": {"images": 6400}}
    found = [
        *cell("random", [95.0] * 3, label="random (recipe of datm)", protocol="native", cost={"prepare_s": 0.0}),
        *cell("datm", [70.0] * 3, protocol="native", cost={"prepare_s": 0.0, "condense_s": 5.0}),
        *cell("datm", [60.0] * 3, ipc=10, protocol="native", cost=slow),
        *cell("theirs", [99.0] * 3, protocol="native", source="imported"),
    ]
    (table,) = tables_of(found)
    view = {(line.row, line.budget) for line in cost_of(table) if "seconds" in line.pareto}
    page_values = [v for each in _series(table, looks(drawn([table])), cost=True) for v in each.values]
    assert view == {("datm", table.columns[0].label)}
    assert [(v.x, v.y) for v in page_values if v.front] == [(5.0, 70.0)]
    assert cost_points([table])[0].front == ((5.0, 70.0),)


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.fixture
def folder(tmp_path):
    """A results folder with one set of two classes, two and one images, and a snapshot of it, all black."""
    import torch

    from ddbench.core.api import CondensedSet, Preprocess
    from ddbench.core.store.files import sha256_file
    from ddbench.core.store.tensors import save_set

    space = Preprocess(id="meanstd", mean=(0.25,), std=(0.5,))
    pixels = torch.tensor([0.0, 1.0, 0.5]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    labels = torch.tensor([4, 4, 7])
    condensation, evaluation = keyed(pair("dm", 50.0))
    place = tmp_path / "runs" / "digits" / "dm" / "ipc1" / short(condensation.key)
    for path, images in ((place / SET, pixels), (place / "snapshots" / "0000002.safetensors", pixels * 0)):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_set(path, CondensedSet.of_images((images - 0.25) / 0.5, labels, space))
    condensation.set_sha256 = sha256_file(place / SET)
    condensation.cost.steps = 5
    write_record(place / CONDENSE, condensation)
    evaluation.set_sha256 = condensation.set_sha256
    write_record(evaluation_path(place, evaluation.key), evaluation)
    return tmp_path / "runs", [condensation, evaluation]


def pixels_of(picture):
    image = Image.open(io.BytesIO(base64.b64decode(picture.png)))
    return {(x, y): image.getpixel((x, y)) for x in range(image.width) for y in range(image.height)}


def test_a_picture_has_a_column_per_class_and_the_pixels_of_the_images(folder, fresh_home):
    out, found = folder
    start, last = pictures_of(Store(out), found)
    assert (start.step, last.step) == (2, 5)
    assert (last.width, last.height, last.per_class, last.classes) == (5, 5, 2, 2)
    shown = pixels_of(last)
    assert [shown[at] for at in ((0, 0), (1, 1))] == [(0, 255)] * 2  # class 4, first image: black
    assert shown[0, 3] == (255, 255)  # class 4, second image: white, below it
    assert shown[3, 0] == (128, 255)  # class 7: grey, at its right
    assert shown[2, 0][1] == shown[3, 3][1] == 0  # between the images, and where there is none: nothing
    assert {grey for grey, seen in pixels_of(start).values() if seen} == {0}


def test_pictures_survive_their_file_and_equal_ones_give_equal_bytes(folder, fresh_home, tmp_path):
    out, found = folder
    shown = list(pictures_of(Store(out), found))
    file = beside(tmp_path / "a.jsonl")
    assert file.name == "a.pictures.jsonl"
    write_pictures(file, shown)
    once = file.read_bytes()
    write_pictures(file, [*reversed(shown), shown[0]])
    assert file.read_bytes() == once
    assert read_pictures(file) == shown
    assert read_pictures(tmp_path / "none.pictures.jsonl") == []


@pytest.mark.parametrize("line", ["{}", "no json", '{"key": 1}'])
def test_a_broken_line_of_pictures_is_named(tmp_path, line):
    (tmp_path / "a.pictures.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=r"a\.pictures\.jsonl:1"):
        read_pictures(tmp_path / "a.pictures.jsonl")


def test_the_states_stand_in_order_and_the_start_comes_from_the_row_of_0_steps(folder, fresh_home):
    out, found = folder
    shown = list(pictures_of(Store(out), found))
    begun = pair("dm", 40.0, label="dm (0 steps)", params={"iterations": 0})
    zero = shown[0].model_copy(update={"key": begun[0].key, "step": 0, "set_sha256": "", "png": png(9)})
    parsed = Elements(made([*found, *begun], [*shown, zero]))
    frames = [(attrs["data-name"], "hidden" in attrs) for tag, attrs in parsed.tags if tag == "img"]
    own = frames[:3] if len(frames) == 4 else frames
    assert own == [("step 0 (start)", True), ("step 2", True), ("step 5", False)]
    assert frames[3:] == [("step 0", False)]


def test_a_set_that_is_not_the_one_of_the_record_gets_no_picture(folder, fresh_home):
    out, (condensation, evaluation) = folder
    other = condensation.model_copy(update={"set_sha256": "0" * 64})
    assert len(list(pictures_of(Store(out), [condensation, evaluation]))) == 2
    assert list(pictures_of(Store(out), [other, evaluation])) == []


def test_a_picture_of_another_set_of_the_same_key_is_not_shown(folder, fresh_home):
    out, found = folder
    shown = [picture.model_copy(update={"set_sha256": "0" * 64}) for picture in pictures_of(Store(out), found)]
    assert shown
    assert not [tag for tag, _ in Elements(made(found, shown)).tags if tag == "img"]
    notes = [text for text in Elements(made(found, shown)).texts if text.startswith("Pictures left out")]
    assert [found[0].key[:16] in note for note in notes] == [True]
    assert not any("Pictures left out" in text for text in Elements(made(found)).texts)


# ------------------------------------------------------------------------------------------------- committed pages


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = keyed(demo())
    write_records(Path("leaderboards/records/digits.jsonl"), found)
    write_pictures(beside(Path("leaderboards/records/digits.jsonl")), pictures(found))
    Path("leaderboards/digits.html").write_text(MARKER + "\n")
    return Path("leaderboards/digits.html")


def test_a_line_becomes_a_page_that_passes_its_check_and_keeps_the_line(site, capsys):
    assert invoke(["leaderboard", "check"]) == 1
    assert invoke(["leaderboard", "render"]) == 0
    assert invoke(["leaderboard", "check"]) == 0
    lines = site.read_text().split("\n")
    assert lines[:2] == ["<!doctype html>", MARKER]
    assert "data:image/png;base64," in site.read_text()
    assert list(downloads(site.read_text())) == ["tables.csv", "records/digits.jsonl"]
    site.write_text(site.read_text().replace("87.5", "97.5"))
    assert invoke(["leaderboard", "check"]) == 1


def test_the_order_of_the_records_does_not_matter(site):
    expected = fresh(site)[1]
    file = Path("leaderboards/records/digits.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        file.write_text("".join(lines))
        assert fresh(site)[1] == expected


@pytest.mark.parametrize(
    ("marker", "what"),
    [
        ("<!-- ddbench:page records=records/digits.jsonl -->", "title"),
        ('<!-- ddbench:page title="x" -->', "records"),
        ('<!-- ddbench:page title="x" records=records/digits.jsonl colour=red -->', "colour"),
        ('<!-- ddbench:page title="x records=records/digits.jsonl -->', "malformed"),
        ('<!-- ddbench:page title="x" records=records/none.jsonl -->', r"none\.jsonl"),
        ('<!-- ddbench:page title="x" records=records/digits.jsonl views=crosing -->', "did you mean crossing"),
        ("<p>no marker</p>", "ddbench:page"),
    ],
)
def test_a_marker_that_says_too_little_or_too_much_is_refused(site, marker, what):
    site.write_text(marker + "\n")
    with pytest.raises(UsageError, match=what):
        fresh(site)


def test_a_page_shows_crossings_below_each_table_where_it_asks_for_them(site):
    title = "From which size on random is no worse"
    assert title not in fresh(site)[1]
    site.write_text(MARKER.replace(" -->", " views=crossing -->") + "\n")
    text = fresh(site)[1]
    (view,) = views_of(tables_of(demo()), ["crossing"])
    assert text.count(f"<summary>{title}</summary>") == 1
    shown = {piece.strip() for piece in Elements(text).texts}
    assert {view.caption, *view.notes, *(cell for line in view.grid for cell in line)} <= shown


def test_results_of_the_test_profile_have_no_place_on_a_committed_page(site):
    write_records(Path("leaderboards/records/digits.jsonl"), keyed(cell("dm", [50.0, 51.0], profile="smoke")))
    with pytest.raises(UsageError, match="smoke"):
        fresh(site)


def test_rendering_a_page_imports_no_torch(site):
    code = (
        "import sys; from ddbench.cli import invoke; code = invoke(['leaderboard', 'render']);"
        " sys.exit(code or any(name in sys.modules for name in ('torch', 'PIL', 'pandas', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


# ------------------------------------------------------------------------------------------------ the command line


def test_a_folder_becomes_a_page_with_pictures(folder, fresh_home, tmp_path, capsys):
    out, _ = folder
    target = tmp_path / "page.html"
    assert invoke(["results", "page", "--out", str(out), "--to", str(target), "--title", "Mine"]) == 0
    assert "2 records, 2 pictures" in capsys.readouterr().out
    parsed = Elements(target.read_text())
    assert "Mine" in parsed.texts
    assert len([tag for tag, _ in parsed.tags if tag == "img"]) == 2
    assert invoke(["results", "page", "--out", str(out), "--to", str(target), "--no-pictures"]) == 0
    assert not [tag for tag, _ in Elements(target.read_text()).tags if tag == "img"]


def test_a_page_of_a_folder_refuses_a_view_that_it_cannot_show(folder, fresh_home, tmp_path, capsys):
    out, _ = folder
    given = ["results", "page", "--out", str(out), "--to", str(tmp_path / "page.html")]
    assert invoke([*given, "--views", "ranks"]) == 2
    assert "unknown view of a page 'ranks'" in capsys.readouterr().err
    assert invoke([*given, "--views", "crossing"]) == 0


@pytest.mark.parametrize("target", ["page.txt", "page"])
def test_a_page_has_the_name_of_a_page(folder, fresh_home, capsys, target):
    out, _ = folder
    assert invoke(["results", "page", "--out", str(out), "--to", target]) == 2
    assert ".html" in capsys.readouterr().err


def test_an_empty_folder_has_no_page(tmp_path, fresh_home, capsys):
    assert invoke(["results", "page", "--out", str(tmp_path), "--to", str(tmp_path / "page.html")]) == 2
    assert "ddbench run" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_exporting_with_pictures_writes_them_beside_the_records(fresh_home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    what = ["--methods", "random", "--ipc", "1", "--seeds", "2", "--profile", "smoke", "--reference-limit", "0"]
    assert invoke(["run", *what, "--threads", "1"]) == 0
    assert invoke(["results", "export", *what, "--to", "a.jsonl", "--pictures"]) == 0
    assert "a.pictures.jsonl: 1 picture\n" in capsys.readouterr().out
    (only,) = read_pictures(Path("a.pictures.jsonl"))
    assert (only.shown, only.per_class, only.width, only.height) == (10, 1, 89, 8)  # ten 8 × 8 images in a row
