"""The recording of training: what it says of images, and that a killed build goes on to the same bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as scipy_entropy

from ddbench.blocks import dynamics
from ddbench.blocks.dynamics import MEASURES, Dynamics, aum, build, forgetting, measures
from ddbench.blocks.dynamics_params import DynamicsParams, DynamicsSelectorParams, first_tenth, kept_epochs
from ddbench.core.errors import NodeFailureError
from ddbench.core.specs import Budget, CellSpec, DataSpec
from tests.fakes import FakeContext, toy

SHORT = {"epochs": 3, "batch": 16, "lr": 0.05}
CELL = CellSpec(
    method="x", method_version=1, origin="ddbench", params={}, data=DataSpec(name="digits", revision="0" * 16),
    budget=Budget(ipc=1), arch="convnet2-w8-in", master=0, r=3,
)  # fmt: skip


def recorded(tmp_path, params, ctx=None, name="recording"):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    ctx = ctx or FakeContext(toy(), toy(seed=9))
    build(ctx, folder, params)
    return ctx, Dynamics(folder)


def test_measures_equal_those_of_scipy():
    z = np.random.default_rng(0).normal(size=(40, 5)) * 3
    y = np.random.default_rng(1).integers(5, size=40)
    p, rows = softmax(z, axis=1), np.arange(40)
    expected = {
        "correct": z.argmax(1) == y,
        "margin": [z[i, y[i]] - max(z[i, j] for j in range(5) if j != y[i]) for i in rows],
        "margin_p": [p[i, y[i]] - max(p[i, j] for j in range(5) if j != y[i]) for i in rows],
        "el2n": np.linalg.norm(p - np.eye(5)[y], axis=1),
        "loss": -log_softmax(z, axis=1)[rows, y],
        "entropy": scipy_entropy(p, axis=1),
    }
    found = measures(torch.from_numpy(z), torch.from_numpy(y))
    for name, values in zip(MEASURES, found, strict=True):
        assert np.allclose(values, expected[name], atol=1e-6), name


def test_measures_of_certain_nets_are_numbers():
    found = measures(torch.tensor([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]]), torch.tensor([0, 1]))
    assert bool(torch.isfinite(found).all())
    assert found[MEASURES.index("el2n")].tolist() == pytest.approx([0.0, math.sqrt(2)])


def test_what_training_showed_is_what_the_net_said_before_the_update(tmp_path):
    """With one batch an epoch, epoch t shows what the net after t − 1 epochs says."""
    ctx, found = recorded(tmp_path, DynamicsParams(epochs=3, batch=1000, lr=0.05))
    for epoch in range(3):
        expected = measures(found.logits(epoch), ctx.train.labels)
        for row, name in enumerate(MEASURES):
            assert torch.allclose(found.presented(name)[epoch], expected[row], atol=1e-5), name


def test_every_image_is_presented_once_an_epoch(tmp_path):
    _, found = recorded(tmp_path, DynamicsParams(**SHORT))
    assert found.presented("loss").shape == (3, 90)
    assert bool((found.presented("loss") > 0).all())


@pytest.mark.parametrize("augment", ["none", "cropflip", "dsa"])
def test_a_killed_recording_goes_on_to_the_same_bit(tmp_path, monkeypatch, augment):
    params = DynamicsParams(**SHORT, augment=augment)
    _, whole = recorded(tmp_path, params, name="whole")
    kept, calls = dynamics._keep, []

    def dying(*args, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        kept(*args, **more)

    monkeypatch.setattr(dynamics, "_keep", dying)
    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path, params, name="killed")
    monkeypatch.setattr(dynamics, "_keep", kept)
    _, second = recorded(tmp_path, params, name="killed")
    for path in sorted(whole.folder.iterdir()):
        assert path.read_bytes() == (second.folder / path.name).read_bytes(), path.name
    assert {path.name for path in whole.folder.iterdir()} == {path.name for path in second.folder.iterdir()}


def test_a_recording_that_stops_early_begins_like_the_whole_one(tmp_path):
    _, whole = recorded(tmp_path, DynamicsParams(**SHORT), name="whole")
    _, begun = recorded(tmp_path, DynamicsParams(**SHORT, stop=2), name="begun")
    assert begun.epochs == 2
    assert torch.equal(whole.presented("margin")[:2], begun.presented("margin"))
    assert torch.equal(whole.logits(2), begun.logits(2))
    assert begun.features().shape[0] == 90


def test_networks_of_a_repetition_differ(tmp_path):
    _, first = recorded(tmp_path, DynamicsParams(**SHORT), name="first")
    _, second = recorded(tmp_path, DynamicsParams(**SHORT, net=1), name="second")
    assert not torch.equal(first.logits(0), second.logits(0))


def test_a_kept_net_says_what_its_logits_say(tmp_path):
    ctx, found = recorded(tmp_path, DynamicsParams(**SHORT))
    net = found.load_into(ctx.build_model(seed=5), 2)
    assert torch.allclose(net(ctx.train.images()), found.logits(2), atol=1e-5)
    last = found.load_into(ctx.build_model(seed=5), 3)
    assert torch.allclose(last.embed(ctx.train.images()), found.features(), atol=1e-5)


def test_asking_for_an_epoch_that_was_not_kept_says_so(tmp_path):
    _, found = recorded(tmp_path, DynamicsParams(**SHORT))
    with pytest.raises(ValueError, match="not kept after epoch 4 of 3"):
        found.logits(4)


def test_asking_for_an_unknown_measure_names_the_known_ones(tmp_path):
    _, found = recorded(tmp_path, DynamicsParams(**SHORT))
    known = "correct, margin, margin_p, el2n, loss, entropy"
    with pytest.raises(ValueError, match=f"no measure 'losses' is recorded; known: {known}$"):
        found.presented("losses")


def test_a_net_that_diverges_is_a_failure_and_not_a_recording(tmp_path):
    with pytest.raises(NodeFailureError, match="no numbers by epoch 1") as caught:
        recorded(tmp_path, DynamicsParams(epochs=2, batch=8, lr=1e30))
    assert caught.value.status == "nan"


def test_a_net_that_never_learns_is_told(tmp_path):
    ctx = FakeContext(toy(), toy(seed=9))
    _, found = recorded(tmp_path, DynamicsParams(epochs=1, batch=90, lr=1e-9), ctx)
    presented = np.load(found.folder / dynamics.PRESENTED)
    presented[MEASURES.index("correct")] = 0
    np.save(found.folder / dynamics.PRESENTED, presented)
    ctx.artifacts = {"dynamics": found.folder}
    Dynamics.of(ctx)
    assert "means little" in ctx.warnings[0]
    presented[MEASURES.index("correct")] = 1
    np.save(found.folder / dynamics.PRESENTED, presented)
    Dynamics.of(ctx)
    assert len(ctx.warnings) == 1


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        (1, (0, 1)),
        (3, (0, 1, 2, 3)),
        (20, (*range(11), 20)),
        (200, (*range(11), 20, 200)),
        (300, (*range(11), 30, 300)),
    ],
)
def test_the_first_epochs_a_tenth_and_the_last_are_kept(epochs, kept):
    assert kept_epochs(epochs) == kept
    assert first_tenth(epochs) in kept


class Averaging(DynamicsSelectorParams):
    @property
    def looked_at(self) -> int:
        return 2

    @property
    def other_nets(self) -> int:
        return 2


def test_methods_share_the_first_network_whatever_they_look_at():
    plain, averaging = DynamicsSelectorParams(epochs=20).artifacts(CELL), Averaging(epochs=20).artifacts(CELL)
    assert plain["dynamics"] == averaging["dynamics"]
    assert list(averaging) == ["dynamics", "dynamics_1", "dynamics_2"]
    assert [averaging[name].params["stop"] for name in averaging] == [0, 2, 2]
    assert {spec.seed["r"] for spec in averaging.values()} == {3}


def test_of_the_first_network_only_what_is_looked_at_is_charged():
    params = Averaging(epochs=20)
    assert params.opens("dynamics", CELL, None) == pytest.approx(0.1)
    assert params.opens("dynamics_1", CELL, None) == 1.0


def test_aum_is_the_mean_margin():
    assert aum(torch.tensor([[1.0, -2.0], [3.0, -4.0]])).tolist() == [2.0, -3.0]


def test_forgetting_counts_falls_from_right_to_wrong():
    histories = {
        (1, 1, 1, 1): 0, (0, 0, 0, 1): 0, (1, 0, 1, 0): 2, (0, 1, 0, 0): 1, (1, 0, 0, 0): 1, (0, 0, 0, 0): 4, (1, 1, 0, 1): 1,
    }  # fmt: skip
    found = forgetting(torch.tensor(list(histories)).float().T)
    assert found.tolist() == list(histories.values())


def test_of_a_presentation_that_is_no_number_no_events_are_known():
    found = forgetting(torch.tensor([[1.0, 1.0], [torch.nan, 0.0], [1.0, 1.0]]))
    assert found.isnan().tolist() == [True, False]
