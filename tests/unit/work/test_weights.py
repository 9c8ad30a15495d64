"""Loss weights of a set: every student is trained with them, under every SGD protocol."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from ddbench.core.api import CondensedSet, Recipe, Selection, Selector
from ddbench.core.errors import NodeFailureError
from ddbench.core.store.tensors import load_set, save_set
from ddbench.data.space.split import open_splits
from ddbench.testing.fixtures import open_digits
from ddbench.work import context
from ddbench.work.condense import check_set
from ddbench.work.evaluate.catalog import PROTOCOLS
from tests.unit.work.test_stage import document, evaluation

SGD = [protocol.name for protocol in PROTOCOLS]
SILENT = torch.arange(20) % 4 == 3
"""Images of weight 0."""


def weighted(weights, *, soft=False, spoiled=False):
    """Two images of each digit with weights; ``spoiled``: those of weight 0 are noise with other labels."""
    train, _ = open_splits(document().cell.data, device="cpu")
    index = torch.cat([train.of_class(c)[:2] for c in range(10)])
    images, labels = train.images(index).clone(), train.labels[index].clone()
    if spoiled:
        images[SILENT] = torch.randn(images[SILENT].shape, generator=torch.Generator().manual_seed(1))
        labels[SILENT] = (labels[SILENT] + 5) % 10
    targets = 4.0 * torch.nn.functional.one_hot(labels, 10).float() if soft else labels
    made = CondensedSet.of_images(images, targets, train.preprocess, Recipe(lr=0.02), classes=labels if soft else None)
    return replace(made, weights=weights)


def student(protocol, condensed):
    recipe = {"recipe": condensed.recipe} if protocol == "native" else {}
    return evaluation(document(protocol, row="dm"), condensed, **recipe).run().logits


def some_weights():
    weights = torch.rand(20, generator=torch.Generator().manual_seed(2)) + 0.2
    weights[SILENT] = 0
    return weights


@pytest.mark.parametrize("protocol", SGD)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_what_an_image_of_weight_0_shows_teaches_nothing(protocol, soft):
    weights = some_weights()
    honest, spoiled = (student(protocol, weighted(weights, soft=soft, spoiled=it)) for it in (False, True))
    assert torch.equal(honest, spoiled)
    assert not torch.equal(honest, student(protocol, weighted(None, soft=soft, spoiled=True)))


@pytest.mark.parametrize("protocol", SGD)
def test_weights_matter_by_their_ratios_alone(protocol):
    weights = some_weights()
    plain, scaled, other = (student(protocol, weighted(w)) for w in (weights, 8 * weights, weights.flip(0)))
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(other, plain, rtol=1e-3, atol=1e-3)


def test_equal_weights_are_none():
    torch.testing.assert_close(
        student("hard", weighted(torch.full((20,), 0.5))), student("hard", weighted(None)), rtol=1e-3, atol=1e-3
    )


def test_a_score_on_val_is_of_a_student_with_the_weights(monkeypatch):
    monkeypatch.setattr(context, "accuracy", lambda logits, labels: float(logits.double().sum()))
    ctx, weights = open_digits(ipc=2), some_weights()
    seen = [ctx.score(weighted(w, spoiled=it)) for w, it in ((weights, False), (weights, True), (None, True))]
    assert seen[0] == seen[1] != seen[2]


def test_a_student_that_was_interrupted_goes_on_with_the_weights():
    doc, condensed = document(row="dm"), weighted(some_weights())
    whole = evaluation(doc, condensed).run()
    states = []
    evaluation(doc, condensed, tick=lambda done, total, state: done == 4 and states.append(deepcopy(state()))).run()
    for state in states:
        assert torch.equal(evaluation(doc, condensed, resumed=state).run().logits, whole.logits)
    assert len(states) > 1


class Weighing(Selector):
    """Keeps the first images, with weights that need a gradient."""

    def select(self, ctx):
        index = torch.cat([ctx.train.of_class(c)[:n] for c, n in enumerate(ctx.per_class)])
        return Selection(index, torch.linspace(0, 1, len(index), dtype=torch.float64, requires_grad=True))


def test_a_selectors_weights_reach_the_file_and_survive_its_checkpoint(tmp_path):
    ctx = open_digits(ipc=2)
    method = Weighing(None)
    method.step(ctx)
    made = method.finalise(ctx)
    check_set(made, ctx, "selection")
    save_set(tmp_path / "set.safetensors", made)
    torch.testing.assert_close(load_set(tmp_path / "set.safetensors").weights, torch.linspace(0, 1, 20))
    again = Weighing(None)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.finalise(ctx).weights, made.weights)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (torch.linspace(-0.5, 1, 20), "a weight is -0.5: a student would unlearn the image"),
        (torch.zeros(20), "all weights are 0: nothing can be learned from the set"),
        (torch.full((20,), float("inf")), "the weights are not finite"),
    ],
)
def test_weights_that_teach_nothing_fail_the_cell(weights, reason):
    with pytest.raises(NodeFailureError, match=reason):
        check_set(weighted(weights), open_digits(ipc=2), "distillation")
