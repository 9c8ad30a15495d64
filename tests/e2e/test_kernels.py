"""Kernel ridge regression beside networks: tables of its own, rows of labels alone, what is recorded."""

from __future__ import annotations

import json

import pytest

from tests.e2e.runs import SMOKE, ddbench

BASE = ("--methods", "random,label_solve,kip", "--ipc", "1", "--seeds", "2", *SMOKE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where both runs are, so that the second one has to add little."""
    return tmp_path_factory.mktemp("kernels")


def lines(text, label):
    return [line for line in text.splitlines() if line.startswith(f"| {label} ")]


def test_networks_and_kernels_stand_in_tables_of_their_own(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    protocols = ("--protocols", "hard-fixed,krr-fc1", "--views", "main,scores,regime,ranks")
    assert ddbench("run", *BASE, *protocols, "--out", "runs") == 0
    shown = capsys.readouterr().out
    captions = [line for line in shown.splitlines() if "test top-1 %, mean" in line]
    assert "hard-fixed@1 (smoke: for tests only, 10 updates)" in captions[0] and captions[0].endswith("× 1 student")
    assert "krr-fc1@1 (smoke: for tests only, kernel ridge regression, fc1, no network is trained)" in captions[1]
    assert "ntk-fc1" in captions[1] and captions[1].endswith("over 2 repetitions")
    hard, kernel = shown.split("test top-1 %, mean")[1:3]
    assert "= random (labels only)" in lines(hard, "label_solve")[0]
    assert "±" in lines(kernel, "label_solve")[0] and "±" in lines(kernel, "kip ¹")[0]
    regime = next(line for line in shown.splitlines() if "kernel ridge regression, fc1 (krr-fc1@1 → ntk-fc1)" in line)
    assert "hard labels, DSA, lr .01 (hard-fixed@1)" in regime
    records = [json.loads(path.read_text()) for path in (folder / "runs").rglob("eval/*.json")]
    own = [record for record in records if record["spec"]["eval"]["protocol"] == "krr-fc1"]
    assert len(own) == 3 * 2 and {record["spec"]["eval"]["arch"] for record in own} == {"ntk-fc1"}
    for record in own:
        tried = record["metrics"]["ridge_val_top1"]
        assert tried[f"{record['metrics']['ridge']:g}"] == max(tried.values()) and len(tried) == 6
    trained = [record["spec"]["label"] for record in records if record["spec"]["eval"]["protocol"] == "hard-fixed"]
    assert sorted(trained) == ["kip"] * 2 + ["random"] * 2, "labels alone are not trained again"


def test_ranks_and_recoveries_never_mix_them(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert ddbench("run", *BASE, "--protocols", "hard-fixed,krr-fc1,krr-fc3", "--views", "ranks", "--out", "runs") == 0
    ranks = capsys.readouterr().out
    captions = [line for line in ranks.splitlines() if "krr-" in line or "hard-fixed" in line]
    assert captions and all(
        sum(name in line for name in ("hard-fixed@1", "krr-fc1@1", "krr-fc3@1")) == 1 for line in captions
    )


def test_a_kernel_that_is_too_large_is_told_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = ("--methods", "random", "--ipc", "1,10", "--seeds", "1", *SMOKE)
    assert ddbench("plan", *few[:-4], "--protocols", "krr-convpool3") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "at most 50 images of 8 × 8, not 100 of 8 × 8" in shown and "not measured: convpool3 pools" in shown
