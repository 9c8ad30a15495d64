"""`ddbench evaluate | import | export` on digits: the whole way, as users go it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ddbench.core.plugin.loader import installed
from ddbench.core.records import Record
from ddbench.core.store.folder import Store
from ddbench.data.exchange.importer import Importer
from ddbench.data.space.split import open_splits
from ddbench.results.tables.tables import tables_of
from tests.cli.test_startup import heavy_imports
from tests.e2e.runs import SMOKE, ddbench

RUN = (*SMOKE, "--dataset", "digits", "--protocols", "hard-fixed", "--eval-seeds", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A DC file of three experiments at ipc 1, and a DATM folder at ipc 2."""
    folder = tmp_path_factory.mktemp("files")
    train, _ = open_splits(Importer(installed(), "digits").data("meanstd").spec, device="cpu")
    sets = [torch.stack([train.of_class(c)[e] for c in range(10)]) for e in range(3)]
    pairs = [[train.images(index), train.labels[index]] for index in sets]
    torch.save({"data": pairs, "accs_all_exps": {}}, folder / "res_DC.pt")
    both = torch.cat(sets[:2])
    soft = folder / "my_datm"
    soft.mkdir()
    torch.save(train.images(both), soft / "images_best.pt")
    torch.save(torch.nn.functional.one_hot(train.labels[both], 10) * 6.0 - 1, soft / "labels_best.pt")
    torch.save(torch.tensor(0.02), soft / "lr_best.pt")
    return {"dc": folder / "res_DC.pt", "datm": soft}


