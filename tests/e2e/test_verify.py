"""Verification: how often the interval holds, and what stored files must agree on."""

from __future__ import annotations

import json
import math
import shutil
from statistics import NormalDist, mean

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from ddbench.core.correctness import pack
from ddbench.core.store.files import StoreWarning, sha256_file
from ddbench.core.store.folder import CONDENSE, Store, write_record
from ddbench.core.store.tensors import load_set, save_set
from ddbench.results.audit.verify import cases_of, with_sets
from ddbench.results.stats.prediction import prediction_interval
from tests.e2e.runs import PLUGIN, SMOKE, ddbench, folders
from tests.factories import pair


def test_one_fresh_against_recorded_students_is_the_textbook_interval():
    """By hand: mean 50.10, sd 1.31, t of 4 degrees of freedom 2.776: 50.10 ± 2.776 · 1.31 · √(1 + 1/5)."""
    recorded = [51.4, 49.5, 48.7, 49.3, 51.6]
    own = prediction_interval([recorded], n_test=10**6)
    each = prediction_interval([[x] for x in recorded], n_test=10**6)
    assert (own.low, own.high) == pytest.approx((46.11, 54.09), abs=0.02)
    assert (each.low, each.high) == pytest.approx((own.low, own.high))
    assert (own.n, own.weak) == (5, False)


def coverage(sets, students, fresh, between, within=1.0, runs=2000):
    """How often the mean of fresh students of the first set lies inside, students nested in sets."""
    rng = np.random.default_rng(sets * 100 + students * 10 + fresh)
    inside = 0
    for _ in range(runs):
        centres = 70 + between * rng.standard_normal(sets)
        recorded = [[c + within * rng.standard_normal() for _ in range(students)] for c in centres]
        more = centres[0] + within * rng.standard_normal(fresh).mean()
        inside += prediction_interval(recorded, n_test=10**6, fresh=fresh).contains(more)
    return inside / runs


@pytest.mark.parametrize("fresh", [1, 4, 16])
@pytest.mark.parametrize("students", [1, 2])
@pytest.mark.parametrize("sets", [3, 8])
@pytest.mark.parametrize("between", [0.0, 1.0, 4.0])
def test_fresh_students_of_a_set_lie_inside_as_often_as_promised(sets, students, fresh, between):
    assert coverage(sets, students, fresh, between, runs=1000) >= 0.95 - 0.02


@pytest.mark.parametrize(("students", "fresh"), [(3, 1), (3, 8), (6, 4)])
def test_with_three_students_of_the_set_the_promise_is_kept_exactly(students, fresh):
    assert coverage(4, students, fresh, between=5.0) == pytest.approx(0.95, abs=0.015)


def test_more_fresh_students_narrow_nothing_where_repetitions_have_one_each():
    recorded = [[80.0], [84.0], [81.5]]
    assert prediction_interval(recorded, n_test=300, fresh=9) == prediction_interval(recorded, n_test=300)
    pairs = [[80.0, 80.5], [84.0, 83.0], [81.5, 82.0]]
    one, nine = (prediction_interval(pairs, n_test=300, fresh=fresh) for fresh in (1, 9))
    assert nine.high - nine.low < one.high - one.low


def test_equal_accuracies_leave_room_for_a_test_image():
    for recorded in ([[90.0] * 3], [[90.0]] * 3, [[90.0] * 2] * 2):
        assert prediction_interval(recorded, n_test=300).contains(90.0 + 100 / 300)
    assert not prediction_interval([[90.0] * 3], n_test=300).contains(95.0)


@pytest.mark.parametrize("recorded", [[[100.0]], [[50.0, 52.0]], [[50.0], [52.0]]])
def test_below_three_students_the_test_set_sets_the_width(recorded):
    interval = prediction_interval(recorded, n_test=300, fresh=5)
    assert interval.weak
    students = [x for group in recorded for x in group]
    share = (mean(students) * 3 + 2) / 304
    half = 100 * NormalDist().inv_cdf(0.975) * math.sqrt(share * (1 - share) / 300 * (1 + 1 / len(students)))
    ends = mean(students) - half, min(mean(students) + half, 100.0)  # no accuracy is higher
    assert (interval.low, interval.high) == pytest.approx(ends)


