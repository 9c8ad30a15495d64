"""Scores of images by what a proxy net says of them, against scipy and slow readings of the definitions; no training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from ddbench.blocks.sampling import class_order, whole_order
from ddbench.core.specs import Budget, CellSpec, DataSpec
from ddbench_plugins.entropy.method import Entropy
from ddbench_plugins.entropy.params import EntropyParams
from ddbench_plugins.forgetting.method import Forgetting
from ddbench_plugins.forgetting.params import ForgettingParams
from ddbench_plugins.least_confidence.method import LeastConfidence, unsureness
from ddbench_plugins.least_confidence.params import LeastConfidenceParams
from ddbench_plugins.margin.method import Margin, margin
from ddbench_plugins.margin.params import MarginParams
from ddbench_plugins.tdds.method import TDDS, tdds
from ddbench_plugins.tdds.params import TDDSParams
from tests.fakes import FakeContext, toy
from tests.recordings import recording

COUNTS = (12, 7, 20)
N = sum(COUNTS)


def context(tmp_path, budget=None, counts=COUNTS, **said):
    """A context of toy images whose artifact ``dynamics`` says what is given."""
    folder = recording(
        tmp_path / f"dynamics-{len(list(tmp_path.iterdir()))}", sum(counts), said.pop("epochs", 3), **said
    )
    return FakeContext(
        toy(counts), toy((2,) * len(counts), seed=9), budget or Budget(ipc=3), artifacts={"dynamics": folder}
    )


def keep(ctx, members, key, n):
    """The n of some images with the largest key, equals in the order that is given."""
    return sorted(members.tolist(), key=lambda i: -key[i])[:n]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --------------------------------------------------------------------------------------------------------- forgetting


def events_by_hand(history):
    """How often a string of rights and wrongs has a wrong after a right; its length if it has no right."""
    return history.count("10") if "1" in history else len(history)


def test_the_most_forgotten_are_kept_and_never_learned_ones_first(tmp_path):
    histories = ["".join(map(str, row)) for row in (noise(N, 6) > 0.8).int().tolist()]
    assert any("1" not in history for history in histories)
    correct = torch.tensor([[float(c) for c in history] for history in histories]).T
    ctx = context(tmp_path, epochs=6, presented={"correct": correct})
    found = Forgetting(ForgettingParams(epochs=6)).select(ctx)
    events = [events_by_hand(history) for history in histories]
    assert found.scores.tolist() == events
    assert found.indices.tolist() == keep(ctx, whole_order(ctx), events, 9)


# -------------------------------------------------------------------------------------- scores of the last predictions


LAST = {
    "least_confidence": (LeastConfidence, LeastConfidenceParams, lambda p: 1 - p.max(axis=1)),
    "margin": (Margin, MarginParams, lambda p: -np.diff(np.sort(p, axis=1)[:, -2:], axis=1)[:, 0]),
    "entropy": (Entropy, EntropyParams, lambda p: scipy_entropy(p, axis=1)),
}


@pytest.mark.parametrize("name", LAST)
def test_scores_of_the_last_predictions_equal_those_of_scipy(tmp_path, name):
    method, params, oracle = LAST[name]
    last = 3 * noise(N, 4)
    ctx = context(tmp_path, epochs=2, logits={1: noise(N, 4, seed=1), 2: last})
    found = method(params(epochs=2)).select(ctx)
    hardness = oracle(softmax(last.double().numpy(), axis=1))
    assert np.allclose(found.scores, hardness, atol=1e-6)
    assert found.indices.tolist() == [i for c in range(3) for i in keep(ctx, class_order(ctx, c), hardness, 3)]


def test_of_two_classes_all_scores_of_predictions_rank_alike():
    """With K = 2 each of them grows with how near p is to one half."""
    logits = noise(30, 2)
    order = (logits[:, 0] - logits[:, 1]).abs().argsort().tolist()
    assert unsureness(logits).argsort(descending=True).tolist() == order
    assert margin(logits).argsort().tolist() == order


def test_very_sure_predictions_are_told_apart():
    logits = torch.tensor([[0.0, 60.0], [0.0, 50.0], [0.0, 80.0]])
    assert unsureness(logits).argsort(descending=True).tolist() == [1, 0, 2]


def test_adding_a_constant_to_all_logits_changes_no_score_of_predictions():
    logits = noise(10, 4).double()
    for score in (unsureness, margin):
        torch.testing.assert_close(score(logits + 7), score(logits))


# --------------------------------------------------------------------------------------------------------------- tdds


CELL = CellSpec(
    method="x", method_version=1, origin="ddbench", params={}, data=DataSpec(name="digits", revision="0" * 16),
    budget=Budget(ipc=1), arch="convnet2-w8-in", master=0, r=3,
)  # fmt: skip


def tdds_by_hand(logits, window, decay):
    """One image, one window and one epoch at a time, with numpy."""
    p = softmax(logits.double().numpy(), axis=2)
    scores = []
    for i in range(p.shape[1]):
        kd = [
            sum(abs(b * (np.log(b + 1e-8) - np.log(a + 1e-8))) for a, b in zip(p[t, i], p[t + 1, i], strict=True))
            for t in range(len(p) - 1)
        ]
        total = 0.0
        for k in range(len(p) - window + 1):
            inside = kd[k : k + window - 1]
            unevenness = sum((one - sum(inside) / len(inside)) ** 2 for one in inside) ** 0.5
            total += decay * (1 - decay) ** (len(p) - window - k) * unevenness
        scores.append(total)
    return scores


@pytest.mark.parametrize(("window", "decay"), [(10, 0.9), (4, 0.9), (3, 0.5), (6, 1.0)])
def test_tdds_equals_a_slow_reading_of_the_definition(window, decay):
    logits = 3 * noise(10, 8, 4)
    assert tdds(logits, window, decay).tolist() == pytest.approx(tdds_by_hand(logits, window, decay), rel=1e-12)


def test_tdds_looks_at_the_first_epochs_after_training_began(tmp_path):
    said = {epoch: 3 * noise(N, 4, seed=epoch) for epoch in range(7)}
    ctx = context(tmp_path, epochs=6, logits=said)
    found = TDDS(TDDSParams(epochs=6, trajectory=5, window=4)).select(ctx)
    expected = tdds_by_hand(torch.stack([said[epoch] for epoch in range(1, 6)]), 4, 0.9)
    assert found.scores.tolist() == pytest.approx(expected, rel=1e-5)
    assert found.indices.tolist() == keep(ctx, whole_order(ctx), expected, 9)


def test_a_prediction_that_stays_scores_nothing():
    assert tdds(noise(1, 6, 4).repeat(10, 1, 1), 10, 0.9).tolist() == [0.0] * 6


def test_sure_predictions_have_finite_scores():
    logits = torch.tensor([[[500.0, 0]], [[0, 500.0]], [[500.0, 0]], [[0, 500.0]]])
    assert bool(torch.isfinite(tdds(logits, 4, 0.9)).all())


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"epochs": 5}, "of 5 in all: lower it (and window) to 5, or raise epochs"),
        ({"epochs": 50, "trajectory": 12}, "of the first 10 epochs"),
        ({"epochs": 50, "trajectory": 5}, "window 10 is longer than trajectory 5"),
    ],
)
def test_windows_that_nothing_is_kept_of_are_refused_when_planned(tmp_path, params, why):
    assert why in TDDSParams(**params).unsupported(CELL, context(tmp_path).dataset)


def test_of_tdds_the_epochs_it_looks_at_are_charged(tmp_path):
    params = TDDSParams(epochs=20)
    assert params.unsupported(CELL, context(tmp_path).dataset) is None
    assert params.opens("dynamics", CELL, None) == 0.5
    assert params.artifacts(CELL) == ForgettingParams(epochs=20).artifacts(CELL)