@pytest.fixture(scope="module")
def out(files, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    command = ("evaluate", files["dc"], files["datm"], "--preprocess", "meanstd", *RUN, "--out", place)
    assert ddbench(*command) == 0
    return place


def records(out: Path) -> list[Record]:
    return [record for path, record in Store(out).records() if path.is_relative_to(out)]


def test_every_file_is_a_row_at_its_own_size_beside_random_and_full(files, out, capsys):
    command = ("evaluate", files["dc"], files["datm"], "--preprocess", "meanstd", *RUN, "--out", out)
    assert ddbench(*command, "--format", "json") == 0
    (table,) = json.loads(capsys.readouterr().out)
    shown = {row["row"]: {cell["budget"]: cell for cell in row["cells"]} for row in table["rows"]}
    assert {"full", "random", "res_DC", "my_datm"} == set(shown)
    assert set(shown["random"]) == {"ipc 1", "ipc 2"}
    assert (set(shown["res_DC"]), set(shown["my_datm"])) == ({"ipc 1"}, {"ipc 2"})
    assert shown["res_DC"]["ipc 1"]["n"] == 3
    assert shown["res_DC"]["ipc 1"]["condense_s"] is None
    assert {row["row"]: row["source"] for row in table["rows"]}["res_DC"] == "imported"


def test_imported_rows_are_marked_and_never_ranked(out):
    found = records(out)
    foreign = [r for r in found if r.document.cell.method == "imported"]
    assert {record.source for record in foreign} == {"imported"}
    assert {record.source for record in found if record not in foreign} == {"measured"}
    (table,) = tables_of(found)
    rows = [row for row in table.rows if row.source == "imported"]
    assert len(rows) == 2
    for row in rows:
        cells = [cell for cell in row.cells if cell is not None]
        assert not any(cell.bold or cell.ranked for cell in cells)
        assert any("imported, selection unknown" in table.footnotes[mark - 1] for mark in row.marks)
    compared = [] if table.versus_random is None else [row.label for row in table.versus_random.rows]
    assert not {row.label for row in rows} & set(compared)


def test_a_set_of_unequal_classes_says_how_many_images_it_has(files, tmp_path, capsys):
    images, labels = torch.load(files["dc"])["data"][0]
    more = torch.cat([images, images[:3] * 0.9]), torch.cat([labels, labels[:3]])
    torch.save({"data": [more]}, tmp_path / "res_13.pt")
    assert ddbench("evaluate", tmp_path / "res_13.pt", *RUN, "--seeds", "1", "--out", tmp_path / "runs") == 0
    (table,) = tables_of(records(tmp_path / "runs"))
    assert table.columns[0].n > 13
    assert f"res_13 (imported): 13 images; the column's budget has {table.columns[0].n}" in table.footnotes
    assert "13 images; the column's budget has" in capsys.readouterr().out


def test_three_experiments_are_three_sets_and_one_file_is_one(out):
    made = {}
    for record in records(out):
        if record.kind == "evaluation" and record.source == "imported":
            made.setdefault(record.document.label, set()).add(record.set_sha256)
    assert {label: len(sets) for label, sets in made.items()} == {"res_DC": 3, "my_datm": 1}
    rows = {row.label: row for row in tables_of(records(out))[0].rows}
    assert [cell.one_set for cell in rows["my_datm"].cells if cell] == [True]
    assert [cell.one_set for cell in rows["res_DC"].cells if cell] == [False]


def test_native_trains_with_the_learned_rate_and_puts_random_beside(files, tmp_path, capsys):
    options = [*SMOKE, "--dataset", "digits", "--preprocess", "meanstd", "--seeds", "1", "--out", tmp_path]
    assert ddbench("evaluate", files["datm"], *options, "--protocols", "native") == 0
    assert "random (recipe of my_datm)" in capsys.readouterr().out
    tested = [record for record in records(tmp_path) if record.kind == "evaluation"]
    assert {record.document.label: record.selection["lr"] for record in tested} == {
        "my_datm": pytest.approx(0.02), "random (recipe of my_datm)": pytest.approx(0.02)
    }  # fmt: skip


def test_the_second_time_nothing_is_computed_and_no_torch_imported(files, out, tmp_path):
    command = ["evaluate", files["dc"], files["datm"], "--preprocess", "meanstd", *RUN, "--out", out]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    (found,) = heavy_imports(tmp_path, [str(part) for part in command])
    assert "torch" not in found
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == before


def test_every_set_has_a_manifest_that_changes_no_record(out):
    for path in out.rglob("condense.json"):
        record = Record.from_json(path.read_bytes(), str(path))
        facts = json.loads((path.parent / "manifest.json").read_text())
        assert (facts["key"], facts["set_sha256"]) == (record.key, record.set_sha256)
        assert facts["source"].startswith(record.source)
        assert facts["bytes"] == record.cost.bytes
        assert sum(facts["per_class"] or [facts["n"]]) == facts["n"]


def test_an_exported_set_is_evaluated_like_the_original(out, tmp_path, capsys):
    """Same images, labels and seeds under the same protocol: the same predictions."""
    key = next(r.key for r in records(out) if r.kind == "condense" and r.document.label == "my_datm")
    assert ddbench("export", key[:12], "--to", "npz", "--into", tmp_path / "x.npz", "--out", out) == 0
    assert ddbench("evaluate", tmp_path / "x.npz", *RUN, "--out", tmp_path / "runs", "--seeds", "1") == 0

    def top1(where: Path, label: str) -> list[float]:
        tested = [r for r in records(where) if r.kind == "evaluation" and r.document.label == label]
        return [r.metrics["top1"] for r in tested if r.evaluation.eval.r == 0]

    assert top1(tmp_path / "runs", "x") == top1(out, "my_datm") != []


def test_no_export_has_the_name_of_a_part_of_an_mtt_set(out, tmp_path, capsys):
    """Import would look for the other parts."""
    key = next(r.key for r in records(out) if r.kind == "condense" and r.document.label == "my_datm")
    for name in ("images_mine", "labels_mine.pt"):
        assert ddbench("export", key[:12], "--to", "pt", "--into", tmp_path / name, "--out", out) == 2
        assert "choose another name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert ddbench("export", key[:12], "--to", "npz", "--into", tmp_path / "images_mine", "--out", out) == 0


@pytest.mark.parametrize("target", ["pt", "npz"])
def test_a_file_without_its_suffix_gets_it_and_can_be_imported(out, tmp_path, capsys, target):
    key = next(r.key for r in records(out) if r.kind == "condense" and r.document.label == "my_datm")
    for name, written in (("x", f"x.{target}"), ("run-0.5", f"run-0.5.{target}"), (f"y.{target}", f"y.{target}")):
        assert ddbench("export", key[:12], "--to", target, "--into", tmp_path / name, "--out", out) == 0
        assert capsys.readouterr().out.endswith(f"20 images in {tmp_path / written}\n")
        assert ddbench("import", tmp_path / written, "--dataset", "digits") == 0
        assert "layout ddbench" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"run-0.5.{target}", f"x.{target}", f"y.{target}"]
    assert ddbench("export", key[:12], "--to", target, "--into", tmp_path, "--out", out) == 2
    assert "exists already" in capsys.readouterr().err


