"""Experts: the trajectory of a plain training loop, in distinct snapshots that can be read one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from ddbench.blocks import experts as block
from ddbench.blocks.experts import Experts, build
from ddbench.blocks.params import ExpertsParams
from ddbench.blocks.sam import gsam_step
from ddbench.core.errors import CorruptFileError, NodeFailureError
from tests.fakes import FakeContext, toy

PLAIN = {"experts": 2, "epochs": 3, "batch": 32, "lr": 0.05, "augment": "none"}


def context() -> FakeContext:
    return FakeContext(toy(), toy((2, 2, 2), seed=9))


def built(folder, **params) -> Experts:
    folder.mkdir(exist_ok=True)
    build(context(), folder, ExpertsParams(**{**PLAIN, **params}))
    return Experts(folder)


def by_hand(ctx, expert, updates, lr=0.05, batch=32, gsam=None):
    """The textbook loop, as oracle."""
    net = ctx.build_model(seed=ctx.seed("expert", str(expert), "model"))
    order = torch.Generator().manual_seed(ctx.seed("expert", str(expert), "order"))
    rest = torch.empty(0, dtype=torch.int64)
    for _ in range(updates):
        if len(rest) == 0:
            rest = torch.randperm(len(ctx.train), generator=order)
        index, rest = rest[:batch], rest[batch:]
        x, y = ctx.train.images(index), ctx.train.labels[index]
        if gsam:
            gsam_step(net, x, y, lr=lr, **gsam)
            continue
        loss = functional.cross_entropy(net(x), y)
        for parameter, gradient in zip(
            net.parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True
        ):
            parameter.data -= lr * gradient
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_snapshots_are_those_of_plain_sgd_after_each_epoch(tmp_path):
    pool = built(tmp_path / "a")
    assert (len(pool), pool.last) == (2, 3)
    for expert, t in ((0, 0), (0, 2), (1, 3)):
        torch.testing.assert_close(pool.snapshot(expert, t), by_hand(context(), expert, 3 * t), rtol=1e-5, atol=1e-6)


def test_snapshots_are_distinct_tensors(tmp_path):
    """On a CPU a snapshot without a copy aliases the live weights, and all equal the last."""
    pool = built(tmp_path / "a")
    snapshots = [pool.snapshot(0, t) for t in range(4)]
    assert all(float((a - b).norm()) > 0 for a, b in pairwise(snapshots))
    assert not torch.equal(pool.snapshot(0, 0), pool.snapshot(1, 0))


def test_gsam_experts_take_gsam_steps(tmp_path):
    pool = built(tmp_path / "a", optimiser="gsam", rho=0.05, alpha=0.5)
    torch.testing.assert_close(
        pool.snapshot(0, 1), by_hand(context(), 0, 3, gsam={"rho": 0.05, "alpha": 0.5}), rtol=1e-5, atol=1e-6
    )


def test_snapshots_may_be_closer_than_an_epoch(tmp_path):
    assert built(tmp_path / "a", snapshot_updates=1).last == 9


def test_accuracy_rises_along_the_trajectory(tmp_path):
    curve = built(tmp_path / "a", epochs=10).train_top1
    assert curve.shape == (2, 11)
    assert float(curve[:, -1].min()) > float(curve[:, 0].max())


def test_bfloat16_halves_the_file_and_reads_as_float32(tmp_path):
    full, half = built(tmp_path / "a"), built(tmp_path / "b", storage="bfloat16")
    assert half.files[0].stat().st_size < 0.6 * full.files[0].stat().st_size
    assert half.snapshot(0, 1).dtype == torch.float32
    torch.testing.assert_close(half.snapshot(0, 1), full.snapshot(0, 1), rtol=1e-2, atol=1e-3)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("moment", [1, 5, 12])
def test_a_killed_build_continues_to_the_bit(tmp_path, monkeypatch, moment):
    monkeypatch.setattr(block, "CHECKPOINT_S", 0.0)
    whole = built(tmp_path / "whole", augment="dsa")
    ctx, ticks = context(), []

    def progress(done, total, what=""):
        ticks.append(done)
        if len(ticks) == moment:
            raise KilledError

    ctx.progress = progress
    (tmp_path / "killed").mkdir()
    with pytest.raises(KilledError):
        build(ctx, tmp_path / "killed", ExpertsParams(**{**PLAIN, "augment": "dsa"}))
    again = built(tmp_path / "killed", augment="dsa")
    for ours, theirs in zip(again.files, whole.files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_file_cut_short_is_said(tmp_path):
    pool = built(tmp_path / "a")
    assert pool.last == 3
    pool.files[0].write_bytes(pool.files[0].read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match="expert_000"):
        pool.snapshot(0, 1)
    with pytest.raises(IndexError, match=r"snapshot 4 of 0 … 3"):
        pool.snapshot(1, 4)


@pytest.mark.parametrize(
    ("lr", "status", "reason"),
    [
        (1e30, "nan", "expert 0 by update 3: its parameters are no numbers; lower expert_lr 1e\\+30"),
        (1e-30, "failed", "expert 0 by update 3: it has not moved"),
    ],
)
def test_a_pool_to_learn_nothing_from_is_stopped_at_its_first_snapshot(tmp_path, lr, status, reason):
    with pytest.raises(NodeFailureError, match=reason) as caught:
        built(tmp_path / "a", lr=lr)
    assert caught.value.status == status
