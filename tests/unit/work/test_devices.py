"""GPUs that are named: which there are, and what a process of its own for each of them sees. No GPU is needed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ddbench import evaluate, run
from ddbench.core.errors import UsageError
from ddbench.work import engine
from ddbench.work.engine import Engine
from ddbench.work.executors import devices
from ddbench.work.executors.devices import NO_MPS, VARIABLE, environment, named
from tests.e2e.runs import SMOKE, ddbench


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A machine without GPUs, until a test makes their files."""
    folder = tmp_path / "dev"
    folder.mkdir()
    monkeypatch.setattr(devices, "FILES", folder)
    monkeypatch.delenv(VARIABLE, raising=False)
    return folder


def with_gpus(folder, n):
    for name in [*(f"nvidia{index}" for index in range(n)), "nvidiactl", "nvidia-uvm"]:
        (folder / name).touch()


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_a_word_names_no_gpu(files, device):
    with_gpus(files, 2)
    assert named(device) == ()


def test_all_are_those_that_the_driver_shows(files):
    with_gpus(files, 3)
    assert named("all") == ("cuda:0", "cuda:1", "cuda:2")
    assert named("cuda:2,cuda:0") == ("cuda:2", "cuda:0")
    assert [environment(name) for name in named("all")] == [{VARIABLE: "0"}, {VARIABLE: "1"}, {VARIABLE: "2"}]


@pytest.mark.parametrize(("told", "seen"), [("4,6", ["4", "6"]), (" GPU-a , GPU-b", ["GPU-a", "GPU-b"])])
def test_gpus_are_counted_among_those_that_this_process_was_given(files, monkeypatch, told, seen):
    with_gpus(files, 8)
    monkeypatch.setenv(VARIABLE, told)
    assert named("all") == ("cuda:0", "cuda:1")
    assert [environment(name)[VARIABLE] for name in named("all")] == seen
    with pytest.raises(UsageError, match="cuda:2: there is no such GPU here; there are: cuda:0, cuda:1"):
        named("cuda:1,cuda:2")


@pytest.mark.parametrize("told", ["", "-1", "-1,0"])
def test_a_process_that_was_given_none_has_none(files, monkeypatch, told):
    with_gpus(files, 2)
    monkeypatch.setenv(VARIABLE, told)
    for device in ("all", "cuda:0"):
        with pytest.raises(UsageError, match=f"--device {device}: "):
            named(device)


@pytest.mark.parametrize("told", [None, "0"])
def test_where_no_driver_shows_a_gpu_none_is_taken_and_the_message_says_what_to_say(monkeypatch, told):
    if told is not None:
        monkeypatch.setenv(VARIABLE, told)
    for device in ("cuda", "cuda:0", "cuda:0,cuda:1", "all"):
        with pytest.raises(UsageError, match=f"--device {device}: no GPU is found here.*; say cpu or auto"):
            named(device)


def test_a_torch_for_cpus_is_told_without_importing_it(files, tmp_path, monkeypatch):
    with_gpus(files, 1)
    (tmp_path / "version.py").write_text("cuda = None\nhip = None\n")
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(devices, "find_spec", lambda name: found)
    with pytest.raises(UsageError, match="--device cuda: the torch that is installed here computes on CPUs alone; say"):
        named("cuda")
    (tmp_path / "version.py").write_text("cuda = None\nhip = '6.2'\n")
    assert named("cuda") == ()


@pytest.mark.parametrize("driver", ["nvidiactl", "kfd", "dxg", "nvhost-gpu"])
def test_where_files_do_not_count_gpus_a_name_is_taken_at_its_word_and_all_is_refused(files, driver):
    (files / driver).touch()
    assert named("cuda") == ()
    assert named("cuda:1") == ("cuda:1",)
    assert environment("cuda:1") == {VARIABLE: "1"}
    with pytest.raises(UsageError, match="name them"):
        named("all")


def test_an_engine_knows_no_index_so_that_a_node_continues_on_another_gpu():
    kept = Engine.model_validate({"device": "cuda:1", "threads": 1, "engine": "eager"})
    assert kept == Engine(device="cuda:0", threads=1) == Engine(device="cuda", threads=1)


def test_in_this_process_a_named_gpu_is_cuda_from_then_on(monkeypatch):
    taken = []
    monkeypatch.setattr(torch, "empty", lambda *size, device: taken.append(device))
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert engine.choose(device="cuda:1", threads=2) == Engine(device="cuda", threads=2)
    assert taken == ["cuda:1", "cuda:1"]
    assert engine.choose(device="cuda", threads=2) == Engine(device="cuda", threads=2)
    assert taken[2:] == ["cuda"], "torch's own choice stays"


def test_free_memory_is_that_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3 * 2**30, 4 * 2**30))
    assert engine.free_mb(Engine(device="cuda", threads=1)) == 3072.0
    assert engine.free_mb(Engine(device="cpu", threads=1)) is None


@pytest.mark.parametrize("there", [False, True], ids=["no GPU of Apple's", "one that torch can use"])
@pytest.mark.parametrize(
    "command",
    ["plan --methods random --ipc 1", "run --methods random --ipc 1", "results quartiles", "plugin check random"],
)
def test_a_gpu_of_apple_s_is_refused_in_a_line_that_says_why(command, there, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)
    monkeypatch.chdir(tmp_path)
    assert ddbench(*command.split(), "--device", "mps") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--device" in line and line.endswith(NO_MPS)
    assert not (tmp_path / "runs").exists()


