"""Bad input gets a clear error and loses nothing; failures are rows."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from ddbench.core.store.files import home
from tests.e2e.runs import SMOKE, contents, ddbench, evaluations, placed, plugin

BASE = ("--reference-limit", "0s", "--seeds", "2", *SMOKE)


def run(out, *arguments):
    return ddbench("run", "--out", out, *BASE, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--methods", "randon", "--ipc", "1"],
            "unknown method 'randon'; did you mean random or grand? (see `ddbench list methods`)",
        ),
        (["--methods", "dm", "--ipc", "1", "--datasets", "digit"], "did you mean digits?"),
        (["--methods", "dm", "--ipc", "1", "--archs", "convnet9"], "unknown architecture 'convnet9'"),
        (["--methods", "dm", "--ipc", "1", "--eval-archs", "convnet2-x"], "suffix '-x' is not understood"),
        (["--methods", "dm", "--ipc", "1", "--protocols", "hart"], "did you mean hard?"),
        (["--methods", "dm", "--ipc", "1", "--protocols", "hard@9"], "this ddbench has hard@2"),
        (["--methods", "dm", "--ipc", "1", "--preprocess", "meanstdd"], "unknown preprocessing 'meanstdd'"),
        (["--methods", "dm", "--ipc", "1", "--profile", "shrot"], "unknown profile 'shrot'; did you mean short?"),
        (
            ["--methods", "dm", "--ipc", "1", "--set", "dm.lr_image=1"],
            "unknown parameter 'lr_image'; did you mean lr_img?",
        ),
        (
            ["--methods", "dm", "--ipc", "1", "--set", "dm.lr_img=-1"],
            "parameter lr_img: Input should be greater than 0",
        ),
        (["--methods", "dm", "--ipc", "1", "--set", "dm.iterations=true"], "parameter iterations: True is no number"),
        (["--methods", "dm", "--ipc", "1", "--set", "dm.lr_img=false"], "parameter lr_img: False is no number"),
        (["--methods", "dm", "--ipc", "1", "--set", "kmeans.x=1"], "'kmeans' is not among the methods"),
        (["--methods", "dm", "--ipc", "1", "--set", "lr"], "is not of the form method.param=value"),
        (["--methods", "dm", "--ipc", "0"], "ipc must be at least 1, got 0"),
        (["--methods", "dm", "--ipc", "-3"], "ipc must be at least 1, got -3"),
        (["--methods", "dm", "--ipc", "1,,2"], "empty item"),
        (["--methods", "dm,", "--ipc", "1"], "empty item"),
        (["--methods", "dm", "--ipc", "one"], "'one' is not a whole number"),
        (
            ["--methods", "dm", "--ipc", "500"],
            "ipc is at most 121 here: at least half of the classes must have so many training images",
        ),
        (["--methods", "random", "--ipc", "500"], "ipc is at most 121"),
        (["--methods", "dm", "--fraction", "1.5"], "a fraction lies in (0, 1]"),
        (["--methods", "dm", "--ipc", "1", "--fraction", "0.1"], "not both"),
        (["--methods", "dm"], "pass --ipc 1,10"),
        (["--ipc", "1"], "pass --methods"),
        (["--suite", "nowhere"], "no suite 'nowhere'"),
        (["--methods", "dm", "--ipc", "1", "--timeout", "soon"], "'soon' is not a duration"),
        (["--methods", "dm", "--ipc", "1", "--device", "quantum"], "'quantum' is none of auto, cpu, cuda"),
        (["--methods", "dm", "--ipc", "1", "--plugin", "nofile.py"], "no such file"),
        (["--methods", "dm", "--ipc", "1", "--frobnicate"], "No such option"),
        (["--methods", "dm", "--ipc", "1", "--datasets", "cifar10"], "ddbench data prepare cifar10 --from DIR"),
        (["--methods", "dm", "--ipc", "1", "--datasets", "mine=folder:/nowhere"], "/nowhere"),
        (["--methods", "dm", "--ipc", "1", "--datasets", "cifar10=npz:x.npz"], "cifar10"),
        (["--methods", "dm", "--ipc", "1", "--split", "paper"], "use dc2021 or hard-fixed"),
    ],
)
def test_mistakes_are_usage_errors_before_anything_runs(tmp_path, capsys, arguments, message):
    assert run(tmp_path / "runs", *arguments) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not list(tmp_path.rglob("condense.json"))


def test_a_command_that_does_not_exist_names_the_nearest(capsys):
    assert ddbench("rum") == 2
    assert "did you mean run?" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["methods: [", "[1, 2]", "methods: [dm]\nbudgets: {ipc: [1]}", "budget: {ipc: [1]}"])
def test_a_broken_suite_file_is_a_usage_error(tmp_path, capsys, text):
    (tmp_path / "s.yaml").write_text(text)
    assert run(tmp_path / "runs", "--suite", tmp_path / "s.yaml") == 2
    assert "s.yaml" in capsys.readouterr().err


def test_budgets_that_do_not_fit_are_skipped_with_the_reason_while_others_run(tmp_path, capsys):
    assert run(tmp_path / "runs", "--methods", "random", "--ipc", "1,500") == 0
    told = capsys.readouterr()
    assert (
        "skipped: ipc is at most 121 here: at least half of the classes must have so many training images" in told.out
    )
    skips = [json.loads(line) for line in (tmp_path / "runs" / "plan.jsonl").read_text().splitlines()]
    assert {"random ipc 500"} == {line["title"] for line in skips if line["state"] == "skipped"}
    assert run(tmp_path / "runs", "--methods", "random", "--ipc", "1,500", "--format", "csv") == 0
    lines = [line for line in csv.DictReader(io.StringIO(capsys.readouterr().out)) if line["row"] == "random"]
    assert {line["budget"]: line["n_images"] for line in lines} == {"ipc 1": "10", "ipc 500": ""}


def test_out_below_a_file_is_a_usage_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "runs", "--methods", "random", "--ipc", "1") == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trouble", "status", "reason"),
    [
        ("prepare", "failed", placed("RuntimeError: broken in prepare", "raise RuntimeError")),
        ("step", "failed", placed("ValueError: broken in step", "raise ValueError")),
        ("exit", "failed", placed("the plugin called sys.exit(3)", "raise SystemExit")),
        ("nan", "nan", "loss is nan at step 4"),
        ("oom", "oom", placed("out of memory", "raise MemoryError")),
    ],
)
def test_a_failing_method_is_a_row_and_the_rest_of_the_run_goes_on(tmp_path, capsys, trouble, status, reason):
    arguments = (
        "--methods",
        "mean,random",
        "--ipc",
        "1",
        "--plugin",
        plugin(tmp_path),
        "--set",
        f"mean.trouble={trouble}",
    )
    assert run(tmp_path / "runs", *arguments) == 1
    told = capsys.readouterr()
    assert status in told.out
    assert reason in told.out
    assert "Traceback" not in told.err
    assert "--retry-failed" in told.err
    record = json.loads(next((tmp_path / "runs").rglob("mean/**/condense.json")).read_text())
    assert (record["status"], record["reason"]) == (status, reason)
    assert sum("random" in path.parts for path in evaluations(tmp_path / "runs")) == 2
    if trouble != "oom":
        assert "Traceback" in next((tmp_path / "runs").rglob("mean/**/log.txt")).read_text()


def test_failures_are_shown_again_and_redone_only_when_asked(tmp_path, capsys):
    file = plugin(tmp_path)
    arguments = ("--methods", "mean", "--ipc", "1", "--plugin", file, "--set", "mean.trouble=step")
    assert run(tmp_path / "runs", *arguments) == 1
    first = capsys.readouterr()
    assert run(tmp_path / "runs", *arguments) == 1
    second = capsys.readouterr()
    assert second.out == first.out
    assert "mean" not in second.err.split("ddbench:")[0]
    assert run(tmp_path / "runs", *arguments, "--retry-failed") == 1
    assert "mean (trouble=step) ipc 1 r0 · failed" in capsys.readouterr().err


def test_a_full_disk_stops_the_run_and_keeps_what_finished(tmp_path, capsys, monkeypatch):
    arguments = ("--methods", "random", "--ipc", "1")
    real = os.fsync

    def fsync(descriptor):
        if contents(tmp_path / "runs"):  # the disk takes the first set and nothing more
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run(tmp_path / "runs", *arguments) == 1
    told = capsys.readouterr()
    assert "no space left writing" in told.err
    assert "Traceback" not in told.err
    kept = contents(tmp_path / "runs")
    assert kept
    monkeypatch.setattr(os, "fsync", real)
    assert run(tmp_path / "runs", *arguments) == 0
    assert kept.items() <= contents(tmp_path / "runs").items()
    assert not list((tmp_path / "runs").rglob("*.tmp"))


def _damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "garbage": b"\x00garbage" * 20}[how])


@pytest.mark.parametrize("how", ["cut", "empty", "garbage"])
@pytest.mark.parametrize("name", ["condense.json", "condensed.safetensors", "eval"])
def test_damaged_results_are_made_again(tmp_path, capsys, how, name):
    arguments = ("--methods", "random", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "runs", *arguments) == 0
    good = contents(tmp_path / "runs")
    record = next((tmp_path / "runs").rglob("eval/*.json"))
    path = record if name == "eval" else record.parents[1] / name
    _damage(path, how)
    if name == "condensed.safetensors":
        record.unlink()  # with all evaluations done nobody needs the set, so make somebody read it
    assert run(tmp_path / "runs", *arguments) == 0
    told = capsys.readouterr()
    assert contents(tmp_path / "runs") == good
    assert "Traceback" not in told.err


def test_a_damaged_checkpoint_means_starting_over(tmp_path, capsys):
    file = plugin(tmp_path)
    arguments = ("--methods", "mean", "--ipc", "1", "--plugin", file, "--set", "mean.pause_s=0.1", "--seeds", "1")
    assert run(tmp_path / "runs", *arguments, "--timeout", "0.25s") == 1
    _damage(next((tmp_path / "runs").rglob("mean/**/checkpoint.safetensors")), "cut")
    capsys.readouterr()
    assert run(tmp_path / "runs", *arguments) == 0
    assert "starting over" in capsys.readouterr().err
    assert run(tmp_path / "calm", *arguments) == 0
    assert contents(tmp_path / "runs") == contents(tmp_path / "calm")


def test_a_damaged_artifact_is_built_again(tmp_path, capsys, fresh_home):
    arguments = ("--methods", "herding", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "a", *arguments) == 0
    _damage(next((home() / "artifacts" / "features").rglob("features.safetensors")), "cut")
    capsys.readouterr()
    assert run(tmp_path / "b", *arguments) == 0
    told = capsys.readouterr()
    assert "built again" in told.err
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_damaged_checkpoint_of_an_artifact_means_starting_over(tmp_path, capsys, fresh_home):
    arguments = ("--methods", "herding", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "a", *arguments) == 0
    built = next((home() / "artifacts" / "features").iterdir())
    partial = built.with_suffix(".partial")
    built.rename(partial)
    for path in partial.iterdir():
        path.unlink()
    (partial / ".checkpoint.safetensors").write_bytes(b"garbage" * 10)
    capsys.readouterr()
    assert run(tmp_path / "b", *arguments) == 0
    assert "starting over" in capsys.readouterr().err
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_set_is_evaluated_without_the_artifacts_it_was_made_from(tmp_path, fresh_home):
    arguments = ("--methods", "herding", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "runs", *arguments) == 0
    shutil.rmtree(home() / "artifacts" / "features")
    assert run(tmp_path / "runs", *arguments, "--protocols", "hard,noaug") == 0


def test_a_full_disk_while_an_artifact_is_built_is_no_failure(tmp_path, capsys, monkeypatch, fresh_home):
    from ddbench.blocks import features
    from ddbench.work import failures

    arguments = ("--methods", "herding", "--ipc", "1", "--seeds", "1")
    real = features.save_file

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features, "save_file", full)
    monkeypatch.setattr(failures, "_takes", lambda folder: False)
    assert run(tmp_path / "runs", *arguments) == 1
    assert "no space left" in capsys.readouterr().err
    monkeypatch.setattr(features, "save_file", real)
    assert run(tmp_path / "runs", *arguments) == 0


def test_a_finished_run_prints_its_table_from_a_folder_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    arguments = ("--methods", "random", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "runs", *arguments) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert run(tmp_path / "runs", *arguments) == 0
    assert capsys.readouterr().out == first


def test_a_damaged_data_set_is_decoded_again(tmp_path, fresh_home):
    arguments = ("--methods", "random", "--ipc", "1", "--seeds", "1")
    assert run(tmp_path / "a", *arguments) == 0
    _damage(next((home() / "data" / "digits").rglob("images.npy")), "cut")
    assert run(tmp_path / "b", *arguments) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_options_of_a_protocol_are_not_set(tmp_path, capsys):
    assert ddbench("run", "--methods", "random", "--ipc", 1, "--set", "hard.updates=5", "--out", tmp_path) == 2
    assert "'hard' is a protocol" in capsys.readouterr().err


def test_a_reason_that_speaks_of_a_timeout_is_no_timeout(tmp_path, capsys):
    path = plugin(tmp_path)
    path.write_text(path.read_text().replace("broken in step", "timeout of my GPU"))
    code = ddbench(
        "run", "--plugin", path, "--methods", "mean", "--ipc", 1, "--set", "mean.trouble=step", *SMOKE, "--seeds", 1,
        "--reference-limit", "0s", "--out", tmp_path / "runs",
    )  # fmt: skip
    shown = capsys.readouterr().err
    assert code == 1
    assert "timeout of my GPU" in shown
    assert "--retry-failed" in shown
    assert "--timeout cut short" not in shown


@pytest.mark.parametrize(
    "command",
    [
        "results show", "results page --to p.html", "results cost", "results verify 0123", "results rm 0123", "results quantise",
        "results quartiles", "results full-stopped", "results export --all --to r.jsonl", "export 0123 --to npz", "status",
        "cancel", "plot ipc --to p.png", "plot images --to p.png",
    ],
)  # fmt: skip
def test_a_results_folder_that_is_not_there_is_named_as_that(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert ddbench(*command.split(), "--out", "nowhere") == 2
    told = capsys.readouterr().err
    assert "nowhere: no such results folder" in told and told.count("\n") == 1
    assert not [*tmp_path.iterdir()]
