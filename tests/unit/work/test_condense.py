"""The loop around a method, its clock, and what every set must satisfy."""

from __future__ import annotations

import math
import re
import signal
from dataclasses import replace
from fractions import Fraction

import numpy
import pytest
import torch

from ddbench.core.api import CondensedSet, Method, Params, Preprocess, Recipe, Selector, StorageBytes
from ddbench.core.errors import InterruptedRunError, NodeFailureError
from ddbench.core.specs import Budget, snapshot_points
from ddbench.work.clock import CHECKPOINT_S, Clock
from ddbench.work.condense import check_finite, check_set
from ddbench.work.interrupts import Interrupts
from ddbench.work.monitor import Silent
from tests.fakes import FakeContext, FakeSplit


@pytest.mark.parametrize(
    ("iterations", "points"), [(1, (1,)), (3, (1, 2, 3)), (5, (1, 2, 3, 4, 5)), (250, (50, 100, 150, 200, 250))]
)
def test_snapshots_are_equally_spaced_and_include_the_last_step(iterations, points):
    assert snapshot_points(iterations) == points


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [(Method, "step", 1), (Method, "finalise", 1), (Method, "state_dict", 0), (Method, "load_state_dict", 1), (Selector, "select", 1)],
)  # fmt: skip
def test_a_method_without_a_function_says_which(kind, name, given):
    with pytest.raises(NotImplementedError, match=rf"^{kind.__name__} has no {name}\(\)$"):
        getattr(kind(Params()), name)(*[None] * given)


@pytest.mark.parametrize(
    ("labels", "promised", "fits"),
    [
        ([0, 0, 1, 1], "exact", True),
        ([0, 0, 0, 1], "exact", False),
        ([0, 0, 1], "exact", False),
        ([0, 0, 1], "at_most", True),
        ([0, 0, 0], "at_most", False),
        ([0, 0, 0, 1], "total", True),
        ([0, 0, 1], "total", False),
        ([0, 0, 0, 0], "total_at_most", True),
        ([0], "total_at_most", True),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_images_of_each_class_are_those_of_the_budget(labels, promised, fits, soft):
    ctx, slots = context(), torch.tensor(labels)
    parts = {"images": torch.zeros(len(labels), 1, 8, 8), "labels": slots}
    if soft:
        parts |= {"labels": torch.zeros(len(labels), 2), "label_space": "logits", "aux": {"classes": slots}}
    made = a_set(ctx, **parts)
    if fits:
        check_set(made, ctx, "distillation", promised)
    else:
        with pytest.raises(NodeFailureError, match="the budget says"):
            check_set(made, ctx, "distillation", promised)


@pytest.mark.parametrize(("labels", "fits"), [([0, 1] * 8, True), ([0, 0, 1, 1] * 2, True), ([0] * 9 + [1] * 7, False)])
def test_every_code_decodes_to_as_many_images(labels, fits):
    ctx = context()
    made = replace(
        a_set(ctx, images=torch.zeros(len(labels), 1, 8, 8), labels=torch.tensor(labels)),
        storage=StorageBytes(images=0, codes=64),
    )
    if fits:
        check_set(made, ctx, "distillation")
    else:
        with pytest.raises(NodeFailureError, match="the budget says"):
            check_set(made, ctx, "distillation")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.complex64)}, "complex64"),
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.float64)}, "float64"),
        ({"images": torch.zeros(4, 1, 8, 8).to_sparse()}, "no plain tensor"),
        ({"images": torch.zeros(4, 1, 8, 8, device="meta")}, "no plain tensor"),
        ({"labels": torch.tensor([0.0, 1.0, 0.0, 1.0])}, "labels are"),
        (
            {"labels": torch.zeros(4, 2), "label_space": "probs", "aux": {"classes": torch.zeros(3).long()}},
            "classes have",
        ),
        (
            {"labels": torch.zeros(4, 2), "label_space": "probs", "aux": {"classes": torch.tensor([0, 0, 1, 7])}},
            "outside",
        ),
    ],
)
def test_what_is_no_plain_real_tensor_fails_its_cell(parts, why):
    ctx = context()
    with pytest.raises(NodeFailureError, match=why):
        check_set(a_set(ctx, **parts), ctx, "distillation")