# ------------------------------------------------------------------------------------------------------- whole commands


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of tiny settings; tests that damage it copy it."""
    out = tmp_path_factory.mktemp("verify") / "runs"
    arguments = ("--methods", "random,dm", "--ipc", "1", "--seeds", "3", "--set", "dm.iterations=2")
    assert ddbench("run", *arguments, "--protocols", "hard,native", "--out", out, "--reference-limit", "0", *SMOKE) == 0
    return out


@pytest.fixture
def runs(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs")


def evaluation(folder, protocol="hard"):
    return next(
        path
        for path in sorted((folder / "eval").glob("*.json"))
        if json.loads(path.read_text())["spec"]["eval"]["protocol"] == protocol
    )


def edit(path, **fields):
    content = json.loads(path.read_text())
    for name, value in fields.items():
        content[name] = value
    content.pop("seal", None)  # as a forger leaves it, and older records are
    path.write_text(json.dumps(content))


def everything(out):
    return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def rows(text):
    """Verdict of each line of the table, by its first column."""
    lines = [line.split("  ") for line in text.splitlines() if " · " in line]
    return {line[0]: line[-1].strip() for line in lines}


@pytest.mark.parametrize("method", ["random", "dm"])
def test_fresh_students_of_an_honest_set_lie_inside_and_nothing_is_written(runs, capsys, method):
    before = everything(runs)
    assert ddbench("results", "verify", folders(runs, method)[0].name, "--out", runs, "--student-seeds", 2) == 0
    found = rows(capsys.readouterr().out)
    assert set(found.values()) == {"inside"}
    assert len(found) == 2, "hard, and native: random under the recipe of dm"
    assert everything(runs) == before


@pytest.mark.parametrize("method", ["random", "dm"])
def test_recorded_students_come_out_the_same_to_the_bit(runs, capsys, method):
    for folder in folders(runs, method):
        assert ddbench("results", "verify", folder.name, "--out", runs, "--same") == 0
        assert set(rows(capsys.readouterr().out).values()) == {"same"}


def test_a_key_of_an_evaluation_means_that_one_alone(runs, capsys):
    path = evaluation(folders(runs, "dm")[1])
    assert ddbench("results", "verify", path.stem, "--out", runs) == 0
    (title,) = rows(capsys.readouterr().out)
    assert "hard@2" in title


@pytest.mark.parametrize("how", [(), ("--same",)])
@pytest.mark.parametrize(
    ("status", "told"), [("failed", "failed: no such network"), ("nan", "failed: nan: no such network")]
)
def test_why_a_student_failed_is_said_once(runs, capsys, monkeypatch, how, status, told):
    def fail(store, wanted, make, watch):
        for record, _ in wanted:
            yield record, None, record.model_copy(update={"status": status, "reason": "no such network"})

    monkeypatch.setattr("ddbench.results.audit.verify.train_again", fail)
    path = evaluation(folders(runs, "dm")[1])
    assert ddbench("results", "verify", path.stem, "--out", runs, *how) == 1
    assert list(rows(capsys.readouterr().out).values()) == [told]


@pytest.mark.parametrize("how", [(), ("--same",)])
def test_references_are_verified_where_all_folders_share_them(tmp_path, capsys, fresh_home, how):
    out = tmp_path / "runs"
    assert ddbench("run", "--methods", "random", "--ipc", "1", "--seeds", "2", "--out", out, *SMOKE) == 0
    (folder,) = (path.parent for path in (fresh_home / "artifacts" / "full").rglob("condense.json"))
    before = everything(fresh_home)
    capsys.readouterr()
    assert ddbench("results", "verify", folder.name, "--out", out, *how) == 0
    assert list(rows(capsys.readouterr().out).values()) == ["same" if how else "inside"]
    assert everything(fresh_home) == before


def test_a_torch_of_another_version_is_held_against_the_interval(runs, capsys):
    for folder in folders(runs, "dm"):
        path = evaluation(folder)
        record = json.loads(path.read_text())
        edit(path, env={**record["env"], "torch": "0.1"})
        file = path.with_suffix(".safetensors")
        predictions, labels = load_file(file)["predictions"], labels_of_digits()
        first_two = [(predictions != labels).nonzero()[0, 0], (predictions == labels).nonzero()[0, 0]]
        for place in first_two:  # one more right, one more wrong: rounding
            predictions[place] = labels[place] if predictions[place] != labels[place] else (labels[place] + 1) % 10
        save_file({"predictions": predictions}, file)
        hits = predictions == labels
        per_class = [100.0 * float(hits[labels == c].double().mean()) for c in range(10)]
        edit(path, metrics={**record["metrics"], "correct": pack(hits.numpy()), "per_class": per_class})
    assert ddbench("results", "verify", evaluation(folders(runs, "dm")[0]).stem, "--out", runs, "--same") == 0
    (verdict,) = rows(capsys.readouterr().out).values()
    assert (
        verdict == "inside: 2 of 300 predictions differ; recorded with another version of torch, so rounding may differ"
    )


def spoil(folder, change):
    """Change a set, and make all records agree with the change."""
    condensed = load_set(folder / "condensed.safetensors")
    change(condensed)
    save_set(folder / "condensed.safetensors", condensed)
    digest = sha256_file(folder / "condensed.safetensors")
    for path in (folder / "condense.json", *(folder / "eval").glob("*.json")):
        edit(path, set_sha256=digest)


def test_a_set_with_other_labels_is_found_by_repetition(runs, capsys):
    folder = folders(runs, "dm")[0]
    spoil(folder, lambda condensed: condensed.labels.copy_(condensed.labels.roll(1)))
    assert ddbench("results", "verify", evaluation(folder).stem, "--out", runs, "--same") == 1
    (verdict,) = rows(capsys.readouterr().out).values()
    assert verdict.startswith("differs: ")


def test_accuracies_that_no_student_reaches_are_outside(runs, capsys):
    labels = labels_of_digits()
    for folder in folders(runs, "dm"):  # predictions that agree with the record: only training shows that it is wrong
        path = evaluation(folder)
        save_file({"predictions": labels}, path.with_suffix(".safetensors"))
        edit(path, metrics={"top1": 100.0})
    key = evaluation(folders(runs, "dm")[0]).stem
    assert ddbench("results", "verify", key, "--out", runs, "--files-only") == 0
    assert ddbench("results", "verify", key, "--out", runs) == 1
    assert list(rows(capsys.readouterr().out).values()) == ["outside"]


def test_a_weak_interval_does_not_judge(runs, capsys):
    labels = labels_of_digits()
    kept, *others = folders(runs, "dm")
    for folder in others:
        shutil.rmtree(folder)  # one recorded student is left
    path = evaluation(kept)
    save_file({"predictions": labels}, path.with_suffix(".safetensors"))
    edit(path, metrics={"top1": 100.0})
    assert ddbench("results", "verify", path.stem, "--out", runs) == 0
    told = capsys.readouterr().out
    assert list(rows(told).values()) == ["outside"] and "does not decide the exit code" in told


def labels_of_digits():
    import torch

    from ddbench.core.plugin.loader import installed
    from ddbench.data.prepared.prepare import resolve
    from ddbench.data.prepared.sources import parse_source
    from ddbench.data.prepared.views import apply_view

    prepared = resolve(parse_source("digits", installed().datasets))
    return torch.from_numpy(apply_view(prepared).test.labels).to(torch.int16)


def test_one_changed_prediction_is_found_without_training(runs, capsys):
    path = evaluation(folders(runs, "random")[0])
    file = path.with_suffix(".safetensors")
    predictions = load_file(file)["predictions"]
    wrong = (predictions != labels_of_digits()).nonzero()[0]
    predictions[wrong] = labels_of_digits()[wrong]
    save_file({"predictions": predictions}, file)
    assert ddbench("results", "verify", path.stem, "--out", runs, "--files-only") == 1
    assert "but its predictions give" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["gone", "short", "garbage"])
def test_predictions_that_cannot_be_read_are_named(runs, capsys, damage):
    path = evaluation(folders(runs, "random")[0])
    file = path.with_suffix(".safetensors")
    if damage == "gone":
        file.unlink()
    elif damage == "short":
        save_file({"predictions": load_file(file)["predictions"][:-1].clone()}, file)
    else:
        file.write_bytes(b"garbage")
    assert ddbench("results", "verify", path.stem, "--out", runs, "--files-only") == 1
    told = capsys.readouterr().err
    assert file.name in told
    assert "Traceback" not in told


def test_a_record_without_its_set_says_how_to_make_it(runs, capsys):
    folder = folders(runs, "dm")[0]
    (folder / "condensed.safetensors").unlink()
    assert ddbench("results", "verify", folder.name, "--out", runs) == 2
    assert "`ddbench run --methods dm --datasets digits --ipc 1" in capsys.readouterr().err


def test_a_set_that_changed_is_no_longer_what_was_recorded(runs, tmp_path, capsys):
    folder = folders(runs, "dm")[0]
    condensed = load_set(folder / "condensed.safetensors")
    condensed.images.mul_(2)
    save_set(folder / "condensed.safetensors", condensed)
    before = everything(runs)
    for command in (
        ("results", "verify", folder.name, "--files-only"),
        ("show", folder.name, "--to", tmp_path / "x.png"),
        ("export", folder.name, "--to", "npz", "--into", tmp_path / "x.npz"),
    ):
        assert ddbench(*command, "--out", runs) == 1
        told = capsys.readouterr().err
        assert f"{folder / 'condensed.safetensors'}: not the file" in told
        assert f"`ddbench results rm {folder.name}`" in told
    assert everything(runs) == before, "reading writes nothing"


def test_a_damaged_record_stays_where_it_is_when_results_are_shown(runs, capsys):
    evaluation(folders(runs, "dm")[0]).write_text("{")
    before = everything(runs)
    assert ddbench("results", "show", "--out", runs) == 0
    assert ddbench("results", "verify", folders(runs, "dm")[0].name, "--out", runs, "--files-only") == 1
    assert everything(runs) == before


@pytest.mark.parametrize("damage", ["[1]", "null", "{"])
def test_an_evaluation_beside_a_damaged_record_of_its_set_counts_with_no_row(tmp_path, fresh_home, damage):
    _, student = pair("dm")
    write_record(tmp_path / "dm" / "eval" / "x.json", student)
    (tmp_path / "dm" / CONDENSE).write_text(damage)
    with pytest.warns(StoreWarning, match="counts as missing"):
        (case,) = cases_of(with_sets(Store(tmp_path)), [student])
    assert case.row == ((student.metrics["top1"],),)


@pytest.mark.parametrize("key", ["", "ff", "0" * 16])
def test_a_key_that_names_nothing_is_a_usage_error(runs, tmp_path, capsys, key):
    before = everything(runs)
    into = tmp_path / "x.png"
    for command in (("results", "verify"), ("results", "rm"), ("show", "--to", into), ("export", "--to", "pt")):
        assert ddbench(*command, key, "--out", runs) == 2
        assert repr(key) in capsys.readouterr().err
    assert everything(runs) == before


def test_a_key_of_an_evaluation_shows_and_exports_its_set(runs, tmp_path, capsys):
    folder = folders(runs, "dm")[0]
    for name, key in (("a", evaluation(folder).stem), ("b", folder.name)):
        assert ddbench("show", key, "--to", tmp_path / f"{name}.png", "--out", runs) == 0
        assert ddbench("export", key, "--to", "pt", "--into", tmp_path / f"{name}.pt", "--out", runs) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (folder / "condensed.safetensors").unlink()
    for command in (("show", "--to", tmp_path / "c.png"), ("export", "--to", "pt", "--into", tmp_path / "c.pt")):
        assert ddbench(*command, folder.name, "--out", runs) == 2
        assert "make it with `ddbench run --methods dm" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------------------- rm


def test_rm_of_an_evaluation_leaves_the_set_and_the_others(runs, capsys):
    folder = folders(runs, "dm")[0]
    before, path = everything(runs), evaluation(folder)
    assert ddbench("results", "rm", path.stem, "--out", runs) == 0
    assert before.keys() - everything(runs).keys() == {path, path.with_suffix(".safetensors")}


def test_rm_of_a_set_leaves_nothing_of_it_and_the_next_run_makes_it_again(runs, capsys):
    folder = folders(runs, "dm")[0]
    before = everything(runs)
    assert (folder / "final.safetensors").exists()
    assert ddbench("results", "rm", folder.name, "--out", runs) == 0
    assert not folder.exists()
    assert {path for path in before if folder not in path.parents} == everything(runs).keys()
    arguments = ("--methods", "random,dm", "--ipc", "1", "--seeds", "3", "--set", "dm.iterations=2")
    again = ("run", *arguments, "--protocols", "hard,native", "--out", runs, "--reference-limit", "0", *SMOKE)
    assert ddbench(*again) == 0
    path = folder / "condensed.safetensors"
    assert path.read_bytes() == before[path]


def test_a_removal_that_was_cut_short_leaves_nothing_that_counts(runs, capsys, monkeypatch):

    from ddbench.core.store.folder import Store

    folder, other = folders(runs, "dm")[:2]
    key = json.loads((folder / "condense.json").read_text())["key"]

    def full(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", full)
        assert ddbench("results", "rm", folder.name, "--out", runs) != 0
    assert not folder.exists()
    assert list((runs / ".removed").rglob("condense.json"))
    specs = [
        (record.key, record.kind == "evaluation" and record.evaluation.eval.set) for _, record in Store(runs).records()
    ]
    assert not [pair for pair in specs if key in pair]
    assert ddbench("results", "rm", other.name, "--out", runs) == 0
    assert not (runs / ".removed").exists()


@pytest.mark.parametrize("what", ["set", "evaluation"])
def test_what_a_run_is_working_on_is_not_removed(runs, capsys, what):
    from ddbench.core.store.claims import Watch, acquire
    from ddbench.core.store.folder import Store

    folder = folders(runs, "dm")[0]
    key = folder.name if what == "set" else evaluation(folder).stem
    before = everything(runs)
    with acquire(Store(runs).claims(shared=False), key, Watch()):
        assert ddbench("results", "rm", folder.name, "--out", runs) == 2
    assert "a run is working on it" in capsys.readouterr().err
    assert everything(runs) == before
    assert ddbench("results", "rm", folder.name, "--out", runs) == 0


def test_rm_of_what_all_folders_read_wants_to_be_told_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    assert ddbench("run", "--methods", "random", "--ipc", "1", "--seeds", "1", "--out", tmp_path / "runs", *SMOKE) == 0
    (full,) = (tmp_path / "home" / "artifacts" / "full").glob("*/condense.json")
    command = ("results", "rm", full.parent.name, "--out", tmp_path / "runs")
    capsys.readouterr()
    assert ddbench(*command) == 2
    assert "every results folder reads it: add --shared" in capsys.readouterr().err
    assert full.exists()
    assert ddbench(*command, "--shared") == 0
    assert not full.exists()


def test_a_folder_shows_full_in_the_repetitions_that_it_has(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    few = ("run", "--methods", "random", "--ipc", "1", "--seeds", "1", "--out", tmp_path / "few", *SMOKE)
    more = ("run", "--methods", "random", "--ipc", "1", "--seeds", "2", "--out", tmp_path / "more", *SMOKE)
    assert ddbench(*few) == 0
    table = capsys.readouterr().out
    assert ddbench(*more) == 0
    capsys.readouterr()
    assert ddbench("results", "show", "--out", tmp_path / "few") == 0
    assert capsys.readouterr().out == table


def test_rm_takes_failed_cells_too(tmp_path, capsys):
    from tests.e2e.runs import plugin

    arguments = ("--methods", "mean", "--plugin", plugin(tmp_path), "--set", "mean.trouble=step", "--ipc", "1")
    assert ddbench("run", *arguments, "--seeds", "1", "--out", tmp_path / "runs", "--reference-limit", "0", *SMOKE) == 1
    (folder,) = folders(tmp_path / "runs", "mean")
    assert ddbench("results", "rm", folder.name, "--out", tmp_path / "runs") == 0
    assert not folder.exists()


# -------------------------------------------------------------------------------------------------------------- export


def test_export_all_writes_what_the_folder_shows_and_its_references_alone(tmp_path, capsys, fresh_home):
    from ddbench.core.store.jsonl import read_records

    common = ("--ipc", "1", "--seeds", "1", *SMOKE)
    assert ddbench("run", "--methods", "random", *common, "--out", tmp_path / "other", "--protocols", "noaug") == 0
    assert ddbench("run", "--methods", "kmeans", *common, "--out", tmp_path / "runs") == 0
    capsys.readouterr()
    file = tmp_path / "all.jsonl"
    assert ddbench("results", "export", "--all", "--out", tmp_path / "runs", "--to", file) == 0
    records = read_records(file)
    evaluations = [(r.document.label, r.evaluation.eval.protocol) for r in records if r.kind == "evaluation"]
    assert sorted(evaluations) == [("full", "hard"), ("kmeans", "hard"), ("random", "hard")]
    assert {record.key for record in records if record.kind == "condense"} == {
        record.evaluation.eval.set for record in records if record.kind == "evaluation"
    }


def test_export_all_takes_no_options_of_a_run_and_no_empty_folder(tmp_path, capsys, fresh_home):
    target = ("--to", tmp_path / "all.jsonl")
    assert ddbench("results", "export", "--all", "--out", tmp_path, "--ipc", "1", *target) == 2
    assert "use either --all or --ipc" in capsys.readouterr().err
    assert ddbench("results", "export", "--all", "--out", tmp_path, *target) == 2
    assert "holds no evaluations" in capsys.readouterr().err
    assert not (tmp_path / "all.jsonl").exists()


def test_the_set_of_a_one_file_plugin_asks_for_its_file(tmp_path, capsys, fresh_home):
    plugin, out = tmp_path / "meanplugin.py", tmp_path / "out"
    plugin.write_text(PLUGIN)
    run = ("run", "--plugin", plugin, "--methods", "mean", "--ipc", 1, "--seeds", 1, *SMOKE, "--out", out)
    assert ddbench(*run) == 0
    (folder,) = folders(out, "mean")
    verify = ("results", "verify", folder.name, "--out", out)
    assert ddbench(*verify) == 2
    assert "the plugin of method 'mean' is not here; name its file: --plugin FILE.py" in capsys.readouterr().err
    assert ddbench(*verify, "--plugin", plugin) == 0
    for more in ((), ("--plugin", plugin)):
        assert ddbench(*verify, "--files-only", *more) == 0
    path = evaluation(folder)
    save_file({"predictions": load_file(path.with_suffix(".safetensors"))["predictions"] + 1},
              path.with_suffix(".safetensors"))  # fmt: skip
    assert ddbench(*verify, "--files-only") == 1
    assert "but its predictions give" in capsys.readouterr().err
