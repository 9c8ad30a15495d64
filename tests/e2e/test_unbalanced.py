"""Data sets whose classes differ in size: what a column gives, what its table says, what is refused in one line."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest

from tests.e2e.runs import SMOKE, ddbench
from tests.unit.data.data_files import encoded, pixels

TRAIN = (40, 40, 40, 30, 12, 5)
"""Of each class; a tenth or so becomes val."""


def written(folder):
    """An npz of small images, a test image of each class among them."""
    labels = np.repeat(np.arange(6), TRAIN)
    arrays = {"x_train": pixels(len(labels), 8, 8), "y_train": labels}
    np.savez(folder / "six.npz", **arrays, x_test=pixels(60, 8, 8, seed=1), y_test=np.arange(60) % 6)
    return f"six=npz:{folder / 'six.npz'}"


def run(folder, *arguments, out="runs"):
    return ddbench("run", "--out", folder / out, "--datasets", written(folder), *SMOKE, *arguments)


def sets(folder):
    """Method and ipc → the images of each class of its sets, as many tuples as sets differ in them."""
    from ddbench.core.store.tensors import load_set

    found = {}
    for path in sorted((folder / "runs").rglob("condense.json")):
        cell = json.loads(path.read_text())["spec"]["cell"]
        condensed = load_set(path.with_name("condensed.safetensors"))
        slots = condensed.aux.get("classes", condensed.labels)
        found.setdefault((cell["method"], cell["budget"]["ipc"]), set()).add(
            tuple(slots.bincount(minlength=6).tolist())
        )
    return found


def counts_of(text):
    """The training images of the smaller classes, as a line of the table says."""
    return tuple(
        map(int, re.search(r"ipc 20: 2 of 6 classes have fewer .* \(between (\d+) and (\d+)\)", text).groups())
    )


def test_every_method_has_what_classes_can_give_and_all_formats_say_so(tmp_path, capsys):
    methods = "random,kmeans,dm,mtt,random_best_of_k,idc"
    assert run(tmp_path, "--methods", methods, "--ipc", "1,20", "--seeds", "1") == 0
    told = capsys.readouterr()
    least, most = counts_of(told.out)
    assert least <= 5 < most <= 12
    assert counts_of(told.err) == (least, most), "said before anything runs"
    made = {method: sizes for (method, ipc), sizes in sets(tmp_path).items() if ipc == 20}
    assert made == {
        name: {(20, 20, 20, 20, most, least)} for name in ("random", "kmeans", "dm", "mtt", "random_best_of_k")
    }
    assert f"class 5 has {least} training images, and 4 are needed for each one of the budget" in told.out
    assert not [line for line in told.out.splitlines() if line.startswith("ipc 1: ") and "fewer images" in line]

    shown = {}
    for style in ("table", "markdown", "latex", "json", "csv"):
        assert ddbench("results", "show", "--out", tmp_path / "runs", "--format", style) == 0
        shown[style] = capsys.readouterr().out
    assert counts_of(shown["table"]) == counts_of(shown["markdown"]) == counts_of(shown["latex"]) == (least, most)
    document = json.loads(shown["json"])[0]
    assert [counts_of(line) for line in document["short"]] == [(least, most)]
    lines = [line for line in csv.DictReader(io.StringIO(shown["csv"])) if line["row"] == "dm"]
    assert {line["budget"]: (line["n_images"], line["short_classes"]) for line in lines} == {
        "ipc 1": ("6", ""), "ipc 20": (str(80 + least + most), "2"),
    }  # fmt: skip
    assert ddbench("results", "page", "--out", tmp_path / "runs", "--to", tmp_path / "page.html") == 0
    assert counts_of((tmp_path / "page.html").read_text()) == (least, most)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--ipc", "40"],
            r"random: ipc is at most 3\d here: at least half of the classes must have so many training images",
        ),
        (["--ipc", "0"], "ipc must be at least 1, got 0"),
        (["--fraction", "1.01"], r"a fraction lies in \(0, 1\], got 1.01"),
        (["--fraction", "0"], r"a fraction lies in \(0, 1\], got 0"),
        (["--fraction", "0.001"], r"less than one of each class; one of each is a fraction of 0\.04 \(--ipc 1\)"),
        (["--methods", "idc", "--ipc", "20"], r"idc: class 5 has \d training images, and 4 are needed for each one"),
    ],
)
def test_a_bad_budget_is_one_line_before_anything_runs(tmp_path, capsys, arguments, message):
    assert run(tmp_path, *(["--methods", "random"] if "--methods" not in arguments else []), *arguments) == 2
    told = capsys.readouterr()
    assert re.search(message, told.err.splitlines()[-1])
    assert told.out == ""
    assert not list(tmp_path.rglob("condense.json"))


def test_the_largest_budget_that_a_refusal_names_is_one_that_works(tmp_path, capsys):
    assert run(tmp_path, "--methods", "random", "--ipc", "500") == 2
    largest = re.search(r"ipc is at most (\d+)", capsys.readouterr().err).group(1)
    assert run(tmp_path, "--methods", "random", "--ipc", f"{largest},{int(largest) + 1}", "--seeds", "1") == 0
    told = capsys.readouterr().out
    assert f"ipc {largest}: 3 of 6 classes have fewer images" in told
    assert f"ipc is at most {largest} here" in told


def test_a_folder_of_images_with_a_small_class_and_none_of_another_by_its_view(tmp_path, capsys):
    for c, (name, n) in enumerate({"cat": 30, "dog": 30, "eel": 6, "fox": 20}.items()):
        for part, size in (("train", n), ("test", 4)):
            (tmp_path / "zoo" / part / name).mkdir(parents=True)
            for i in range(size):
                content = encoded(pixels(8, 8, 3, seed=1000 * c + 100 * (part == "test") + i))
                (tmp_path / "zoo" / part / name / f"{i:03d}.png").write_bytes(content)
    suite = {
        "methods": ["random", "kmeans", "dm"], "budget": {"ipc": [10]}, "seeds": {"condense": 1},
        "datasets": [{"name": f"zoo=folder:{tmp_path / 'zoo'}", "view": {"classes": [0, 1, 2]}}],
    }  # fmt: skip
    (tmp_path / "zoo.yaml").write_text(json.dumps(suite))
    assert ddbench("run", "--suite", tmp_path / "zoo.yaml", "--out", tmp_path / "runs", *SMOKE) == 0
    assert "ipc 10: 1 of 3 classes has fewer images and gives all it has (5)" in capsys.readouterr().out
    made = {method: sizes for (method, _), sizes in sets(tmp_path).items() if method != "full"}
    assert made == {name: {(10, 10, 5, 0, 0, 0)} for name in ("random", "kmeans", "dm")}
