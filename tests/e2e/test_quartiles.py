"""Difficulty of test images and accuracy by its quartiles."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from ddbench.core.plugin.loader import installed
from ddbench.core.specs import DataSpec
from ddbench.data.prepared.prepare import resolve
from ddbench.data.prepared.sources import parse_source
from ddbench.results.audit import difficulty
from ddbench.work.evaluate.predictions import labels_of_test
from tests.e2e.runs import SMOKE, contents, ddbench, evaluations


def loops(wrong, loss):
    """The quartile of each image, the slow way."""
    n = len(wrong)
    order = sorted(range(n), key=lambda i: (wrong[i], loss[i], i))
    found = [0] * n
    for rank, image in enumerate(order):
        while rank >= (found[image] + 1) * n / 4:
            found[image] += 1
    return found


@pytest.mark.parametrize("n", [4, 7, 300])
def test_quartiles_order_by_snapshots_then_loss_then_place(n):
    generator = np.random.default_rng(n)
    wrong, loss = generator.integers(0, 3, n), generator.integers(0, 4, n) / 4
    assert difficulty.quartiles(wrong, loss).tolist() == loops(wrong, loss)


def test_quartiles_weighted_by_their_sizes_average_to_the_accuracy():
    generator = np.random.default_rng(0)
    hits = generator.random(303) < 0.7
    quartile = difficulty.quartiles(generator.integers(0, 20, 303), generator.random(303))
    sizes = np.bincount(quartile)
    assert sizes.max() - sizes.min() <= 1
    found = difficulty.accuracy_by_quartile(hits, quartile)
    assert np.dot(found, sizes) / 303 == pytest.approx(100 * hits.mean())


def test_an_empty_quartile_is_an_error():
    with pytest.raises(ValueError, match="3 predictions for 3 images"):
        difficulty.accuracy_by_quartile(np.array([True] * 3), difficulty.quartiles(np.zeros(3), np.zeros(3)))


def digits(**fields):
    revision = resolve(parse_source("digits", installed().datasets)).revision
    return DataSpec(**{"name": "digits", "revision": revision, **fields})


def key(data):
    return difficulty.difficulty_key(difficulty.difficulty_spec(data, installed().architectures))


def test_difficulty_belongs_to_data_and_view_alone():
    plain = key(digits())
    assert key(digits(preprocess="zca-kornia")) == key(digits(split="paper")) == plain
    assert key(digits(view=({"name": "train_size", "size": 500, "seed": 0},))) != plain


def test_no_method_can_ask_for_what_was_made_with_the_test_split():
    assert difficulty.KIND not in installed().artifacts


@pytest.fixture
def quick(monkeypatch, fresh_home):
    monkeypatch.setitem(difficulty.PARAMS, "updates", 20)
    monkeypatch.setitem(difficulty.PARAMS, "snapshots", 4)


RUN = ("run", "--methods", "random", "--ipc", "1,2", "--seeds", "2", *SMOKE)


def test_records_get_quartiles_from_stored_predictions_and_nothing_else_changes(tmp_path, capsys, quick):
    out = tmp_path / "runs"
    assert ddbench(*RUN, "--reference-limit", "0", "--out", out) == 0
    table, before, files = capsys.readouterr().out, evaluations(out), contents(out)
    assert ddbench("results", "quartiles", "--out", out, "--threads", "1") == 0
    told = capsys.readouterr()
    assert "4 of 4 records written" in told.err
    assert contents(out) == files
    quartile, digest = difficulty.read(difficulty.difficulty_spec(digits(), installed().architectures))
    labels = labels_of_test(digits())
    for path, record in evaluations(out).items():
        predictions = load_file(path.with_suffix(".safetensors"))["predictions"]
        triples = list(zip(predictions, labels, quartile, strict=True))
        by_hand = [100 * np.mean([said == true for said, true, q in triples if q == k]) for k in range(4)]
        assert record["metrics"].pop("quartiles") == pytest.approx(by_hand)
        assert record["metrics"].pop("difficulty") == digest[:16]
        assert record | {"seal": ""} == before[path] | {"seal": ""}
    assert ddbench(*RUN, "--reference-limit", "0", "--out", out) == 0
    assert capsys.readouterr().out == table
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert ddbench("results", "quartiles", "--out", out, "--threads", "1") == 0
    again = capsys.readouterr()
    assert again.out == told.out
    assert "0 of 4 records written" in again.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == stamps


def test_references_of_the_same_data_get_them_too_and_the_difficulty_is_listed(tmp_path, capsys, quick, fresh_home):
    assert ddbench(*RUN, "--out", tmp_path / "runs") == 0
    assert ddbench("results", "quartiles", "--out", tmp_path / "runs", "--threads", "1") == 0
    assert "full" in capsys.readouterr().out
    assert all("quartiles" in record["metrics"] for record in evaluations(fresh_home / "artifacts").values())
    assert ddbench("artifacts", "list") == 0
    assert "difficulty" in capsys.readouterr().out


def test_two_trainings_of_one_difficulty_agree_to_the_bit(quick, fresh_home, monkeypatch):
    from ddbench.work.engine import Engine

    families = installed().architectures
    spec = difficulty.difficulty_spec(digits(), families)
    files = []
    for name in ("one", "two"):
        monkeypatch.setenv("DDBENCH_HOME", str(fresh_home / name))
        resolve(parse_source("digits", installed().datasets))
        folder = difficulty.build(spec, Engine(device="cpu", threads=1), families, lambda done: None)
        files.append((folder / difficulty.FILE).read_bytes())
    assert files[0] == files[1]
    wrong = load_file(folder / difficulty.FILE)["wrong"]
    assert (wrong.min(), wrong.max()) == (0, 4)


def test_two_builds_at_once_train_once(quick):
    from concurrent.futures import ThreadPoolExecutor

    from ddbench.work.engine import Engine

    families, ticks = installed().architectures, []
    spec = difficulty.difficulty_spec(digits(), families)

    def build(_):
        return difficulty.build(spec, Engine(device="cpu", threads=1), families, ticks.append)

    resolve(parse_source("digits", installed().datasets))
    with ThreadPoolExecutor(2) as pool:
        folders = set(pool.map(build, range(2)))
    assert len(folders) == 1
    assert ticks == list(range(1, 21))
    assert difficulty.read(spec) is not None


def test_three_test_images_are_a_problem_and_no_error(tmp_path, capsys, quick):
    generator, source = np.random.default_rng(0), tmp_path / "few.npz"
    labels = np.arange(60) % 2
    images = (generator.random((60, 8, 8, 1)) * 255).astype(np.uint8)
    np.savez(source, x_train=images[3:], y_train=labels[3:], x_test=images[:3], y_test=labels[:3])
    out = tmp_path / "runs"
    data = ("--datasets", f"few=npz:{source}")
    command = ("run", "--methods", "random", "--ipc", "1", "--seeds", "2", *data, *SMOKE, "--out", out)
    assert ddbench(*command, "--reference-limit", "0") == 0
    capsys.readouterr()
    assert ddbench("results", "quartiles", "--out", out, "--threads", "1") == 1
    told = capsys.readouterr().err
    assert told.count("3 test images make no quartiles") == 1
    assert "Traceback" not in told


def test_a_record_that_was_removed_while_the_network_learned_stays_removed(tmp_path, capsys, quick, monkeypatch):
    out = tmp_path / "runs"
    assert ddbench(*RUN, "--reference-limit", "0", "--out", out) == 0
    gone, train = next(iter(evaluations(out))), difficulty.build

    def meanwhile(*arguments):
        gone.unlink()
        return train(*arguments)

    monkeypatch.setattr(difficulty, "build", meanwhile)
    assert ddbench("results", "quartiles", "--out", out, "--threads", "1") == 1
    told = capsys.readouterr().err
    assert f"{gone}: changed on disk in the meantime" in told
    assert "3 of 3 records written" in told
    assert not gone.exists()


def test_damaged_predictions_are_named_and_the_others_still_counted(tmp_path, capsys, quick):
    out = tmp_path / "runs"
    assert ddbench(*RUN, "--reference-limit", "0", "--out", out) == 0
    path = next(iter(evaluations(out)))
    path.with_suffix(".safetensors").write_bytes(b"garbage")
    assert ddbench("results", "quartiles", "--out", out, "--threads", "1") == 1
    told = capsys.readouterr().err
    assert path.stem in told
    assert "3 of 3 records written" in told


def test_an_empty_folder_is_a_usage_error(tmp_path, capsys):
    assert ddbench("results", "quartiles", "--out", tmp_path) == 2
    assert "holds no evaluations" in capsys.readouterr().err
