"""Importing experts: what comes out is what was in the files, and what cannot be right is said."""

from __future__ import annotations

import pickle

import pytest
import torch

from ddbench.blocks.buffers import read_buffer, write_pool
from ddbench.blocks.experts import Experts
from ddbench.cli import invoke
from ddbench.core.errors import DataError
from ddbench.models import build_model


def net():
    return build_model("convnet1-w4", channels=1, classes=10, size=8, seed=0)


SHAPES = [parameter.shape for parameter in net().parameters()]


def trajectory(seed, snapshots=4, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(snapshots)]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "replay_buffer_0.pt", tmp_path / "replay_buffer_1.pt"]
    torch.save([trajectory(0), trajectory(1)], paths[0])
    torch.save([trajectory(2)], paths[1])
    return paths


def test_a_pool_holds_the_experts_of_all_files_in_order(tmp_path, files):
    folder = tmp_path / "pool"
    folder.mkdir()
    assert write_pool(folder, files, SHAPES) == (3, 3)
    pool = Experts(folder)
    for expert in range(3):
        for t in range(4):
            expected = torch.cat([part.flatten() for part in trajectory(expert)[t]])
            assert torch.equal(pool.snapshot(expert, t), expected)


def broken(change):
    def write(path):
        content = [trajectory(0), trajectory(1)]
        torch.save(change(content), path)

    return write


def cut_short(path):
    torch.save([trajectory(0)], path)
    path.write_bytes(path.read_bytes()[:-500])


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


def code(path):
    path.write_bytes(pickle.dumps([[[Evil()]]], protocol=2))


def aliased(content):
    return [[content[0][0]] * 4]


def infinite(content):
    content[0][2][0] = content[0][2][0] * float("inf")
    return content


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (cut_short, "cut short, or not saved by torch"),
        (code, "of other objects than tensors, which are refused"),
        (broken(lambda _: {"accs": 1}), "expected a list of experts, found dict"),
        (broken(lambda _: []), "expected a list of experts, found an empty one"),
        (broken(lambda c: [c[0][:1]]), "expert 0: expected a list of at least two snapshots"),
        (broken(lambda c: [c[0], [s[:-1] for s in c[1]]]), r"expert 1, snapshot 0: 5 parameters for 6; which arch"),
        (broken(lambda c: [trajectory(0, shapes=[torch.Size([8, 1, 3, 3]), *SHAPES[1:]])]),
         r"parameter 0 has shape \[8, 1, 3, 3\], not \[4, 1, 3, 3\]; which architecture"),
        (broken(aliased), "two snapshots are equal"),
        (broken(lambda c: [[[t.to_sparse() for t in s] for s in c[0]]]), "not a plain float tensor"),
        (broken(lambda c: [[[t.long() for t in s] for s in c[0]]]), "torch.int64"),
        (broken(infinite), "not all parameters are finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_said(tmp_path, write, said, capsys):
    path = tmp_path / "replay_buffer_0.pt"
    write(path)
    with pytest.raises(DataError, match=said):
        list(read_buffer(path, SHAPES))
    assert "ran" not in capsys.readouterr().out


def test_experts_of_other_lengths_do_not_mix(tmp_path):
    path = tmp_path / "replay_buffer_0.pt"
    torch.save([trajectory(0), trajectory(1, snapshots=3)], path)
    with pytest.raises(DataError, match="an expert has 3 snapshots, another has 4"):
        write_pool(tmp_path, [path], SHAPES)


def test_imported_experts_feed_a_run(tmp_path, files, monkeypatch, capsys):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    options = ["--dataset", "digits", "--arch", "convnet1-w4", "--preprocess", "meanstd"]
    assert invoke(["artifacts", "import", *map(str, files), *options]) == 0
    said = capsys.readouterr()
    assert "3 experts of 4 snapshots" in said.out and "no val" in said.err
    assert "expert 0 on train: " in said.err
    command = said.out.split("ddbench ")[1].split()
    run = [*command, "--profile", "smoke", "--seeds", "1", "--out", str(tmp_path / "runs")]
    assert invoke(run) == 0
    assert "experts imported" in capsys.readouterr().out
    assert invoke([*run, "--set", "mtt.expert_source=0123456789abcdef"]) == 2
    said = capsys.readouterr().err
    assert "0123456789abcdef" in said and "convnet1-w4-nn" not in said and "3 experts of 3 epochs" in said


def test_files_are_told_apart_by_content_and_order(tmp_path, files, monkeypatch, capsys):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    options = ["--dataset", "digits", "--arch", "convnet1-w4", "--preprocess", "meanstd"]
    other = tmp_path / "elsewhere" / files[0].name
    other.parent.mkdir()
    torch.save([trajectory(7)], other)
    for chosen in (files, files[::-1], [other, files[0]], [files[0], other]):
        assert invoke(["artifacts", "import", *map(str, chosen), *options]) == 0
    assert len(list((tmp_path / "home/artifacts/experts").iterdir())) == 4
    copy = tmp_path / "copy.pt"
    copy.write_bytes(files[0].read_bytes())
    assert invoke(["artifacts", "import", str(files[0]), str(copy), *options]) == 2
    assert "the same content as" in capsys.readouterr().err


def test_a_failed_import_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DDBENCH_HOME", str(tmp_path / "home"))
    path = tmp_path / "replay_buffer_0.pt"
    cut_short(path)
    assert invoke(["artifacts", "import", str(path), "--dataset", "digits", "--preprocess", "meanstd"]) == 2
    assert str(path) in capsys.readouterr().err
    assert not list((tmp_path / "home").glob("artifacts/experts/*"))
