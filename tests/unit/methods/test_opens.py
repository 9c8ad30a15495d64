"""Pools are charged for what a method can open: what it says is what it opens, whatever its window."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbench.blocks.experts import Experts, build
from ddbench.core.specs import Budget
from ddbench_plugins.datm.method import DATM
from ddbench_plugins.datm.params import DATMParams
from ddbench_plugins.ftd.method import FTD
from ddbench_plugins.ftd.params import FTDParams
from ddbench_plugins.mtt.method import MTT
from ddbench_plugins.mtt.params import MTTParams
from ddbench_plugins.random_soft.method import RandomSoft
from ddbench_plugins.random_soft.params import RandomSoftParams
from ddbench_plugins.tesla.method import TESLA
from ddbench_plugins.tesla.params import TESLAParams
from tests.fakes import FakeContext, toy
from tests.unit.methods.test_mtt import INFO, cell

WINDOW = {"experts": 2, "expert_batch": 32, "iterations": 40, "syn_steps": 1, "match_snapshots": 2, "lr_img": 1e-6,
          "lr_init": 1e-4, "expert_lr": 0.05, "gate": 0.0}  # fmt: skip
HARD = {"labels": "hard", "init": "real", "expert_optimiser": "sgd"}
POOL = {"experts": 2, "expert_batch": 32}


def last_update(params, n_train):
    """How many updates an expert had done at its last snapshot: not all, where snapshots do not end with an epoch."""
    return params.last_snapshot(n_train) * (params.snapshot_updates or -(-n_train // params.expert_batch))


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 20), st.sampled_from([0, 1, 7, 30]), st.integers(8, 512))
def test_the_share_of_a_window_is_that_of_the_updates_up_to_its_end(epochs, bound, length, every, batch):
    p = MTTParams(
        expert_epochs=epochs, max_start=bound, match_snapshots=length, snapshot_updates=every, expert_batch=batch
    )
    if p.unsupported(cell(), INFO) is not None:  # no expert reaches so far
        return
    per_epoch = -(-INFO.n_train // batch)
    share = p.opens("experts", cell(), INFO)
    assert share == pytest.approx((bound - 1 + length) * (every or per_epoch) / (epochs * per_epoch))
    assert 0.0 < share <= 1.0
    assert p.opens("features", cell(), INFO) == 1.0
    wider = p.model_copy(update={"max_start": bound + 1})
    assert wider.unsupported(cell(), INFO) is not None or wider.opens("experts", cell(), INFO) > share


def test_by_hand():
    p = {"expert_epochs": 50, "max_start": 20, "match_snapshots": 2}
    assert MTTParams(**p).opens("experts", cell(), INFO) == pytest.approx(21 / 50)
    assert FTDParams(**p).opens("experts", cell(), INFO) == pytest.approx(21 / 50)
    assert TESLAParams(**p).opens("experts", cell(), INFO) == pytest.approx(21 / 50)
    assert TESLAParams(**p, labels="teacher").opens("experts", cell(), INFO) == 1.0
    assert MTTParams(**p, init="correct").opens("experts", cell(), INFO) == 1.0
    assert MTTParams(**p, iterations=0).opens("experts", cell(), INFO) == 0.0, "random's images: no expert is opened"
    assert DATMParams(**p).opens("experts", cell(), INFO) == 1.0
    assert DATMParams(**p, iterations=0).opens("experts", cell(), INFO) == 1.0
    assert DATMParams(**p | HARD).opens("experts", cell(), INFO) == pytest.approx(21 / 50)
    assert MTTParams(**p, expert_source="theirs").opens("experts", cell(), INFO) == pytest.approx(21 / 50)
    assert RandomSoftParams(expert_epochs=50).opens("experts", cell(), INFO) == 1.0


METHODS = {
    "mtt": (MTT, MTTParams, {**WINDOW, "max_start": 2}),
    "mtt, correct": (MTT, MTTParams, {**WINDOW, "max_start": 2, "init": "correct"}),
    "mtt, 0 steps": (MTT, MTTParams, {**WINDOW, "max_start": 2, "iterations": 0}),
    "ftd": (FTD, FTDParams, {**WINDOW, "max_start": 3, "expert_optimiser": "sgd"}),
    "tesla": (TESLA, TESLAParams, {**WINDOW, "max_start": 1}),
    "tesla, teacher": (TESLA, TESLAParams, {**WINDOW, "max_start": 1, "labels": "teacher"}),
    "datm": (DATM, DATMParams, {**WINDOW, "max_start": 2, "expert_optimiser": "sgd"}),
    "datm, real": (DATM, DATMParams, {**WINDOW, "max_start": 2, "expert_optimiser": "sgd", "init": "real"}),
    "datm, hard": (DATM, DATMParams, {**WINDOW, "max_start": 2, **HARD}),
    "random_soft": (RandomSoft, RandomSoftParams, {**POOL, "snapshots": 3}),
}


@pytest.mark.parametrize("every", [0, 2])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_charged_is_what_is_opened(name, every, tmp_path, monkeypatch):
    """The last snapshot that a run reads is the last that its params say it may read, and so is the share."""
    method_class, params_class, values = METHODS[name]
    p = params_class(**values, expert_epochs=6, snapshot_updates=every)
    split, val = toy(), toy((2, 2, 2), seed=9)
    build(FakeContext(toy(), val), tmp_path, p.pool)
    opened, read = [], Experts.snapshot
    monkeypatch.setattr(Experts, "snapshot", lambda pool, expert, t: (opened.append(t), read(pool, expert, t))[1])
    context = FakeContext(split, val, Budget(ipc=2), artifacts={"experts": tmp_path})
    if name == "random_soft":
        monkeypatch.setattr(FakeContext, "score", lambda self, condensed: 1.0, raising=False)
    method = method_class(p)
    method.prepare(context)
    while not method.done(context):
        method.step(context)
        context.step += 1
    assert max(opened, default=0) == p.last_opened(len(split))
    updates, last = p.expert_epochs * -(-len(split) // p.expert_batch), p.last_snapshot(len(split))
    trained = last_update(p, len(split)) * max(opened, default=0) / last
    assert p.opens("experts", cell(), context.dataset) == pytest.approx(trained / updates)