def test_a_set_of_complex_images_is_not_made_real_in_silence():
    with pytest.raises(ValueError, match="not real floats"):
        CondensedSet.of_images(torch.zeros(2, 1, 8, 8, dtype=torch.complex64), torch.tensor([0, 1]), Preprocess(id="x"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_cell(value):
    with pytest.raises(NodeFailureError, match=r"loss is .* at step 7") as error:
        check_finite({"loss": value}, 7)
    assert error.value.status == "nan"


def context() -> FakeContext:
    images, labels = torch.randn(40, 1, 8, 8), torch.arange(40) % 2
    return FakeContext(FakeSplit(images, labels), FakeSplit(images[:4], labels[:4]), Budget(ipc=2))


def a_set(ctx, n=4, **parts):
    images, labels = torch.zeros(n, 1, 8, 8), torch.arange(n) % 2
    given = {"images": images, "labels": labels, "label_space": "hard", "preprocess": ctx.train.preprocess, **parts}
    return CondensedSet(recipe=Recipe(), storage=StorageBytes(images=0), **given)


def test_a_sound_set_is_accepted():
    ctx = context()
    check_set(a_set(ctx), ctx, "distillation")
    check_set(a_set(ctx, images=None, indices=torch.tensor([3, 1, 0, 2])), ctx, "selection")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"n": 5}, "the set has 5 images, the budget allows 4"),
        ({"n": 0}, "the set is empty"),
        ({"images": torch.full((4, 1, 8, 8), math.nan)}, "images are not finite"),
        ({"images": torch.zeros(4, 3, 8, 8)}, "images have shape"),
        ({"labels": torch.tensor([0, 1, 2, 9])}, "labels lie outside"),
        ({"labels": torch.zeros(4, 3), "label_space": "probs"}, "labels have 3 columns for 2 classes"),
        ({"labels": torch.full((4, 2), math.inf), "label_space": "logits"}, "labels are not finite"),
        ({"images": None, "indices": torch.tensor([0, 1, 2, 2])}, "an image is selected twice"),
        ({"images": None, "indices": torch.tensor([0, 1, 2, 40])}, "indices lie outside"),
        ({"preprocess": Preprocess(id="zca-kornia")}, "the set declares zca-kornia"),
    ],
)
def test_an_unsound_set_fails_its_cell(parts, reason):
    ctx = context()
    with pytest.raises(NodeFailureError, match=reason):
        check_set(a_set(ctx, **parts), ctx, "distillation")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"indices": torch.arange(4)}, "either images or indices"),
        ({"images": None}, "either images or indices"),
        ({"labels": torch.arange(3)}, "images has 4 entries for 3 labels"),
        ({"weights": torch.ones(2)}, "weights has 2 entries"),
        ({"label_space": "logits"}, "logits labels cannot have shape"),
    ],
)
def test_a_set_whose_parts_do_not_fit_cannot_be_made(parts, reason):
    with pytest.raises(ValueError, match=reason):
        a_set(context(), **parts)


def clock_at(now, timeout_s=None):
    return Clock(Interrupts(), Silent(), "", timeout_s, now=lambda: now[0])


def test_checkpoints_come_every_minute_and_not_more_often():
    clock, saved = [0.0], []
    watching = clock_at(clock)
    for second in range(1, int(3 * CHECKPOINT_S)):
        clock[0] = float(second)
        watching.tick(second, 1000, lambda: saved.append(clock[0]))
    assert saved == [CHECKPOINT_S, 2 * CHECKPOINT_S]


def test_a_request_to_stop_checkpoints_first():
    saved = []
    watching = clock_at([0.0])
    watching.interrupts.requested = True
    with pytest.raises(InterruptedRunError):
        watching.tick(1, 10, lambda: saved.append(1))
    assert saved == [1]


def test_the_time_limit_is_each_attempts_and_spares_the_last_step():
    """A limit over all attempts would let the same command do one step a time, for ever."""
    clock, saved = [600.0], []  # ten minutes went into earlier attempts
    watching = clock_at(clock, timeout_s=10.0)
    clock[0] = 609.0
    watching.tick(1, 10, lambda: saved.append(1))
    clock[0] = 610.0
    watching.tick(10, 10, lambda: saved.append(1))
    assert saved == []
    with pytest.raises(NodeFailureError, match=r"--timeout after 10 s at step 2 of 10") as error:
        watching.tick(2, 10, lambda: saved.append(1))
    assert (error.value.status, saved) == ("timeout", [1])


def test_a_signal_is_deferred_inside_ticking_blocks_only():
    before, interrupts = signal.getsignal(signal.SIGINT), Interrupts()
    with interrupts.installed():
        with interrupts.deferred():
            signal.raise_signal(signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_signal_ends_at_once():
    interrupts = Interrupts()
    with interrupts.installed(), interrupts.deferred():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (None, "step 7 returned None, not a dict of losses"),
        ([1.0], "step 7 returned a list, not a dict of losses"),
        (1.0, "step 7 returned a float, not"),
        ({1: 1.0}, "step 7: the name 1 of a loss is a int"),
        ({"loss": "0.5"}, "step 7: 'loss' is a str, not a number"),
        ({"loss": b"7"}, "step 7: 'loss' is a bytes, not a number"),
        ({"loss": None}, "step 7: 'loss' is None, not a number"),
        ({"loss": [1.0]}, "step 7: 'loss' is a list, not a number"),
        ({"loss": 1j}, "step 7: 'loss' is a complex, not a number"),
        ({"loss": numpy.complex64(2)}, "step 7: 'loss' is a complex64, not a number"),
        ({"loss": torch.tensor(2 + 0j)}, "step 7: 'loss' is a complex tensor, not a number"),
        ({"a": 1, "pull": torch.zeros(2, 5)}, "step 7: 'pull' is a tensor of shape (2, 5), not a number"),
        ({"pull": torch.zeros(0)}, "step 7: 'pull' is a tensor of shape (0,), not a number"),
        ({"pull": torch.nn.Parameter(torch.ones(4))}, "step 7: 'pull' is a tensor of shape (4,), not a number"),
        ({"pull": torch.zeros(1, device="meta")}, "step 7: 'pull' is a tensor of shape (1,), not a number"),
        ({"pull": numpy.ones((3, 2))}, "step 7: 'pull' is a ndarray of shape (3, 2), not a number"),
    ],
)
def test_steps_that_return_something_else_are_told_so(metrics, told):
    with pytest.raises(NodeFailureError, match=re.escape(told)) as failure:
        check_finite(metrics, 7)
    assert failure.value.status == "failed"


@pytest.mark.parametrize(
    "value",
    [4, True, torch.tensor(4.0), torch.full((1, 1), 4), torch.tensor([4.0], requires_grad=True), numpy.int8(4),
     numpy.ones((1, 1, 1)), Fraction(7, 2)],
)  # fmt: skip
def test_numbers_of_any_kind_are_losses_and_are_shown_as_plain_ones(value):
    (found,) = check_finite({"loss": value}, 7).values()
    assert type(found) is float and found == value