def test_pixels_can_be_evaluated_in_a_whitened_space(out, tmp_path):
    """8-bit pixels are whitened with the data set's matrices, as the real images beside them are."""
    key = next(r.key for r in records(out) if r.kind == "condense" and r.document.label == "res_DC")
    assert ddbench("export", key[:12], "--to", "folder", "--into", tmp_path / "pictures", "--out", out) == 0
    where = ("--preprocess", "zca-kornia", "--seeds", "1", "--out", tmp_path / "runs")
    assert ddbench("evaluate", tmp_path / "pictures", *RUN, *where) == 0
    made = {r.document.label: r for r in records(tmp_path / "runs") if r.kind == "condense"}
    spaces = {label: record.document.artifacts["whitening"] for label, record in made.items()}
    assert spaces["pictures"] == spaces["random"]
    facts = json.loads(next((tmp_path / "runs").rglob("imported/*/*/manifest.json")).read_text())
    assert facts["preprocess"]["space"]["id"] == "zca-kornia"
    command = facts["preprocess"]["how"].split("`")[1].split()
    assert ddbench(*command[1:], "--into", tmp_path / "x.npz", "--out", tmp_path / "runs") == 0
    assert np.load(tmp_path / "x.npz")["whitening_whiten"].shape == (64, 64)
    assert made["pictures"].cost.bytes["images"] == 10 * 64


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((), "--preprocess"),
        (("--preprocess", "zca-korna"), "unknown preprocessing 'zca-korna'; did you mean zca-kornia"),
        (("--preprocess", "meanstd", "--dataset", "digit"), "did you mean digits"),
        (("--preprocess", "meanstd", "--label", "a"), "1 --label for 2 rows"),
        (("--preprocess", "meanstd", "--label", "a", "--label", "a"), "two rows would be called 'a'"),
        (("--preprocess", "meanstd", "--experiment", "7"), "my_datm: holds one experiment: leave out --experiment 7"),
    ],
)
def test_wrong_options_are_told_and_end_with_2(files, extra, message, tmp_path, capsys):
    command = ("evaluate", files["datm"], files["dc"], *SMOKE, "--dataset", "digits", "--out", tmp_path, *extra)
    assert ddbench(*command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_views_that_do_not_exist_are_refused_before_anything_is_stored(files, tmp_path, capsys, fresh_home):
    command = ("evaluate", files["dc"], *RUN, "--out", tmp_path / "runs", "--views", "mian")
    assert ddbench(*command) == 2
    assert "did you mean main" in capsys.readouterr().err
    assert not (fresh_home / "artifacts").exists()
    assert not (tmp_path / "runs").exists()


def test_import_says_what_it_understood(files, capsys):
    assert ddbench("import", files["datm"], "--dataset", "digits", "--preprocess", "meanstd") == 0
    said = capsys.readouterr()
    for part in ("my_datm: layout datm", "20 images, ipc 2", "as pixels 0.00 to 1.00", "learned learning rate 0.02"):
        assert part in said.out
    assert "taken to be normalised with mean 0.30" in said.err


def test_a_run_that_names_an_unknown_import_says_how_to_import(tmp_path, capsys):
    where = ("--ipc", 1, "--set", "imported.sources=[0123456789abcdef]", "--set", "imported.n=10", "--out", tmp_path)
    assert ddbench("run", "--methods", "imported", *where, *SMOKE) == 2
    assert "was not imported: `ddbench import FILE… --dataset NAME`" in capsys.readouterr().err