def test_a_gpu_of_apple_s_is_refused_in_python_as_well(tmp_path):
    with pytest.raises(UsageError, match=NO_MPS):
        run(methods=["random"], ipc=[1], out=tmp_path / "runs", device="mps")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--device", "cuda:0,cuda:7"), "--device cuda:7: there is no such GPU here; there are: cuda:0, cuda:1"),
        (("--device", "cuda:0,cpu"), "'cuda:0,cpu' is none of auto, cpu, cuda"),
        (("--device", "cuda:0,"), "'cuda:0,' is none of auto, cpu, cuda"),
        (("--device", "all,cuda:0"), "'all,cuda:0' is none of auto, cpu, cuda"),
        (("--device", "cuda:1,cuda:1"), "'cuda:1,cuda:1' names a GPU twice; --jobs 2"),
        (("--device", "all", "--executor", "local"), "--executor local computes on one device"),
    ],
)
def test_a_device_that_is_not_there_is_a_mistake_in_the_command(files, tmp_path, capsys, command, options, told):
    with_gpus(files, 2)
    assert ddbench(command, "--methods", "random", "--ipc", "1", "--out", tmp_path / "runs", *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_gpus_that_torch_cannot_use_end_a_run_before_a_node_begins(files, tmp_path, capsys, monkeypatch):
    with_gpus(files, 2)
    monkeypatch.setenv(VARIABLE, "GPU-nosuch,GPU-neither")
    out = tmp_path / "runs"
    assert ddbench("run", "--methods", "random", "--ipc", "1", *SMOKE, "--device", "all", "--out", out) == 2
    told = capsys.readouterr().err
    assert any(f"cuda:{index}: --device cuda: torch cannot use it here (" in told for index in (0, 1))
    assert not list(out.rglob("*.safetensors")) and not list(out.rglob(".claims/*"))


NOWHERE = {
    "banana": "'banana' is none of auto, cpu, cuda",
    "": "'' is none of auto, cpu, cuda",
    "CPU": "'CPU' is none of auto, cpu, cuda",
    "cpu:0": "'cpu:0' is none of auto, cpu, cuda",
    "cuda": "cuda: no GPU is found here; say cpu or auto",
    "cuda:9": "cuda:9: no GPU is found here; say cpu or auto",
}
"""What is said of devices that a machine without GPUs does not have."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A results folder in which everything is made, and a file that is evaluated there."""
    folder = tmp_path_factory.mktemp("finished")
    generator = torch.Generator().manual_seed(0)
    np.savez(folder / "mine.npz", images=torch.randint(0, 256, (10, 1, 8, 8), generator=generator, dtype=torch.uint8),
             labels=torch.arange(10))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "FILES", folder)
        assert ddbench("run", "--methods", "random", "--ipc", "1", *SMOKE, "--out", folder / "runs") == 0
    return folder


@pytest.mark.parametrize("device", NOWHERE)
def test_a_device_that_is_nowhere_is_refused_before_anything_is_looked_at_in_every_command(
    finished, tmp_path, device, capsys
):
    known = ("--methods", "random", "--ipc", "1", *SMOKE, "--out", finished / "runs")
    new = ("--methods", "random", "--ipc", "1", *SMOKE, "--out", tmp_path / "new")
    foreign = ("evaluate", finished / "mine.npz", "--dataset", "digits", "--range", "255", "--out", tmp_path / "new")
    for words in (("run", *known), ("run", *new), ("plan", *known), ("plan", *new), ("run", *new, "--dry-run"), foreign,
                  ("results", "quartiles", "--out", finished / "runs"), ("plugin", "check", "random")):  # fmt: skip
        assert ddbench(*words, "--device", device) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "--device" in line and NOWHERE[device] in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("device", NOWHERE)
def test_functions_refuse_a_device_that_is_nowhere_as_their_argument(finished, tmp_path, device):
    images = torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10)
    for function in (
        lambda: run(methods=["random"], ipc=[1], profile="smoke", out=finished / "runs", device=device),
        lambda: run(methods=["random"], ipc=[1], profile="smoke", out=tmp_path / "new", device=device),
        lambda: evaluate(images, dataset="digits", range="255", out=tmp_path / "new", device=device),
    ):
        with pytest.raises(UsageError) as error:
            function()
        assert str(error.value).startswith(f"device={device!r}")
        assert NOWHERE[device].rpartition(": ")[2] in str(error.value)
    assert not (tmp_path / "new").exists()


def test_one_file_at_a_time_is_read_on_one_device(capsys, tmp_path):
    assert ddbench("results", "quartiles", "--out", tmp_path, "--device", "cuda:0,cuda:1") == 2
    assert "'cuda:0,cuda:1' is none of auto, cpu, cuda, cuda:1" in capsys.readouterr().err


def test_the_plan_says_how_many_processes_compute_and_where(files, tmp_path, capsys):
    with_gpus(files, 2)

    def said(*options):
        assert ddbench("plan", "--methods", "random", "--ipc", "1", "--out", tmp_path / "runs", *options) == 0
        return capsys.readouterr().err

    assert "in 2 processes on cuda:0, cuda:1 by engine eager\n" in said("--device", "all")
    assert "in 3 processes on cuda:0, cuda:1 by engine eager\n" in said("--device", "cuda:0,cuda:1", "--jobs", "3")
    assert "in 1 process on cuda:1 by engine eager\n" in said("--device", "cuda:1")
    assert "in this process on cuda:1 by engine eager\n" in said("--device", "cuda:1", "--executor", "local")
